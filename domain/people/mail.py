"""The aggregate mail: one message to a person. It is queued, sent, tried again, or given up.

Its stream has no address, no text and no token. The worker reads the address when it sends, makes the token then, and
records here what became of the attempt. A mail whose sending is not recorded is sent again: at least once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.kernel import Accepted, Context, Decision, Event, Personal, Refused, States, Unknown, Value, found
from domain.permissions import ADMINISTRATORS, OPERATORS, PROCESSES

MAIL = "mail"
"""Prefix of the ids of mails."""
MOST_ATTEMPTS = 10
"""Attempts until a mail is given up that a server refused for now, or that reached no server: within nine hours."""
FIRST_PAUSE = timedelta(minutes=1)
"""Between the first attempt and the second. Each further pause is twice as long."""

Template = Literal[
    "verify",
    "reset",
    "password_changed",
    "suspended",
    "administrator_granted",
    "administrator_revoked",
    "locked_out",
    "second_factor_set",
    "second_factor_removed",
    "api_key_made",
    "webhook_disabled",
    "transfer_executed",
    "transfer_not_executed",
]
"""What is written. Each has two files in `workers/mail/templates/`."""
Passing = Literal["unreachable", "tls", "sign_in", "refused_for_now", "folder"]
"""Causes that may pass: no connection, no trusted connection, no sign-in, an answer 4xx, a folder that is not there."""
Lasting = Literal[
    "refused", "address_malformed", "address_international", "erased", "unreadable", "unwanted", "superseded"
]
"""Causes that stay: an answer 5xx; no usable address, or one that the server cannot take; the person or their text is
gone or damaged; nothing to say any more; the token was used, or a later mail has it."""
Cause: TypeAlias = Passing | Lasting
PASSING: frozenset[str] = frozenset(get_args(Passing))
Status = Literal["waiting", "failed", "sent", "given_up"]
"""A failed mail is tried again by itself, one that was given up only if somebody asks for it."""

# Events


class MailQueued(Event, frozen=True):
    """A mail has to be sent. It is the first event of its stream."""

    person: str
    template: Template
    cause_version: int  # version of the event that asks for it, on the person's stream or on that of what it is about
    next_at: datetime  # when it is to be sent; aware, UTC


class MailSent(Event, frozen=True):
    """The mail server, or the folder, has the mail."""

    attempt: int


class MailFailed(Event, frozen=True):
    """An attempt failed. The mail is tried again."""

    attempt: int
    cause: Cause
    reply: int | None  # code of the server's answer (RFC 5321); its text may have an address
    next_at: datetime  # aware, UTC


class MailGivenUp(Event, frozen=True):
    """The mail is not tried again by itself."""

    attempt: int
    cause: Cause
    reply: int | None


class MailRetried(Event, frozen=True):
    """Somebody asked for a mail that was given up to be tried again. Its attempts count anew."""

    by: str
    reason: Personal
    next_at: datetime


MailEvent: TypeAlias = MailQueued | MailSent | MailFailed | MailGivenUp | MailRetried

# State


class Mail(Value, frozen=True):
    """A mail at a version of its stream."""

    version: int
    id: str
    person: str
    template: Template
    cause_version: int
    status: Status = "waiting"
    attempts: int = 0  # that ended, since it was queued or retried
    next_at: datetime | None = None  # None: never

    def refuse_unless(self, verb: str, *required: Status) -> Refused | None:
        """Return the refusal of what needs another status, or None."""
        if self.status in required:
            return None
        figures = {"mail": self.id, "status": self.status, "required": " or ".join(required), "verb": verb}
        return Refused("mail_status", dict(figures))

    def is_due(self, at: datetime) -> bool:
        """Return whether it has to be sent at this time."""
        return self.next_at is not None and self.next_at <= at


OPEN: tuple[Status, ...] = ("waiting", "failed")


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts."""
    return FIRST_PAUSE * (1 << (attempts - 1))


def evolve(state: Mail | None, event: MailEvent) -> Mail:
    """Return the mail after the event. Raises ValueError if the stream does not begin with `MailQueued`."""
    version = event.originator_version
    if isinstance(event, MailQueued):
        return Mail(
            version, event.originator_id, event.person, event.template, event.cause_version, next_at=event.next_at
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with MailQueued")
    match event:
        case MailSent():
            return replace(state, version=version, status="sent", attempts=event.attempt, next_at=None)
        case MailFailed():
            return replace(state, version=version, status="failed", attempts=event.attempt, next_at=event.next_at)
        case MailGivenUp():
            return replace(state, version=version, status="given_up", attempts=event.attempt, next_at=None)
        case MailRetried():
            return replace(state, version=version, status="waiting", attempts=0, next_at=event.next_at)


# Commands


class _OnOneMail(Value, frozen=True):
    mail: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.mail,)


class QueueMail(_OnOneMail, frozen=True):
    """Have a mail sent to a person."""

    person: str
    template: Template
    cause_version: int


class RecordMailSent(_OnOneMail, frozen=True):
    """Record that an attempt succeeded."""

    attempt: int


class RecordMailFailed(_OnOneMail, frozen=True):
    """Record that an attempt failed: it is tried again later, or given up."""

    attempt: int
    cause: Cause
    reply: int | None = None


class RetryMail(_OnOneMail, frozen=True):
    """Try a mail again that was given up."""

    reason: Personal


# Rules

RULES: dict[str, str] = {
    "mail_exists": "Mail {mail} exists already.",
    "mail_status": "Mail {mail} is {status}; only one that is {required} can be {verb}.",
    "mail_attempt": "Attempt {attempt} of mail {mail} is not its next one, which is {next}.",
}

# Decisions


def queue(command: QueueMail, states: States, context: Context) -> Decision:
    if states[command.mail] is not None:
        return Refused("mail_exists", {"mail": command.mail})
    event = MailQueued(
        originator_id=command.mail,
        originator_version=1,
        person=command.person,
        template=command.template,
        cause_version=command.cause_version,
        next_at=context.decided_at,
    )
    return Accepted((event,), {"mail": command.mail})


def record_sent(command: RecordMailSent, states: States, context: Context) -> Decision:
    mail = found(states, command.mail, Mail)
    if mail is None:
        return Unknown("mail", command.mail)
    refusal = _refuse_attempt(mail, command.attempt)
    if refusal is not None:
        return refusal
    return Accepted((MailSent(mail.id, mail.version + 1, command.attempt),), {"mail": mail.id})


def record_failed(command: RecordMailFailed, states: States, context: Context) -> Decision:
    mail = found(states, command.mail, Mail)
    if mail is None:
        return Unknown("mail", command.mail)
    refusal = _refuse_attempt(mail, command.attempt)
    if refusal is not None:
        return refusal
    return Accepted((_failure(mail, command, context.decided_at),), {"mail": mail.id})


def _failure(mail: Mail, command: RecordMailFailed, at: datetime) -> MailFailed | MailGivenUp:
    if command.cause not in PASSING or command.attempt >= MOST_ATTEMPTS:
        return MailGivenUp(mail.id, mail.version + 1, command.attempt, command.cause, command.reply)
    return MailFailed(
        originator_id=mail.id,
        originator_version=mail.version + 1,
        attempt=command.attempt,
        cause=command.cause,
        reply=command.reply,
        next_at=at + pause_after(command.attempt),
    )


def retry(command: RetryMail, states: States, context: Context) -> Decision:
    mail = found(states, command.mail, Mail)
    if mail is None:
        return Unknown("mail", command.mail)
    refusal = mail.refuse_unless("retried", "given_up")
    if refusal is not None:
        return refusal
    event = MailRetried(mail.id, mail.version + 1, context.principal.id, command.reason, context.decided_at)
    return Accepted((event,), {"mail": mail.id})


def _refuse_attempt(mail: Mail, attempt: int) -> Refused | None:
    next = mail.attempts + 1
    refusal = mail.refuse_unless("sent", *OPEN)
    if refusal is not None or attempt == next:
        return refusal
    return Refused("mail_attempt", {"attempt": attempt, "mail": mail.id, "next": next})


# Check


def check(before: Mail | None, events: Sequence[MailEvent], decided: Decided) -> Iterator[Broken]:
    """Find a mail that is queued twice, an attempt out of order, one too many, and a needless retry."""
    mail = before
    for event in events:
        refusal: Refused | None = None
        if isinstance(event, MailQueued):
            if mail is not None:
                yield Broken(event, f"{mail.id} is queued again")
        elif mail is not None:
            if isinstance(event, MailRetried):
                refusal = mail.refuse_unless("retried", "given_up")
            else:
                refusal = _refuse_attempt(mail, event.attempt)
        if isinstance(event, MailFailed) and (event.cause not in PASSING or event.attempt >= MOST_ATTEMPTS):
            yield Broken(event, f"{event.originator_id} is tried again after {event.attempt} attempts: {event.cause}")
        if isinstance(event, MailFailed) and event.next_at != decided.decided_at + pause_after(event.attempt):
            yield Broken(
                event, f"{event.originator_id} is tried again at another time than {event.attempt} attempts say"
            )
        if refusal is not None:
            yield refused(event, refusal, RULES)
        mail = evolve(mail, event)


AGGREGATE = Aggregate(
    name="mail",
    prefix=f"{MAIL}_",
    events=(
        EventType("mail.queued.v1", MailQueued),
        EventType("mail.sent.v1", MailSent),
        EventType("mail.failed.v1", MailFailed),
        EventType("mail.given_up.v1", MailGivenUp),
        EventType(name="mail.retried.v1", event=MailRetried, subject="by", personal=("reason",)),
    ),
    evolve=evolve,
    decisions={QueueMail: queue, RecordMailSent: record_sent, RecordMailFailed: record_failed, RetryMail: retry},
    rules=RULES,
    may={
        QueueMail: PROCESSES,
        RecordMailSent: PROCESSES,
        RecordMailFailed: PROCESSES,
        RetryMail: OPERATORS | ADMINISTRATORS,
    },
    check=check,
)
