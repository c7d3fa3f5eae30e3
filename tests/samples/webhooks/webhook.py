"""Samples of webhooks."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.people.person.state import PERSON, Person
from domain.people.person.status import SuspendPerson
from domain.webhooks.webhook import (
    LEAST_FAILURES,
    LEAST_HOURS,
    MOST_ACCOUNTS,
    MOST_OVERLAP,
    MOST_POSITION,
    MOST_URL,
    WEBHOOK,
    ChangeWebhook,
    CreateWebhook,
    DisableWebhook,
    PauseWebhook,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateWebhookSecret,
    Webhook,
)
from tests.samples.people.person import active, by_administrator
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import NOW, MemoryLedger, new_id
from tests.support.people import administrators

URL = "https://receiver.example/daybook"
BODY = {
    "url": URL,
    "areas": ["accounts", "orders"],
    "types": ["order.paid"],
    "accounts": [],
    "failures": 20,
    "hours": 72,
}

# Requests


def contact(world: World) -> str:
    """An active person."""
    person = new_id(PERSON)
    for command in active(person):
        world.executed(command)
    return person


def one(world: World) -> str:
    """A webhook that is paused, so that no worker sends to it."""
    id: str = world.do("webhooks", BODY | {"contact": contact(world)})["webhook"]
    world.do(f"webhooks/{id}/pause")
    return id


def by_administrator_of(service: Any) -> str:
    """The token of an administrator of a running service."""
    ada, _ = administrators(service)
    return ada.access


def running(world: World) -> str:
    """A webhook that is not paused."""
    id: str = world.do("webhooks", BODY | {"contact": contact(world)})["webhook"]
    return id


OF_PEOPLE = {
    "/v1/webhooks": lambda service: Request({}, BODY | {"contact": contact(service)}, by_administrator_of(service)),
    "/v1/webhooks/{webhook}/rotate-secret": lambda service: Request(
        {"webhook": one(service)}, {"overlap_seconds": 3600}, by_administrator_of(service)
    ),
}
"""The routes whose answers have a secret, which are not part of a batch."""
ROUTES = {
    "/v1/webhooks/{webhook}/change": lambda world: Request(
        {"webhook": one(world)}, BODY | {"contact": contact(world), "types": []}
    ),
    "/v1/webhooks/{webhook}/pause": lambda world: Request({"webhook": running(world)}, {}),
    "/v1/webhooks/{webhook}/resume": lambda world: Request({"webhook": one(world)}, {}),
    "/v1/webhooks/{webhook}/replay": lambda world: Request({"webhook": one(world)}, {"after": 0}),
    "/v1/webhooks/{webhook}/remove": lambda world: Request({"webhook": one(world)}, {}),
}

# Rules


def create(webhook: str = "whk_1", person: str = "prsn_ada", **more: Any) -> CreateWebhook:
    """A webhook for everything."""
    stated: dict[str, Any] = {"url": URL, "areas": (), "types": (), "accounts": (), "failures": 5, "hours": 24} | more
    return CreateWebhook(webhook, contact=person, **stated)


def changed(**more: Any) -> ChangeWebhook:
    """The same webhook, but for what is said."""
    stated: dict[str, Any] = {"url": URL, "areas": (), "types": (), "accounts": (), "failures": 5, "hours": 24} | more
    return ChangeWebhook("whk_1", contact="prsn_ada", **stated)


ADA = active()
CREATED = (*ADA, create())
SINCE = NOW - timedelta(hours=24)
DISABLE = DisableWebhook("whk_1", restarted=1, cause="answered", reply=503, failures=5, since=SINCE)
ROTATE = RotateWebhookSecret("whk_1", NOW + MOST_OVERLAP)
LONG = URL + "/" * (MOST_URL - len(URL))

RULES = {
    "webhook_exists": RuleSample(
        given=CREATED, broken=create(), sentence="Webhook whk_1 exists already.", kept=(create("whk_2"),)
    ),
    "webhook_status": RuleSample(
        given=CREATED,
        broken=ResumeWebhook("whk_1"),
        sentence="Webhook whk_1 is active; only one that is paused or disabled can be resumed.",
        kept=(PauseWebhook("whk_1"), ResumeWebhook("whk_1")),
    ),
    "webhook_url": RuleSample(
        given=ADA,
        broken=create(url=f"{LONG}/"),
        sentence="The address of a webhook is like https://example.com/path, with a port up to 65535, 500 characters at "
        "most, and without a user, a query or a fragment.",
        kept=(create(url=LONG),),
    ),
    "webhook_filter": RuleSample(
        given=ADA,
        broken=create(accounts=tuple(f"acct_{number}" for number in range(MOST_ACCOUNTS + 1))),
        sentence="The filter has 101 accounts; the most is 100.",
        kept=(create(accounts=tuple(f"acct_{number}" for number in range(MOST_ACCOUNTS))),),
    ),
    "not_a_code": no_code("item of areas", create(areas=("my area",)), create(areas=("accounts",)), given=ADA),
    "webhook_policy": RuleSample(
        given=ADA,
        broken=create(failures=LEAST_FAILURES - 1),
        sentence="A webhook is disabled after 3 to 1000 failures and 1 to 720 hours; this one would be after 2 and 24.",
        kept=(create(failures=LEAST_FAILURES, hours=LEAST_HOURS),),
    ),
    "webhook_position": RuleSample(
        given=CREATED,
        broken=ReplayWebhook("whk_1", MOST_POSITION + 1),
        sentence="A position is from 0 to 9007199254740992; this one is 9007199254740993.",
        kept=(ReplayWebhook("whk_1", MOST_POSITION),),
    ),
    "webhook_overlap": RuleSample(
        given=CREATED,
        broken=replace(ROTATE, overlap_until=ROTATE.overlap_until + timedelta(microseconds=1)),
        sentence="The secret before signs until 2026-11-28T12:00:00+00:00 at the latest; this would be until "
        "2026-11-28T12:00:00.000001+00:00.",
        kept=(ROTATE,),
    ),
    "webhook_unchanged": RuleSample(
        given=CREATED,
        broken=changed(),
        sentence="Webhook whk_1 already is what it would be changed to.",
        kept=(changed(hours=25),),
    ),
    "webhook_restarted": RuleSample(
        given=(*CREATED, changed(hours=23)),
        broken=DISABLE,
        sentence="Webhook whk_1 was restarted meanwhile: failures before its version 2 do not count.",
        kept=(replace(DISABLE, restarted=2),),
    ),
    "webhook_not_failing": RuleSample(
        given=CREATED,
        broken=replace(DISABLE, since=SINCE + timedelta(microseconds=1)),
        sentence="Webhook whk_1 failed 5 times since 2026-11-20T12:00:00.000001+00:00; it is disabled after 5 times in "
        "24 hours.",
        kept=(DISABLE,),
    ),
    "person_status": RuleSample(
        given=(*ADA, by_administrator(SuspendPerson("prsn_ada", "Spam"))),
        broken=create(),
        sentence="Person prsn_ada is suspended; only a person who is active can be the contact of a webhook.",
        kept=(*active("prsn_bob"), create(person="prsn_bob")),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Webhooks of active persons are created, changed, paused, disabled, resumed, replayed and removed."""
    persons = [person for person in ledger.of(Person) if person.status == "active"]
    present = [webhook for webhook in ledger.of(Webhook) if webhook.status != "removed"]
    if not present or (persons and chance.random() < 0.2):
        person = chance.choice(persons).id if persons else "prsn_nobody"
        return create(ledger.new_id(WEBHOOK), person, areas=("orders",), after=chance.choice((None, 0)))
    webhook = chance.choice(present)
    at = ledger.context.decided_at
    return chance.choice(
        (
            ChangeWebhook(webhook.id, URL, (), ("order.paid",), (), webhook.contact, 5, chance.randint(1, 99)),
            RotateWebhookSecret(webhook.id, at + timedelta(hours=1)),
            PauseWebhook(webhook.id),
            ResumeWebhook(webhook.id),
            ReplayWebhook(webhook.id, chance.randint(0, 9)),
            RemoveWebhook(webhook.id),
            DisableWebhook(webhook.id, webhook.restarted, "gone", 410, 1, at),
        )
    )


# Events as they were stored

EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="webhook.created.v1",
        stream="whk_00000000000000000000000031",
        version=1,
        payload='{"accounts":[],"after":null,"areas":["orders"],"contact":"prsn_sample","failures":5,"hours":24,"types":[],"url":"https://receiver.example/daybook"}',
        means={
            "url": "https://receiver.example/daybook",
            "areas": ["orders"],
            "types": [],
            "accounts": [],
            "contact": "prsn_sample",
            "failures": 5,
            "hours": 24,
            "after": None,
        },
    ),
    StoredEvent(type="webhook.paused.v1", stream="whk_00000000000000000000000031", version=2, payload="{}", means={}),
    StoredEvent(type="webhook.resumed.v1", stream="whk_00000000000000000000000031", version=3, payload="{}", means={}),
    StoredEvent(
        type="webhook.disabled.v1",
        stream="whk_00000000000000000000000031",
        version=4,
        payload='{"cause":"gone","contact":"prsn_sample","failures":1,"reply":410,"since":"2026-11-21T12:00:00Z"}',
        means={"contact": "prsn_sample", "cause": "gone", "reply": 410, "failures": 1, "since": "2026-11-21T12:00:00Z"},
    ),
    StoredEvent(
        type="webhook.secret_rotated.v1",
        stream="whk_00000000000000000000000074",
        version=2,
        payload='{"overlap_until":"2026-11-21T13:00:00Z"}',
        means={"overlap_until": "2026-11-21T13:00:00Z"},
    ),
    StoredEvent(type="webhook.removed.v1", stream="whk_00000000000000000000000074", version=3, payload="{}", means={}),
    StoredEvent(
        type="webhook.replayed.v1",
        stream="whk_0000000000000000000000008j",
        version=2,
        payload='{"after":0}',
        means={"after": 0},
    ),
    StoredEvent(
        type="webhook.changed.v1",
        stream="whk_0000000000000000000000008j",
        version=5,
        payload='{"accounts":[],"areas":[],"contact":"prsn_sample","failures":5,"hours":92,"types":["order.paid"],"url":"https://receiver.example/daybook"}',
        means={
            "url": "https://receiver.example/daybook",
            "areas": [],
            "types": ["order.paid"],
            "accounts": [],
            "contact": "prsn_sample",
            "failures": 5,
            "hours": 92,
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, of_people=OF_PEOPLE, life=life)
