"""Samples of mails."""

from __future__ import annotations

from random import Random
from typing import Any

from domain.people.mail import MAIL, Mail, QueueMail, RecordMailFailed, RecordMailSent, RetryMail
from tests.samples.people.person import one as person_one
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import MemoryLedger, new_id


def queued(mail: str = "mail_1", person: str = "prsn_ada") -> QueueMail:
    """The mail of a registration."""
    return QueueMail(mail, person, "verify", 1)


SENT = RecordMailSent("mail_1", 1)
UNREACHABLE = RecordMailFailed("mail_1", 1, "unreachable")
REFUSED = RecordMailFailed("mail_1", 1, "refused", 550)
RETRY = RetryMail("mail_1", "The server works again")

# Requests

REASON = {"reason": "The server works again"}


def one(world: World) -> str:
    """A mail that was given up."""
    mail = new_id(MAIL)
    world.record(queued(mail, person_one(world)))
    world.record(RecordMailFailed(mail, 1, "refused", 550))
    return mail


ROUTES = {"/v1/mails/{mail}/retry": lambda world: Request({"mail": one(world)}, REASON)}

# Rules

RULES = {
    "mail_exists": RuleSample(
        given=(queued(),), broken=queued(), sentence="Mail mail_1 exists already.", kept=(queued("mail_2"),)
    ),
    "mail_status": RuleSample(
        given=(queued(), UNREACHABLE),
        broken=RETRY,
        sentence="Mail mail_1 is failed; only one that is given_up can be retried.",
        kept=(RecordMailFailed("mail_1", 2, "refused", 550), RETRY, SENT),
    ),
    "mail_attempt": RuleSample(
        given=(queued(), UNREACHABLE),
        broken=SENT,
        sentence="Attempt 1 of mail mail_1 is not its next one, which is 2.",
        kept=(RecordMailSent("mail_1", 2),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Mails are sent, fail, and are tried again."""
    undone = [mail for mail in ledger.of(Mail) if mail.status != "sent"]
    if not undone or chance.random() < 0.3:
        person = f"prsn_{chance.randint(1, 3)}"
        return QueueMail(ledger.new_id(MAIL), person, chance.choice(("verify", "reset", "suspended")), 1)
    mail = chance.choice(undone)
    if mail.status == "given_up":
        return RetryMail(mail.id, "try\tagain")
    attempt, choice = mail.attempts + 1, chance.random()
    if choice < 0.4:
        return RecordMailSent(mail.id, attempt)
    if choice < 0.8:
        return RecordMailFailed(mail.id, attempt, "refused_for_now", 451)
    return RecordMailFailed(mail.id, attempt, "erased")


# Events as they were stored

EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="mail.queued.v1",
        stream="mail_0000000000000000000000000v",
        version=1,
        payload='{"cause_version":1,"next_at":"2026-11-21T12:00:00Z","person":"prsn_3","template":"verify"}',
        means={"person": "prsn_3", "template": "verify", "cause_version": 1, "next_at": "2026-11-21T12:00:00Z"},
    ),
    StoredEvent(
        type="mail.failed.v1",
        stream="mail_0000000000000000000000000v",
        version=2,
        payload='{"attempt":1,"cause":"refused_for_now","next_at":"2026-11-21T12:01:00Z","reply":451}',
        means={"attempt": 1, "cause": "refused_for_now", "reply": 451, "next_at": "2026-11-21T12:01:00Z"},
    ),
    StoredEvent(
        type="mail.sent.v1",
        stream="mail_0000000000000000000000000v",
        version=5,
        payload='{"attempt":4}',
        means={"attempt": 4},
    ),
    StoredEvent(
        type="mail.given_up.v1",
        stream="mail_0000000000000000000000000y",
        version=6,
        payload='{"attempt":5,"cause":"erased","reply":null}',
        means={"attempt": 5, "cause": "erased", "reply": None},
    ),
    StoredEvent(
        type="mail.retried.v1",
        stream="mail_0000000000000000000000000y",
        version=7,
        payload='{"by":"tester","next_at":"2026-11-21T12:00:00Z","reason":"2._VUa0DccoK7FC3Slp5IsWxMc1fVAM6Ib6WvUxJXnon5DEOHlTw=="}',
        means={"by": "tester", "reason": "try\tagain", "next_at": "2026-11-21T12:00:00Z"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
