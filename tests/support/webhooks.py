"""A receiver of webhooks that misbehaves as a test wants, and workers of webhooks on a test database."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Final

import orjson
from psycopg import Connection

from domain.registry import MANAGERS
from domain.webhooks.webhook.commands import CreateWebhook
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.answers import Answer, Outcome
from eventstore.log.read import read_uuid
from eventstore.postgres.connect import pool_of
from eventstore.webhooks.deliveries import Delivery, deliveries
from eventstore.webhooks.positions import Position, read_position
from eventstore.webhooks.signatures import PREFIX, secret_of, signing_key
from projections.webhooks.webhooks import WebhookRow
from projections.webhooks.webhooks import webhook as read_webhook
from tests.samples.people.person import active
from tests.support.ledger import PRINCIPAL, executed
from tests.support.memory_ledger import By
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on
from tests.support.service import CLIENT_SECONDS, Service
from workers.clock_and_ids import now
from workers.processes.worker import Send, sender
from workers.webhooks.sending import Https, Sending
from workers.webhooks.worker import TURN_SECONDS, Counts, Worker

WEBHOOK: Final = "whk_1"
HANG: Final = "hang"
"""A receiver that takes the request and says nothing until it is released."""
Behaviour = int | str | bytes
"""A status, `HANG`, or the bytes of an answer."""


@dataclass(frozen=True)
class Received:
    """A request that a receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id to tell copies by."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent."""
        event: dict[str, Any] = orjson.loads(self.body)
        return event

    @property
    def position(self) -> int:
        """The position of the event."""
        return int(self.event["id"])


def signed_with(secret: str, received: Received) -> bool:
    """Whether a receiver with this secret takes the request for ours, as Standard Webhooks says."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{received.id}.{received.headers['webhook-timestamp']}.".encode() + received.body
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    signatures = [one.partition(",") for one in received.headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(text, expected) for version, _, text in signatures)


@dataclass
class Receiver:
    """What it got, and how it behaves: `behaviours` from their beginning, and then `usual`."""

    url: str = ""
    behaviours: list[Behaviour] = field(default_factory=list)
    usual: Behaviour | Callable[[Received], Behaviour] = 200
    received: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    released: Event = field(default_factory=Event)
    hanging: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    def got(self, request: Received) -> Behaviour:
        """Note a request and return what becomes of it."""
        with self._lock:
            self.received.append(request)
            if self.behaviours:
                return self.behaviours.pop(0)
            behaviour = self.usual(request) if callable(self.usual) else self.usual
            if behaviour == 200:
                self.taken.append(request)
            return behaviour

    @property
    def positions(self) -> list[int]:
        """The positions of what it took, in that order."""
        return [one.position for one in self.taken]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A running receiver on a free port of this machine."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            behaviour = made.got(Received(headers, body))
            if behaviour == HANG:
                made.hanging.set()
                made.released.wait(60)
                behaviour = 200  # late: nobody waits for it
            if isinstance(behaviour, bytes):
                self.wfile.write(behaviour)
                return
            assert isinstance(behaviour, int)
            self.send_response(behaviour)
            self.send_header("location", "https://elsewhere.example/")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has left is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Webhooks:
    """A ledger with a projector and a clock, and workers that send to webhooks."""

    processes: Processes
    _open: ExitStack
    _reads: Connection[Any] = field(init=False)  # one for all reads: a server has a hundred connections

    def __post_init__(self) -> None:
        self._reads = self.processes.reading()

    def do(self, *commands: Any) -> Answer:
        """Execute commands, as an operator where they say no principal. All are accepted and folded."""
        answer: Answer | None = None
        for command in commands:
            by = command if isinstance(command, By) else By(PRINCIPAL, command)
            at = by.at or self.processes.clock.now
            answer = executed(self.processes.ledger.executor, By(by.principal, by.command, at))
            assert answer.outcome is Outcome.ACCEPTED, answer
        assert answer is not None
        self.processes.wait_until_folded()
        return answer

    def create(self, url: str, webhook: str = WEBHOOK, **more: Any) -> Answer:
        """A webhook of a contact of its own."""
        person = f"prsn_{webhook}"
        stated: dict[str, Any] = {"areas": (), "types": (), "accounts": (), "failures": 3, "hours": 1} | more
        return self.do(*active(person), CreateWebhook(webhook, url, contact=person, **stated))

    def worker(
        self,
        *,
        send: Send | None = None,
        sending: Sending | None = None,
        timeout_seconds: float = CLIENT_SECONDS,
        turn_seconds: float = TURN_SECONDS,
        counts: Counts | None = None,
    ) -> Worker:
        """A worker that may send to this machine."""
        ledger = self.processes.ledger
        reads = self.processes.reading()
        return Worker(
            send or sender(ledger.executor),
            "main",
            ledger.log_number,
            read_uuid(reads, ledger.log_number),
            reads,
            self._open.enter_context(
                pool_of(
                    ledger.database.api_url,
                    application_name="webhooks",
                    most=8,
                    wait_seconds=30,
                    statement_seconds=30,
                )
            ),
            ledger.codec,
            KeyedHashes(ledger.codec.sealer),
            sending or Https(allow_http=True, allow_private=True, timeout_seconds=timeout_seconds),
            self.processes.clock,
            lambda: 0.5,
            counts=counts,
            turn_seconds=turn_seconds,
        )

    def secret(self, version: int, webhook: str = WEBHOOK) -> str:
        """The secret that this version of the stream made."""
        hashes = KeyedHashes(self.processes.ledger.codec.sealer)
        return secret_of(signing_key(hashes, webhook, version)).reveal()

    def row(self, webhook: str = WEBHOOK) -> WebhookRow:
        """A webhook as it is now."""
        self.processes.wait_until_folded()
        found = read_webhook(self._reads, webhook)
        assert found is not None
        return found

    def position(self, webhook: str = WEBHOOK) -> Position | None:
        """How far it is."""
        return read_position(self._reads, self.processes.ledger.log_number, webhook)

    def reached(self, webhook: str = WEBHOOK) -> Position:
        """How far one is that was sent to."""
        found = self.position(webhook)
        assert found is not None
        return found

    def attempts(self, webhook: str = WEBHOOK, **more: Any) -> list[Delivery]:
        """The attempts, the oldest first."""
        found = deliveries(self._reads, self.processes.ledger.log_number, webhook, 1_000, **more)
        return found[::-1]

    def head(self) -> int:
        """The last position of the log."""
        row = self._reads.execute("SELECT position FROM log.logs WHERE name = 'main'").fetchone()
        assert row is not None
        return int(row[0])

    def later(self, by: timedelta) -> None:
        """Move the clock."""
        self.processes.clock.forward(by)


@contextmanager
def webhooks_on(database: Database) -> Iterator[Webhooks]:
    """A ledger with a projector and all process managers, and a clock that tests move."""
    with ExitStack() as opened, processes_on(database, MANAGERS) as processes:
        yield Webhooks(processes, opened)
        opened.close()


@contextmanager
def service_worker(service: Service, reads: Connection[Any]) -> Iterator[Worker]:
    """A worker that sends to this machine what a running service appends, at the time of this machine."""
    assert service.services.people is not None
    number = service.services.log_number
    with pool_of(
        service.database.api_url, application_name="webhooks", most=8, wait_seconds=30, statement_seconds=30
    ) as connections:
        yield Worker(
            sender(service.services.executor),
            "main",
            number,
            read_uuid(reads, number),
            reads,
            connections,
            service.services.codec,
            service.services.people.hashes,
            Https(allow_http=True, allow_private=True, timeout_seconds=CLIENT_SECONDS),
            now,
            lambda: 0.5,
        )


def streams_in_order(received: Sequence[Received]) -> bool:
    """Whether the events of each stream came in order, and none is missing between two of them."""
    last: dict[str, int] = {}
    for one in received:
        stream, version = one.event["subject"], one.event["streamversion"]
        if stream in last and version not in (last[stream], last[stream] + 1):
            return False
        last[stream] = version
    return True
