"""The aggregate webhook: an address that is sent events, with a filter, and a policy that says when it is disabled.

The stream has no secret. What has arrived is no event either: an event for each event that was sent would be sent too.
Positions and attempts are rows beside the log (`eventstore.webhooks`), which name the version that they follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.codes import RULES as CODE_RULES
from domain.codes import refuse_other_than_code
from domain.kernel import Accepted, Context, Decision, Event, Figure, Refused, States, Unknown, Value, found
from domain.people.person.state import RULES as PERSON_RULES
from domain.people.person.state import Person
from domain.permissions import ADMINISTRATORS, OPERATORS, PROCESSES

WEBHOOK = "whk"
"""Prefix of the ids of webhooks."""
MOST_URL = 500
"""Most characters of an address."""
MOST_AREAS, MOST_TYPES, MOST_ACCOUNTS = 20, 100, 100
"""Most areas, event types and accounts of a filter."""
LEAST_FAILURES, MOST_FAILURES = 3, 1_000
"""Bounds of the failed attempts in a row after which a webhook is disabled."""
LEAST_HOURS, MOST_HOURS = 1, 24 * 30
"""Bounds of the hours for which it has to fail until it is disabled."""
MOST_OVERLAP = timedelta(days=7)
"""Longest time for which the secret before signs beside the new one."""
MOST_POSITION = 2**53
"""Largest position that every program reads as the same number."""

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
URL = rf"^https?://{_HOST}(?::[0-9]{{1,5}})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?$"
"""The pattern of an address: no user, no password, no query and no fragment, so that no secret has a place in it."""
_URL = re.compile(URL, re.ASCII)
_PORT = re.compile(r"://[^/]*:([0-9]+)(?:/|$)")
_VERSION = re.compile(r"\.v[0-9]+$")

Status = Literal["active", "paused", "disabled", "removed"]
"""Only an active webhook is sent events. One that is paused or disabled keeps its position; a removed one is gone."""
Cause = Literal[
    "unresolvable",
    "address_refused",
    "scheme_refused",
    "unreachable",
    "tls",
    "too_slow",
    "malformed",
    "redirected",
    "answered",
    "gone",
]
"""What an attempt failed of: no address for the name; an address, or a scheme, that the settings do not allow; no
connection; no trusted connection; no answer in time; no HTTP; a redirect, which is not followed; another status than
2xx; 410, which says that nobody will take events there any more."""
LASTING: frozenset[Cause] = frozenset({"gone"})
"""Causes after which the webhook is disabled at once."""
CAUSES: tuple[Cause, ...] = get_args(Cause)

# Events


class WebhookCreated(Event, frozen=True):
    """Events are sent to an address from a position on. It is the first event of its stream."""

    url: str
    areas: tuple[str, ...]  # only events of these areas; empty: of all
    types: tuple[str, ...]  # only these types of events, named without their version; empty: all
    accounts: tuple[str, ...]  # only events on the streams of these accounts; empty: on all streams
    contact: str  # the person who gets a mail when it is disabled
    failures: int  # the policy: it is disabled after so many failed attempts in a row ...
    hours: int  # ... that lasted for so many hours
    after: int | None  # events after this position; None: after this event


class WebhookChanged(Event, frozen=True):
    """Address, filter, contact and policy are these from now on. What failed before does not count any more."""

    url: str
    areas: tuple[str, ...]
    types: tuple[str, ...]
    accounts: tuple[str, ...]
    contact: str
    failures: int
    hours: int


class WebhookSecretRotated(Event, frozen=True):
    """A new secret signs. The one before signs too until the overlap has ended."""

    overlap_until: datetime  # aware, UTC


class WebhookPaused(Event, frozen=True):
    """Nothing is sent until it is resumed."""


class WebhookDisabled(Event, frozen=True):
    """The policy disabled it: its receiver took nothing for too long, or answered that it never will."""

    contact: str
    cause: Cause  # of the last attempt
    reply: int | None  # status of the receiver's answer to it
    failures: int  # failed attempts in a row
    since: datetime  # when the first of them failed; aware, UTC


class WebhookResumed(Event, frozen=True):
    """It is sent events again, from where it was. What failed before does not count any more."""


class WebhookReplayed(Event, frozen=True):
    """Events after this position are sent, also those that were sent before."""

    after: int


class WebhookRemoved(Event, frozen=True):
    """It is gone for good."""


WebhookEvent: TypeAlias = (
    WebhookCreated
    | WebhookChanged
    | WebhookSecretRotated
    | WebhookPaused
    | WebhookDisabled
    | WebhookResumed
    | WebhookReplayed
    | WebhookRemoved
)

# State


class Filter(Value, frozen=True):
    """Which events are wanted. An empty part wants all."""

    areas: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()

    def wants(self, area: str, type: str, stream: str) -> bool:
        """Return whether an event of this type, on a stream of this area, is wanted."""
        return (
            (not self.areas or area in self.areas)
            and (not self.types or unversioned(type) in self.types)
            and (not self.accounts or stream in self.accounts)
        )


class Policy(Value, frozen=True):
    """When a webhook is disabled: after so many failed attempts in a row that lasted for so many hours."""

    failures: int
    hours: int

    def ends(self, cause: Cause, failures: int, since: datetime, at: datetime) -> bool:
        """Return whether a webhook is disabled that failed so often since then, the last time of this cause."""
        return cause in LASTING or (failures >= self.failures and at - since >= timedelta(hours=self.hours))


class Webhook(Value, frozen=True):
    """A webhook at a version of its stream."""

    version: int
    id: str
    url: str
    filter: Filter
    contact: str
    policy: Policy
    status: Status = "active"
    begun: int = 1  # version of the event that says where it begins: that it was created or replayed
    after: int | None = None  # where it begins; None: at its first event
    restarted: int = 1  # version of the event since which failures count
    secret: int = 1  # version of the event that made the secret
    secret_before: int | None = None  # version of the event that made the secret before
    overlap_until: datetime | None = None  # until when that one signs too

    def refuse_unless(self, verb: str, *required: Status) -> Refused | None:
        """Return the refusal of what needs another status, or None."""
        if self.status in required:
            return None
        figures = {"webhook": self.id, "status": self.status, "required": " or ".join(required), "verb": verb}
        return Refused("webhook_status", dict(figures))

    def secrets(self, at: datetime) -> tuple[int, ...]:
        """Return the versions of the events whose secrets sign at this time, the newest first."""
        both = self.secret_before is not None and self.overlap_until is not None and at < self.overlap_until
        return (self.secret, self.secret_before) if both and self.secret_before is not None else (self.secret,)


PRESENT: tuple[Status, ...] = ("active", "paused", "disabled")


def unversioned(type: str) -> str:
    """Return the name of an event type without its version."""
    return _VERSION.sub("", type)


def evolve(state: Webhook | None, event: WebhookEvent) -> Webhook:
    """Return the webhook after the event. Raises ValueError if the stream does not begin with `WebhookCreated`."""
    version = event.originator_version
    if isinstance(event, WebhookCreated):
        return Webhook(
            version=version,
            id=event.originator_id,
            url=event.url,
            filter=Filter(event.areas, event.types, event.accounts),
            contact=event.contact,
            policy=Policy(event.failures, event.hours),
            after=event.after,
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with WebhookCreated")
    match event:
        case WebhookChanged():
            return replace(
                state,
                version=version,
                url=event.url,
                filter=Filter(event.areas, event.types, event.accounts),
                contact=event.contact,
                policy=Policy(event.failures, event.hours),
                restarted=version,
            )
        case WebhookSecretRotated():
            until = event.overlap_until
            return replace(state, version=version, secret=version, secret_before=state.secret, overlap_until=until)
        case WebhookPaused():
            return replace(state, version=version, status="paused")
        case WebhookDisabled():
            return replace(state, version=version, status="disabled")
        case WebhookResumed():
            return replace(state, version=version, status="active", restarted=version)
        case WebhookReplayed():
            return replace(state, version=version, begun=version, after=event.after, restarted=version)
        case WebhookRemoved():
            return replace(state, version=version, status="removed")


# Commands


class _OnOneWebhook(Value, frozen=True):
    webhook: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.webhook,)


class _Described(_OnOneWebhook, frozen=True):
    url: str
    areas: tuple[str, ...]
    types: tuple[str, ...]
    accounts: tuple[str, ...]
    contact: str
    failures: int
    hours: int

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.webhook, self.contact)


class CreateWebhook(_Described, frozen=True):
    """Have events sent to an address."""

    after: int | None = None


class ChangeWebhook(_Described, frozen=True):
    """Replace address, filter, contact and policy."""


class RotateWebhookSecret(_OnOneWebhook, frozen=True):
    """Have a new secret made. The old one signs too until then."""

    overlap_until: datetime


class PauseWebhook(_OnOneWebhook, frozen=True):
    """Send nothing until it is resumed."""


class ResumeWebhook(_OnOneWebhook, frozen=True):
    """Send again what was not taken, after a pause or after it was disabled."""


class ReplayWebhook(_OnOneWebhook, frozen=True):
    """Send the events after a position, again if they were sent."""

    after: int


class RemoveWebhook(_OnOneWebhook, frozen=True):
    """Remove it for good."""


class DisableWebhook(_OnOneWebhook, frozen=True):
    """Disable it, as its policy says. The worker sends this, and names the version since which it counted."""

    restarted: int
    cause: Cause
    reply: int | None
    failures: int
    since: datetime


# Rules

RULES: dict[str, str] = {
    "webhook_exists": "Webhook {webhook} exists already.",
    "webhook_status": "Webhook {webhook} is {status}; only one that is {required} can be {verb}.",
    "webhook_url": (
        "The address of a webhook is like https://example.com/path, with a port up to 65535, {most} characters at "
        "most, and without a user, a query or a fragment."
    ),
    "webhook_filter": "The filter has {number} {kind}; the most is {most}.",
    "webhook_policy": (
        "A webhook is disabled after {least_failures} to {most_failures} failures and {least_hours} to {most_hours} "
        "hours; this one would be after {failures} and {hours}."
    ),
    "webhook_position": "A position is from 0 to {most}; this one is {after}.",
    "webhook_overlap": "The secret before signs until {latest} at the latest; this would be until {until}.",
    "webhook_unchanged": "Webhook {webhook} already is what it would be changed to.",
    "webhook_restarted": (
        "Webhook {webhook} was restarted meanwhile: failures before its version {restarted} do not count."
    ),
    "webhook_not_failing": (
        "Webhook {webhook} failed {failures} times since {since}; it is disabled after {required} times in {hours} "
        "hours."
    ),
}

# Decisions


def create(command: CreateWebhook, states: States, context: Context) -> Decision:
    if states[command.webhook] is not None:
        return Refused("webhook_exists", {"webhook": command.webhook})
    refusal = _refuse_description(command, states)
    if refusal is None and command.after is not None:
        refusal = _refuse_position(command.after)
    if refusal is not None:
        return refusal
    event = WebhookCreated(
        originator_id=command.webhook,
        originator_version=1,
        url=command.url,
        areas=_in_order(command.areas),
        types=_in_order(command.types),
        accounts=_in_order(command.accounts),
        contact=command.contact,
        failures=command.failures,
        hours=command.hours,
        after=command.after,
    )
    return Accepted((event,), {"webhook": command.webhook, "status": "active", "set_by": 1})


def change(command: ChangeWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    refusal = webhook.refuse_unless("changed", *PRESENT) or _refuse_description(command, states)
    if refusal is not None:
        return refusal
    event = WebhookChanged(
        originator_id=webhook.id,
        originator_version=webhook.version + 1,
        url=command.url,
        areas=_in_order(command.areas),
        types=_in_order(command.types),
        accounts=_in_order(command.accounts),
        contact=command.contact,
        failures=command.failures,
        hours=command.hours,
    )
    return _refuse_unchanged(webhook, event) or _accepted(webhook, event)


def rotate_secret(command: RotateWebhookSecret, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    latest = context.decided_at + MOST_OVERLAP
    refusal = webhook.refuse_unless("given a new secret", *PRESENT)
    if refusal is None and command.overlap_until > latest:
        figures = {"latest": latest.isoformat(), "until": command.overlap_until.isoformat()}
        refusal = Refused("webhook_overlap", dict(figures))
    if refusal is not None:
        return refusal
    version = webhook.version + 1
    event = WebhookSecretRotated(webhook.id, version, command.overlap_until)
    return Accepted((event,), {"webhook": webhook.id, "status": webhook.status, "set_by": version})


def pause(command: PauseWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    refusal = webhook.refuse_unless("paused", "active")
    return refusal or _accepted(webhook, WebhookPaused(webhook.id, webhook.version + 1))


def resume(command: ResumeWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    refusal = webhook.refuse_unless("resumed", "paused", "disabled")
    return refusal or _accepted(webhook, WebhookResumed(webhook.id, webhook.version + 1))


def replay(command: ReplayWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    refusal = webhook.refuse_unless("replayed", *PRESENT) or _refuse_position(command.after)
    return refusal or _accepted(webhook, WebhookReplayed(webhook.id, webhook.version + 1, command.after))


def remove(command: RemoveWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    refusal = webhook.refuse_unless("removed", *PRESENT)
    return refusal or _accepted(webhook, WebhookRemoved(webhook.id, webhook.version + 1))


def disable(command: DisableWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    event = WebhookDisabled(
        originator_id=webhook.id,
        originator_version=webhook.version + 1,
        contact=webhook.contact,
        cause=command.cause,
        reply=command.reply,
        failures=command.failures,
        since=command.since,
    )
    refusal = webhook.refuse_unless("disabled", "active")
    if refusal is None and command.restarted != webhook.restarted:
        refusal = Refused("webhook_restarted", {"webhook": webhook.id, "restarted": webhook.restarted})
    if refusal is None:
        refusal = _refuse_early(webhook, event, context.decided_at)
    return refusal or _accepted(webhook, event)


def _accepted(webhook: Webhook, event: WebhookEvent) -> Accepted:
    return Accepted((event,), {"webhook": webhook.id, "status": evolve(webhook, event).status})


def _in_order(texts: Sequence[str]) -> tuple[str, ...]:
    """Each text once, so that two spellings of the same filter are equal."""
    return tuple(sorted(set(texts)))


def _refuse_description(command: _Described, states: States) -> Refused | Unknown | None:
    refusal = _refuse_url(command.url) or _refuse_policy(command.failures, command.hours)
    refusal = refusal or _refuse_filter(Filter(command.areas, command.types, command.accounts))
    if refusal is not None:
        return refusal
    person = found(states, command.contact, Person)
    if person is None:
        return Unknown("person", command.contact)
    return person.refuse_unless("the contact of a webhook", "active")


def _refuse_url(url: str) -> Refused | None:
    port = _PORT.search(url)
    right = len(url) <= MOST_URL and _URL.fullmatch(url) is not None
    if right and (port is None or 0 < int(port[1]) <= 65535):
        return None
    return Refused("webhook_url", {"most": MOST_URL})


def _refuse_filter(filter: Filter) -> Refused | None:
    for kind, texts, most in (
        ("areas", filter.areas, MOST_AREAS),
        ("event types", filter.types, MOST_TYPES),
        ("accounts", filter.accounts, MOST_ACCOUNTS),
    ):
        if len(texts) > most:
            return Refused("webhook_filter", {"number": len(texts), "kind": kind, "most": most})
        for text in texts:
            refusal = refuse_other_than_code(f"item of {kind}", text)
            if refusal is not None:
                return refusal
    return None


def _refuse_policy(failures: int, hours: int) -> Refused | None:
    if LEAST_FAILURES <= failures <= MOST_FAILURES and LEAST_HOURS <= hours <= MOST_HOURS:
        return None
    bounds = {"least_failures": LEAST_FAILURES, "most_failures": MOST_FAILURES}
    bounds |= {"least_hours": LEAST_HOURS, "most_hours": MOST_HOURS}
    return Refused("webhook_policy", {**bounds, "failures": failures, "hours": hours})


def _refuse_position(after: int) -> Refused | None:
    return None if 0 <= after <= MOST_POSITION else Refused("webhook_position", {"most": MOST_POSITION, "after": after})


def _refuse_unchanged(webhook: Webhook, event: WebhookChanged) -> Refused | None:
    after = evolve(webhook, event)
    same = replace(after, version=webhook.version, restarted=webhook.restarted) == webhook
    return Refused("webhook_unchanged", {"webhook": webhook.id}) if same else None


def _refuse_early(webhook: Webhook, event: WebhookDisabled, at: datetime) -> Refused | None:
    """Return the refusal to disable a webhook before its policy says so, or None."""
    if webhook.policy.ends(event.cause, event.failures, event.since, at):
        return None
    policy, since = webhook.policy, event.since.isoformat()
    figures: dict[str, Figure] = {"webhook": webhook.id, "failures": event.failures, "since": since}
    return Refused("webhook_not_failing", {**figures, "required": policy.failures, "hours": policy.hours})


# Check


def check(before: Webhook | None, events: Sequence[WebhookEvent], decided: Decided) -> Iterator[Broken]:
    """Find a webhook that is created twice, is beyond the bounds, or changes in a status that does not allow it."""
    webhook = before
    for event in events:
        refusal = _refuse_fields(event)
        if isinstance(event, WebhookCreated):
            if webhook is not None:
                yield Broken(event, f"{webhook.id} is created again")
        elif webhook is not None:
            refusal = refusal or _refuse_event(webhook, event, decided.decided_at)
        if refusal is not None:
            yield refused(event, refusal, {**RULES, **CODE_RULES})
        webhook = evolve(webhook, event)


def _refuse_fields(event: WebhookEvent) -> Refused | None:
    if isinstance(event, WebhookReplayed):
        return _refuse_position(event.after)
    if not isinstance(event, WebhookCreated | WebhookChanged):
        return None
    refusal = _refuse_url(event.url) or _refuse_policy(event.failures, event.hours)
    refusal = refusal or _refuse_filter(Filter(event.areas, event.types, event.accounts))
    if refusal is None and isinstance(event, WebhookCreated) and event.after is not None:
        return _refuse_position(event.after)
    return refusal


def _refuse_event(webhook: Webhook, event: WebhookEvent, at: datetime) -> Refused | None:
    verb, required = _NEEDED[type(event)]
    refusal = webhook.refuse_unless(verb, *required)
    if refusal is None and isinstance(event, WebhookDisabled):
        return _refuse_early(webhook, event, at)
    if refusal is None and isinstance(event, WebhookSecretRotated) and event.overlap_until > at + MOST_OVERLAP:
        latest = (at + MOST_OVERLAP).isoformat()
        return Refused("webhook_overlap", {"latest": latest, "until": event.overlap_until.isoformat()})
    return refusal


_NEEDED: dict[type[Event], tuple[str, tuple[Status, ...]]] = {
    WebhookChanged: ("changed", PRESENT),
    WebhookSecretRotated: ("given a new secret", PRESENT),
    WebhookPaused: ("paused", ("active",)),
    WebhookDisabled: ("disabled", ("active",)),
    WebhookResumed: ("resumed", ("paused", "disabled")),
    WebhookReplayed: ("replayed", PRESENT),
    WebhookRemoved: ("removed", PRESENT),
}
"""What each event needs: the verb of the sentence, and the statuses."""

_DECIDERS = OPERATORS | ADMINISTRATORS

AGGREGATE = Aggregate(
    name="webhook",
    prefix=f"{WEBHOOK}_",
    events=(
        EventType("webhook.created.v1", WebhookCreated),
        EventType("webhook.changed.v1", WebhookChanged),
        EventType("webhook.secret_rotated.v1", WebhookSecretRotated),
        EventType("webhook.paused.v1", WebhookPaused),
        EventType("webhook.disabled.v1", WebhookDisabled),
        EventType("webhook.resumed.v1", WebhookResumed),
        EventType("webhook.replayed.v1", WebhookReplayed),
        EventType("webhook.removed.v1", WebhookRemoved),
    ),
    evolve=evolve,
    decisions={
        CreateWebhook: create,
        ChangeWebhook: change,
        RotateWebhookSecret: rotate_secret,
        PauseWebhook: pause,
        ResumeWebhook: resume,
        ReplayWebhook: replay,
        RemoveWebhook: remove,
        DisableWebhook: disable,
    },
    rules={**RULES, **CODE_RULES, **PERSON_RULES},
    may={
        CreateWebhook: _DECIDERS,
        ChangeWebhook: _DECIDERS,
        RotateWebhookSecret: _DECIDERS,
        PauseWebhook: _DECIDERS,
        ResumeWebhook: _DECIDERS,
        ReplayWebhook: _DECIDERS,
        RemoveWebhook: _DECIDERS,
        DisableWebhook: PROCESSES,
    },
    check=check,
)
