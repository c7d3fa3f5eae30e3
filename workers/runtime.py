"""The composition root: settings become connections of least privilege, codec and executor, here and nowhere else."""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import pwd
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, get_args

from psycopg import Connection

from api.commands.answer_codes import answer_codes
from api.gateway.access_log import LOGGER, MOST_ID, write_line
from domain import registry
from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.numbers import InternalRole, account_number
from domain.accounts.posting import internal_account
from domain.ids import TAIL, fresh_id, tails
from domain.kernel import ERASED, UNREADABLE, Context
from domain.registry import CATALOGUE, COMMUTING, SNAPSHOTS
from eventstore.executor.decided_commands import Submission
from eventstore.executor.executor import Executor
from eventstore.executor.snapshots import JsonStates, Snapshots
from eventstore.executor.stream_states import Fold
from eventstore.keys.sealing import Sealer
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.answers import ACCEPTED
from eventstore.log.codec import Codec
from eventstore.log.metadata import metadata
from eventstore.log.numbers import Numbers
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from workers.embedded import EmbeddedPostgres, url_of_running
from workers.settings import Settings
from workers.urls import with_login

CURRENCIES: Final = ("EUR", "USD", "GBP", "CZK")
"""The currencies `up` opens the ledger's own accounts in."""
SYSTEM: Final = "system:daybook"
LONG_STATEMENT_SECONDS: Final = 3600.0
LOGINS: Final = ("api", "query", "projector", "read_owner", "audit", "reader")
"""Those that `logins.sql` makes."""
OURS: Final = ("api", "domain", "eventstore", "migrations", "projections", "workers")


def write_messages(settings: Settings) -> None:
    """Write to standard error: our own messages from the level of the settings on, of libraries warnings at the least.

    Every process calls it once it has its settings; uvicorn, which writes its own, is told the level where it starts.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), format="%(levelname)s: %(message)s")
    for package in OURS:
        logging.getLogger(package).setLevel(level)
    access = logging.getLogger(LOGGER)  # written at every level
    access.setLevel(logging.INFO)
    access.propagate = False
    access.handlers = [logging.StreamHandler()]


@contextmanager
def action_recorded(command: str, settings: Settings, stream: str | None = None) -> Iterator[None]:
    """Write a command of an operator to the access log: who ran it, whether it succeeded, and the stream it read."""
    ids = {} if stream is None else {"ids": {"stream": stream[:MOST_ID]}}
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        user = str(os.getuid())
        with suppress(KeyError):  # a user of a container may have no name
            user = pwd.getpwuid(os.getuid()).pw_name
        write_line("operator.action", now(), command=command, log=settings.log, user=user, outcome=outcome, **ids)


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """The settings with a database that answers: the one given, the embedded one that runs, or it started for us."""
    running = url_of_running(settings.postgres_dir) if settings.embedded else None
    if running is not None:
        yield settings.with_master_keys().with_databases(logins(running))
        return
    with own_database(settings) as (ready, _):
        yield ready


@contextmanager
def own_database(settings: Settings) -> Iterator[tuple[Settings, EmbeddedPostgres | None]]:
    """The settings with the database given or the embedded one started, and that server.

    Raises `RuntimeError` where another command runs the embedded server: it would end with that command.
    """
    if not settings.embedded:
        yield settings, None
        return
    settings = settings.with_master_keys()  # one is made before the database is
    if url_of_running(settings.postgres_dir) is not None:
        raise RuntimeError(
            f"the embedded PostgreSQL in {settings.postgres_dir} is run by another daybook command, and ends with "
            "it: wait for the end of that one and start again"
        )
    with EmbeddedPostgres(settings.postgres_dir, port=settings.postgres_port) as postgres:
        yield settings.with_databases(logins(postgres.url)), postgres


def logins(superuser_url: str) -> dict[str, str]:
    """The embedded server's URLs by setting, each with a login of its own as in production; missing logins are made."""
    with connect(superuser_url, application_name="daybook-logins") as connection:
        connection.execute((Path(__file__).parent / "logins.sql").read_bytes())
    own = {f"{login}_database_url": with_login(superuser_url, login) for login in LOGINS}
    return {"database_url": superuser_url, **own}


def make_codec(
    settings: Settings,
    connection: Connection[Any],
    log: int,
    reconnect: Callable[[], Connection[Any]] | None = None,
    *,
    writes: bool = False,
) -> Codec:
    """The codec of the domain's events, with the keys of this log looked up over this connection.

    Every process that opens personal data makes one at its start, and is refused here if its master key is not that of
    the database: raises `MasterKeyError`. `writes`: it acts as `daybook_api`, and records the first master key.
    """
    keys = SubjectKeys(connection, log, reconnect)
    sealer = Sealer(keys, settings.master_key_bytes(), settings.previous_master_key_bytes())
    sealer.master_keys.check(record=writes)
    return Codec(CATALOGUE, sealer, ERASED, UNREADABLE)


@dataclass(frozen=True, slots=True)
class WriteSide:
    """An executor with what belongs to it."""

    log: str
    log_number: int
    executor: Executor
    codec: Codec


@contextmanager
def write_side(settings: Settings, name: str) -> Iterator[WriteSide]:
    """A running executor on the log of the settings, as the role `daybook_api`. Raises `UnknownLogError`."""
    url = settings.api_url()
    with connect(url, application_name=f"{name}-keys") as keys:
        log = read_head(keys, settings.log).log
        codec = make_codec(settings, keys, log, lambda: connect(url, application_name=f"{name}-keys"), writes=True)
        snapshots = Snapshots(
            lambda: connect(url, application_name=f"{name}-snapshots"),
            log,
            JsonStates(SNAPSHOTS),
            fold=Fold(codec, registry.evolve),
        )
        executor = Executor(
            lambda: connect(url, application_name=name),
            settings.log,
            codec,
            registry.decide,
            registry.evolve,
            commuting_types=COMMUTING,
            transient_prefixes=registry.WRITTEN_ONCE,
            queue_limit=settings.queue_limit,
            group_limit=settings.group_limit,
            cache_limit=settings.cache_limit,
            snapshots=snapshots,
        )
        with snapshots, executor:
            yield WriteSide(settings.log, log, executor, codec)


def now() -> datetime:
    """The injected clock of production: aware, UTC."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """A fresh, time-ordered public id."""
    try:
        tail = _tails.popleft()
    except IndexError:  # another block of the system's randomness: one call each took 8 % of a busy API's time
        _tails.extend(tails(os.urandom(_RANDOM_BLOCK)))
        tail = _tails.popleft()
    return fresh_id(prefix, time.time_ns() // 1_000_000, tail)


_RANDOM_BLOCK = 256 * TAIL
_tails: deque[str] = deque()


def system_submission(actor: str, key: str, command: Any, request: str, log: str, at: datetime) -> Submission:
    """A command of a system principal; `request` is what makes a retry the same request."""
    digest = hashlib.sha256(request.encode()).digest()
    recorded = metadata("system", actor, type(command).__name__, at, key)
    return Submission(
        command=command,
        actor=actor,
        key=key,
        request_hash=digest,
        metadata=recorded,
        context=Context(decided_at=at, log=log),
        codes=answer_codes(201, if_match=False),
    )


def open_internal_accounts(settings: Settings, side: WriteSide, currencies: tuple[str, ...]) -> None:
    """Open the ledger's own accounts in these currencies, once. Raises RuntimeError where that is refused."""
    at = now()
    roles: tuple[InternalRole, ...] = get_args(InternalRole)
    with connect(settings.api_url(), application_name="numbers") as connection:
        numbers = Numbers(lambda: _kept_open(connection))
        submissions = [
            system_submission(
                SYSTEM,
                f"internal:{role}:{currency}",
                OpenAccount(
                    internal_account(side.log, role, currency),
                    account_number(role, numbers.next()),
                    role,
                    currency,
                    side.log,
                    f"{role} {currency}",
                    None,
                    None,
                    date(at.year, at.month, at.day),
                ),
                f"internal {role} {currency}",
                side.log,
                at,
            )
            for currency in currencies
            for role in roles
        ]
    for answer in side.executor.execute(submissions):
        if answer.outcome is not ACCEPTED and answer.rule != "account_exists":
            raise RuntimeError(f"an internal account could not be opened: {answer.rule} {dict(answer.result)}")


@contextmanager
def _kept_open(connection: Connection[Any]) -> Iterator[Connection[Any]]:
    yield connection


def tune_for_commands() -> None:
    """What a process that executes commands wants of the interpreter, once all it keeps for long is made.

    The cycle collector walks the cache of states, which holds no cycles: at the default thresholds that took 40 % of
    the time of an executor at full load.
    """
    _tune(young=50_000, switch_seconds=0.005)


def tune_for_folding() -> None:
    """What a process that folds wants of it.

    A page makes hundreds of thousands of objects, none of them in a cycle; and whenever the server has answered, the
    thread that writes wants its turn from the one that folds ahead at once. Together a quarter of the time of a fold.
    """
    _tune(young=1_000_000, switch_seconds=0.000_5)


def _tune(*, young: int, switch_seconds: float) -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 50, 100)
    sys.setswitchinterval(switch_seconds)
