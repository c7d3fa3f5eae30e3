"""A mail server of the tests, and workers of mail on a test database."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any, Final

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.registry import MANAGERS
from eventstore.credentials.mail_tokens import MailTokens
from eventstore.log.answers import Outcome
from projections.people.mails import MailRow
from projections.people.mails import mails as read_mails
from tests.support.credentials import pool_on
from tests.support.ledger import codec_of, executed
from tests.support.memory_ledger import By
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from workers.mail.composing import Sender
from workers.mail.sending import Delivery, Security, Server, Smtp
from workers.mail.worker import Tokens, Worker
from workers.processes.worker import Send, sender
from workers.processes.worker import Worker as ProcessWorker

SENDER: Final = Sender(Address("Daybook", addr_spec="no-reply@daybook.example"), "https://app.example/people")
OK: Final = "250 OK"
PATIENCE_SECONDS: Final = 60.0
"""The most that a server may need to start. A shared machine is slow now and then."""


@dataclass
class Inbox:
    """What a mail server got. It answers with `answers`, from their beginning, and then takes everything."""

    answers: list[str] = field(default_factory=list)
    received: list[tuple[tuple[str, ...], EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a message, or answer as the test wants."""
        answer = self.answers.pop(0) if self.answers else OK
        if answer == OK:
            content = envelope.content
            assert isinstance(content, bytes)
            message = message_from_bytes(content, policy=SMTPUTF8)
            assert isinstance(message, EmailMessage)
            self.raw.append(content)
            self.received.append((tuple(map(str, envelope.rcpt_tos)), message))
        return answer


class OnFreePort(Controller):
    """A server on a port that the system chooses."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_server(
    *, international: bool = True, tls: ssl.SSLContext | None = None, **more: Any
) -> Iterator[tuple[Inbox, int]]:
    """A running mail server on a free port. `tls`: it offers STARTTLS."""
    inbox = Inbox()
    controller = OnFreePort(
        inbox,
        hostname="127.0.0.1",
        port=0,
        enable_SMTPUTF8=international,
        tls_context=tls,
        ready_timeout=PATIENCE_SECONDS,
        **more,
    )
    controller.start()
    try:
        yield inbox, controller.port
    finally:
        controller.stop()


def smtp(port: int, security: Security = "none", *, user: str | None = None, password: str | None = None) -> Smtp:
    """A way to this server."""
    return Smtp(
        Server("127.0.0.1", port, security, user, password),
        "daybook.example",
        timeout_seconds=5,
    )


def parts(message: EmailMessage) -> tuple[str, str]:
    """The plain text and the HTML of a message."""
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


@dataclass
class Mails:
    """Persons, the process manager that queues mails, and workers that send them."""

    processes: Processes
    tokens: MailTokens
    pool: ConnectionPool[Connection[Any]]
    _queueing: ProcessWorker = field(init=False)
    _reads: Connection[Any] = field(init=False)

    def __post_init__(self) -> None:
        self._queueing = self.processes.worker()
        self._reads = self.processes.reading()

    def do(self, *commands: By) -> None:
        """Execute commands, and queue the mails that they ask for."""
        for command in commands:
            answer = executed(self.processes.ledger.executor, command)
            assert answer.outcome is Outcome.ACCEPTED, answer
        self.processes.wait_until_folded()
        settle(self._queueing)
        self.processes.wait_until_folded()

    def worker(self, delivery: Delivery, send: Send | None = None, *, tokens: Tokens | None = None) -> Worker:
        """A worker of mail."""
        ledger = self.processes.ledger
        return Worker(
            send or sender(ledger.executor),
            "main",
            ledger.log_number,
            self.processes.reading(),
            codec_of(self.processes.reading(), ledger.log_number),
            self.processes.checkpoints,
            tokens or self.tokens,
            delivery,
            SENDER,
            self.processes.clock,
        )

    def all(self) -> tuple[MailRow, ...]:
        """All mails as they are now."""
        self.processes.wait_until_folded()
        return read_mails(self._reads).items

    def one(self) -> MailRow:
        """The only mail."""
        [mail] = self.all()
        return mail


@contextmanager
def mails_on(database: Database) -> Iterator[Mails]:
    """A ledger with a projector and all process managers."""
    with ExitStack() as opened:
        processes = opened.enter_context(processes_on(database, MANAGERS))
        pool = opened.enter_context(pool_on(database))
        yield Mails(processes, MailTokens(pool, processes.ledger.log_number, processes.clock), pool)


def sent(worker: Worker, most: int = 20) -> int:
    """Sweep until nothing is due. Returns the number of sweeps that recorded something."""
    sweeps = 0
    while worker.sweep():
        sweeps += 1
        assert sweeps < most, "the worker goes round and round"
    return sweeps
