"""The whole service in one process: executor, API and projections on a test database."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

import httpx
import psycopg
import uvicorn
from psycopg import Connection
from starlette.types import ASGIApp

from api.app import create_app
from api.gateway.connections import ConnectionLimits, server_options
from api.gateway.principals import FixedPrincipals, TokenHolder, digest
from api.gateway.tickets import Tickets, ticket_key
from api.queries.positions import token
from api.services import Limits, People, Services
from bench.harness.tables import begin_read_tables
from domain.accounts.numbers import InternalRole
from domain.accounts.posting import internal_account
from domain.kernel import Principal
from domain.permissions import CUSTOMERS, ROLES
from domain.registry import RULES
from domain.subjects import subject_stream
from eventstore.batches.spool import Spool
from eventstore.credentials.argon2_hashing import Argon2
from eventstore.executor.asynchronous import MOST_WAITING_PER_ACTOR, AsyncExecutor
from eventstore.executor.executor import Executor
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.answers import ACCEPTED, Outcome
from eventstore.log.numbers import Numbers
from eventstore.postgres.connect import connect, pool_of
from eventstore.reads.recorder import Recorder
from projections.engine.follow import follow
from projections.engine.waiting import Checkpoints
from projections.registry import PROJECTIONS
from tests.support.credentials import SMALL, pool_on
from tests.support.ledger import MASTER_KEY, NOW, codec_of, executor_on
from tests.support.memory_ledger import APPROVER, APPROVER_TOKEN, By
from tests.support.postgres import Database
from workers.clock_and_ids import new_id as fresh_id
from workers.composition import WriteSide, manager_principal, system_submission
from workers.erasure import erase_subject
from workers.people import MasterKeyBytes, made_people

TOKENS: dict[str, str] = {role: f"secret-of-{role}" for role in ROLES}
CUSTOMER = "owner-1"
"""The person who has the token of a customer. The accounts of the samples are hers."""
GRANTS = {
    digest(TOKENS[role]): TokenHolder(Principal(f"the-{role}", (role,), person=CUSTOMER if role in CUSTOMERS else None))
    for role in ROLES
} | {digest(APPROVER_TOKEN): TokenHolder(APPROVER)}

MANY_VISITS = 1_000_000
"""All tests come from one address."""
PEOPLE_SECONDS, READ_SECONDS, CLIENT_SECONDS = 30.0, 30.0, 120.0
"""How long what is known of people is fresh, a read waits for the fold, and a client for an answer.

They are longer than in production: a shared machine stands still for seconds, and no test may fail because of it.
"""
CONNECTIONS = httpx.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=ConnectionLimits().idle_seconds / 2
)
"""A client drops an idle connection long before the server does. Else it could send on one that is being closed."""
_AT_ONCE = ("log", "replay", "streams", "commands", "batches", "health", "lag", "reads", "proof")
"""Reads that wait for no projection."""

_keys = count(1)


def _of_token(token: str) -> tuple[int, int]:
    """The epoch and the position of a token, which is ``main.1.42``."""
    _, epoch, position = token.rsplit(".", 2)
    return int(epoch), int(position)


class LogDigest(NamedTuple):
    """What the log holds. A refusal that is recorded leaves the events as they were: its own is among the records."""

    events: str  # without those of refusals, and the keys that what is personal in them is sealed with
    records: str | None
    recorded: int  # how many


def leaves_a_record(code: str) -> bool:
    """Whether a refusal with this code is recorded under its key: by a business rule, or of a version not as expected.

    Nothing else of a refused request may reach the log.
    """
    return code in RULES or code in ("versions_stale", "version_stale")


@dataclass
class Service:
    """A client of each role; `post` and `get` are the command client's."""

    database: Database
    app: ASGIApp
    http: httpx.Client
    services: Services
    grants: dict[bytes, TokenHolder]  # what the tokens give; what is taken out is revoked
    last: dict[str, str] = field(default_factory=dict)
    seeing: Lock = field(default_factory=Lock)
    made: dict[str, Any] = field(default_factory=dict)  # what is made once for all tests of a service

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        role: str = "command",
        key: str | None = None,
        token: str | None = None,
        **headers: str,
    ) -> Any:
        """Post a command; `headers` with underscores for hyphens. A batch has only a key that is given: it records it.

        `token` is another one than that of the role; empty for a visitor.
        """
        stated = TOKENS[role] if token is None else token
        sent = {"Authorization": f"Bearer {stated}"} if stated else {}
        if key or not path.startswith("batches") or "atomic" in path:
            sent["Idempotency-Key"] = key or f"key-number-{next(_keys):010}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.http.post(f"/v1/{path}", json={} if body is None else body, headers=sent)
        if "Daybook-Position" in response.headers:
            self.saw(response.headers["Daybook-Position"])
        return response

    def saw(self, position: str) -> None:
        """Let the next reads wait for this position, unless they wait for a later one already.

        Clients of a test run at once, and the answer that comes last is often not that of the last position.
        """
        with self.seeing:
            self.last["position"] = max(self.last.get("position", position), position, key=_of_token)

    def do(self, path: str, body: Any = None) -> dict[str, Any]:
        """Post a command that must be accepted, as an operator, and return its answer."""
        response = self.post(path, body, role="operator")
        assert response.status_code in (200, 201), response.text
        answer: dict[str, Any] = response.json()
        return answer

    def refused(self, path: str, body: Any = None) -> str:
        """Post a command that must be refused, as an operator, and return the id of its refusal."""
        response = self.post(path, body, role="operator")
        assert response.status_code == 422, response.text
        position = int(response.headers["Daybook-Position"].rpartition(".")[2])
        with psycopg.connect(self.database.url) as connection:
            row = connection.execute("SELECT stream FROM log.events WHERE position = %s", (position,)).fetchone()
        assert row is not None
        return str(row[0])

    def erased(self, subject: str) -> str:
        """Erase a person, as the owner, and return the name of the stream."""
        with psycopg.connect(self.database.url, autocommit=True) as owner:
            done = erase_subject(owner, self.services.log_number, subject, f"key-{next(_keys)}")
        self.last["position"] = token(self.services.log, 1, done.position)
        return subject_stream(subject)

    def record(self, command: Any) -> None:
        """Execute a command that only process managers send."""
        self.executed(By(manager_principal("publication"), command))

    def executed(self, command: By, outcome: Outcome = ACCEPTED) -> dict[str, Any]:
        """Execute a command by its principal, without a request. It has this outcome."""
        key = f"key-{next(_keys)}"
        log, now = self.services.log, self.services.clock()
        submission = system_submission(command.principal, key, command.command, key, log, now)
        [answer] = self.services.executor.execute([submission])
        assert answer.outcome is outcome, answer
        self.last["position"] = token(self.services.log, answer.epoch, answer.last_position or 0)
        return dict(answer.result)

    def get(
        self, path: str, *, role: str = "report", fresh: bool = True, token: str | None = None, **params: Any
    ) -> httpx.Response:
        """Read; `fresh` waits for what was last written. `token` is another one than that of the role."""
        if fresh and "position" in self.last and not path.startswith(_AT_ONCE):
            params.setdefault("min_position", self.last["position"])
        headers = {"Authorization": f"Bearer {token or TOKENS[role]}"}
        return self.http.get(f"/v1/{path}", params=params, headers=headers)

    def customer(self, person: str) -> str:
        """The token of a person who is a customer."""
        text = f"secret-of-{person}"
        self.grants[digest(text)] = TokenHolder(Principal(f"app-of-{person}", ("customer",), person=person))
        return text

    def account(self, balance: str | None = None, **more: Any) -> str:
        """A fresh account with so much on it."""
        body = {"type": "checking", "currency": "EUR", "owner": "customer-1", "name": "Ada Lovelace", **more}
        opened = self.post("accounts", body)
        assert opened.status_code == 201, opened.text
        id: str = opened.json()["account"]
        if balance is not None:
            done = self.post(f"accounts/{id}/deposits", {"amount": balance, "currency": body["currency"]})
            assert done.status_code == 201, done.text
        return id

    def log_digest(self) -> LogDigest:
        """Digests of all events with their keys and of all records: equal before and after what changes nothing."""
        with psycopg.connect(self.database.url) as connection:
            row = connection.execute(
                "SELECT concat((SELECT md5(string_agg(md5(e::text), '' ORDER BY position)) FROM log.events e"
                " WHERE type <> 'command.refused.v1'),"
                " (SELECT md5(string_agg(md5(k::text), '' ORDER BY subject)) FROM log.subject_keys k)),"
                " (SELECT md5(string_agg(md5(c::text), '' ORDER BY actor, key)) FROM log.commands c),"
                " (SELECT count(*) FROM log.commands)"
            ).fetchone()
        assert row is not None
        return LogDigest(*row)


@contextmanager
def served(app: ASGIApp, limits: ConnectionLimits | None = None) -> Iterator[str]:
    """The application behind a real server on a free port; the answer is its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    options = server_options(limits or ConnectionLimits())
    config = uvicorn.Config(app, lifespan="off", log_level="warning", timeout_graceful_shutdown=1, **options)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"  # it listens already: who connects now waits
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def people_on(
    database: Database, executor: Executor, log_number: int, clock: Callable[[], datetime], fresh_seconds: float
) -> Iterator[People]:
    """The services of people, with cheap hashes of passwords."""

    def connected() -> Connection[Any]:
        return connect(database.api_url, application_name="people-states")

    with pool_on(database) as pool, connect(database.api_url, application_name="people-keys") as keys:
        side = WriteSide("main", log_number, executor, codec_of(keys, log_number))
        keys_of_log = MasterKeyBytes(MASTER_KEY)
        with made_people(
            pool,
            connected,
            side,
            keys_of_log,
            clock,
            Argon2(SMALL),
            fresh_seconds=fresh_seconds,
            visits_a_minute=MANY_VISITS,
        ) as people:
            yield people


@contextmanager
def service_on(
    database: Database,
    *,
    auth: bool = True,
    limits: Limits | None = None,
    now: datetime = NOW,
    clock: Callable[[], datetime] | None = None,
    principal_limit: int = MOST_WAITING_PER_ACTOR,
    allowed_origins: tuple[str, ...] = (),
    fresh: bool = True,
    people_seconds: float = PEOPLE_SECONDS,
    **more: Any,
) -> Iterator[Service]:
    """A service with all projections following. In a `fresh` database the internal accounts of EUR are opened."""
    with (
        executor_on(database, **more) as executor,
        connect(database.query_url, application_name="api-keys", read_only=True) as keys,
        ExitStack() as stack,
    ):
        row = keys.execute("SELECT log FROM log.logs WHERE name = 'main'").fetchone()
        assert row is not None
        pool = pool_of(
            database.query_url,
            application_name="reads",
            most=8,
            wait_seconds=30,
            statement_seconds=30,
            read_only=True,
        )
        pool.open()
        numbers = pool_of(database.api_url, application_name="numbers", most=1, wait_seconds=30, statement_seconds=30)
        numbers.open()
        spooling = pool_of(database.api_url, application_name="spool", most=2, wait_seconds=30, statement_seconds=30)
        spooling.open()
        spool_keys = stack.enter_context(connect(database.api_url, application_name="spool-keys"))
        checkpoints = Checkpoints(lambda: connect(database.query_url, application_name="checkpoints"), "main")
        grants = dict(GRANTS)
        at = clock or (lambda: now)
        people = stack.enter_context(people_on(database, executor, row[0], at, people_seconds)) if auth else None
        recorder = Recorder(
            lambda: connect(database.api_url, application_name="recorded-reads"),
            row[0],
            fresh_id("reads"),
            clock or (lambda: now),
            gather_seconds=0.01,
        )
        services = Services(
            log="main",
            log_number=row[0],
            executor=executor,
            commands=AsyncExecutor(executor, principal_limit),
            codec=codec_of(keys, row[0]),
            reads=pool.connection,
            checkpoints=checkpoints,
            numbers=Numbers(numbers.connection),
            new_id=fresh_id,
            clock=at,
            people=people,
            spool=Spool(spooling.connection, row[0], KeyedHashes(codec_of(spool_keys, row[0]).sealer)),
            principals=FixedPrincipals(grants, lambda: now) if auth else None,
            allowed_hosts=("127.0.0.1",),
            limits=limits or Limits(wait_seconds=READ_SECONDS),
            tickets=Tickets(ticket_key(MASTER_KEY), lambda: now) if allowed_origins else None,
            allowed_origins=allowed_origins,
            recorder=recorder,
        )
        app = create_app(services)
        stop = Event()

        def project() -> None:
            follow(
                lambda: connect(database.projector_url, application_name="projector"),
                lambda connection, log_number: codec_of(connection, log_number),
                "main",
                PROJECTIONS,
                stop,
            )

        begin_read_tables(database)
        thread = Thread(target=project)
        thread.start()
        try:
            with (
                recorder,
                served(app) as url,
                httpx.Client(base_url=url, timeout=CLIENT_SECONDS, limits=CONNECTIONS) as http,
            ):
                service = Service(database, app, http, services, grants)
                roles: tuple[InternalRole, ...] = ("cash", "fees", "revenue")
                for role in roles if fresh else ():
                    body = {"type": role, "currency": "EUR", "name": role}
                    opened = service.post("accounts", body, role="operator")
                    assert opened.status_code == 201, opened.text
                    assert opened.json()["account"] == internal_account("main", role, "EUR")
                yield service
        finally:
            stop.set()
            thread.join()
            checkpoints.close()
            pool.close()
            numbers.close()
            spooling.close()
