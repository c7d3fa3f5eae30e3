"""The worker of mails. What is to send stands in the read table of mails; what is true stands on the streams.

One sweep does this for each mail whose time has come:

- It takes the lock of the mail. Another worker that has it sends the mail.
- It folds the mail's stream. A mail that another worker has sent meanwhile is not due any more.
- It folds the person's stream, for the address, and for whether the mail is wanted at all.
- It makes the token, renders the message, sends it, and records the result.

Then it waits until the projection has folded what it appended. A crash after the server took the message and before
that is recorded sends the message again, with the same Message-ID.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from time import monotonic
from typing import Any, Protocol

from psycopg import Connection

from domain import registry
from domain.kernel import Erased, Personal, Unreadable
from domain.people.mail import Mail, RecordMailFailed, RecordMailSent
from domain.people.mailing import is_wanted
from domain.people.person.events import PersonProfileChanged, PersonRegistered
from domain.people.person.state import Person
from eventstore.credentials.mail_tokens import Purpose
from eventstore.credentials.tokens import Secret
from eventstore.log.answers import Answer
from eventstore.log.codec import Codec
from eventstore.log.read import STREAM_PAGE, read_stream
from eventstore.postgres.ownership import Ownership
from eventstore.postgres.ownership import Purpose as LockPurpose
from projections.engine.runner import TRANSIENT
from projections.engine.waiting import BehindError, Checkpoints
from projections.people.mails import MAILS, due_mails
from workers.composition import manager_principal, system_submission
from workers.mail.composing import Recipient, Sender, compose
from workers.mail.failure import MailError
from workers.mail.sending import Delivery
from workers.processes.worker import Send
from workers.settings import QUERY_ROLE

logger = logging.getLogger(__name__)

PAGE = 100
"""Mails that are read at once."""
FOLD_SECONDS = 5.0
"""How long to wait for the projection. After it the sweep begins anew; the streams say what is done."""
MOST_UNRECORDED = 1_000
"""Results that wait to be recorded. With so many nothing is sent until they are."""
FAULT_SECONDS = 60.0
"""How long a mail rests that cannot be carried on because of an error in Daybook, or for want of a newer version."""
MOST_FAULTY = 10_000
"""Mails that may rest at once. Then all are tried again."""
ACTOR = "mail"
SENDING = LockPurpose("send", "mail", QUERY_ROLE)
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Tokens(Protocol):
    """Makes tokens (`eventstore.credentials.mail_tokens.MailTokens`)."""

    def issue(self, person: str, purpose: Purpose, version: int) -> Secret | None: ...


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """What became of an attempt, and the version of the mail's stream before it."""

    version: int
    command: RecordMailSent | RecordMailFailed


class Worker:
    """Sends mails. For one thread.

    `reads` is a connection that reads and holds the locks, `clock` the time that decides what is due. Raises
    `TRANSIENT` errors of the connections; a new worker goes on from there.
    """

    def __init__(
        self,
        send: Send,
        log: str,
        log_number: int,
        reads: Connection[Any],
        codec: Codec,
        checkpoints: Checkpoints,
        tokens: Tokens,
        delivery: Delivery,
        sender: Sender,
        clock: Callable[[], datetime],
    ) -> None:
        self._send = send
        self._log = log
        self._log_number = log_number
        self._reads = reads
        self._codec = codec
        self._checkpoints = checkpoints
        self._tokens = tokens
        self._delivery = delivery
        self._sender = sender
        self._clock = clock
        self._unrecorded: dict[str, Unrecorded] = {}
        self._resting: dict[str, float] = {}

    def sweep(self, stop: Event | None = None) -> bool:
        """Send every mail whose time has come, until `stop` is set, and wait for the fold.

        Returns whether anything was recorded.
        """
        reached = 0
        for mail in self._due():
            if stop is not None and stop.is_set():
                break
            answer = self._alone(mail)
            if answer is not None and not answer.replayed:
                reached = max(reached, answer.last_position or 0)
        if reached:
            try:
                self._checkpoints.wait_here((MAILS.name,), reached, FOLD_SECONDS)
            except BehindError as behind:
                logger.warning("%s; mails go on once it has", behind)
        return bool(reached)

    def _due(self) -> Iterator[str]:
        now, after = self._clock(), (_BEGINNING, "")
        while found := due_mails(self._reads, now, after, PAGE):
            mail, at = found[-1]
            after = (at, mail)
            for mail, _ in found:
                yield mail

    def _alone(self, mail: str) -> Answer | None:
        """Carry a mail on, unless another worker does. Returns the answer to what was recorded."""
        if self._resting.get(mail, 0.0) > monotonic():
            return None
        lock = Ownership(self._reads, SENDING, self._log_number, [mail])
        if not lock.acquire():
            return None
        try:
            return self._carry_on(mail)
        except TRANSIENT:
            raise
        except Exception as error:  # the next mails must not wait for it
            self._rest(mail, error)
            return None
        finally:
            if not self._reads.closed:  # else the lock is free already
                lock.release()

    def _rest(self, mail: str, error: Exception) -> None:
        """Let a mail rest that cannot be carried on. The error is named by its class: its text may be personal."""
        name = type(error).__name__
        logger.error("mail %s cannot go on, and is tried again in %g s: %s", mail, FAULT_SECONDS, name)
        if len(self._resting) >= MOST_FAULTY:
            self._resting.clear()
        self._resting[mail] = monotonic() + FAULT_SECONDS

    def _carry_on(self, mail: str) -> Answer | None:
        events = self._events(mail)
        state = self._folded(events, Mail)
        known = self._unrecorded.pop(mail, None)
        if state is None or not state.is_due(self._clock()):
            return None
        if known is not None and known.version == state.version:
            return self._record(known)
        if len(self._unrecorded) >= MOST_UNRECORDED:
            return None
        return self._record(Unrecorded(state.version, self._attempted(state)))

    def _attempted(self, mail: Mail) -> RecordMailSent | RecordMailFailed:
        """Try to send a mail, and return what has to be recorded."""
        attempt = mail.attempts + 1
        try:
            self._try(mail)
        except MailError as error:
            logger.warning("mail %s was not sent at attempt %d: %s", mail.id, attempt, error)
            return RecordMailFailed(mail.id, attempt, error.cause, error.reply)
        logger.info("mail %s was sent at attempt %d", mail.id, attempt)
        return RecordMailSent(mail.id, attempt)

    def _try(self, mail: Mail) -> None:
        """Send a mail. Raises `MailError`."""
        recipient = self._recipient(mail)
        token = self._token(mail)
        message = compose(mail.id, mail.template, self._sender, recipient, token, self._clock())
        self._delivery.send(mail.id, message, recipient.address)

    def _recipient(self, mail: Mail) -> Recipient:
        """Who gets a mail. Raises `MailError` if there is nobody, or nothing to say to them."""
        events = self._events(mail.person)
        person = self._folded(events, Person)
        address: Personal | None = None
        name: Personal | None = None
        for event in events:
            if isinstance(event, PersonRegistered):
                address, name = event.email, event.name
            elif isinstance(event, PersonProfileChanged):
                name = event.name
        if isinstance(address, Erased) or isinstance(name, Erased):
            raise MailError("erased")
        if person is None or not is_wanted(mail.template, person):
            raise MailError("unwanted")
        if address is None or isinstance(address, Unreadable):
            raise MailError("unreadable")
        return Recipient(address, name if isinstance(name, str) and person.email_verified else None)

    def _token(self, mail: Mail) -> str | None:
        """The token in a mail that has one. Raises `MailError` if it was used, or a later mail has it."""
        if mail.template != "verify" and mail.template != "reset":
            return None
        token = self._tokens.issue(mail.person, mail.template, mail.cause_version)
        if token is None:
            raise MailError("superseded")
        return token.reveal()

    def _record(self, result: Unrecorded) -> Answer | None:
        """Record what became of an attempt. What cannot be recorded now is kept, so that it is not sent again."""
        key = f"{result.command.mail}:{result.version}"
        principal = manager_principal(ACTOR)
        now = self._clock()
        [answer] = self._send([system_submission(principal, key, result.command, key, self._log, now)])
        if isinstance(answer, Answer):
            return answer
        logger.warning("what became of mail %s is recorded later: %s", result.command.mail, answer)
        self._unrecorded[result.command.mail] = result
        return None

    def _events(self, stream: str) -> list[Any]:
        """All events of a stream."""
        events: list[Any] = []
        after = 0
        while True:
            page = read_stream(self._reads, self._log_number, stream, after=after, limit=STREAM_PAGE)
            stored = [(one.type, one.payload, one.stream, one.version) for one in page]
            for event in self._codec.decode_many(stored):
                if isinstance(event, Exception):
                    raise event
                events.append(event)
            if len(page) < STREAM_PAGE:
                return events
            after = page[-1].version

    @staticmethod
    def _folded(events: list[Any], kind: type[Any]) -> Any:
        state = None
        for event in events:
            state = registry.evolve(state, event)
        return state if isinstance(state, kind) else None
