"""The composition root: the settings become a codec and an executor, here and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from api.commands.answer_codes import answer_codes
from domain import refusals, registry
from domain.kernel import ERASED, UNREADABLE, Context, Principal
from domain.permissions import MANAGER_ROLES
from domain.registry import CATALOGUE, COMMUTING, SNAPSHOTS
from eventstore.executor.decided_commands import Submission
from eventstore.executor.executor import Executor
from eventstore.executor.snapshots import JsonStates, Snapshots
from eventstore.executor.stream_states import Fold
from eventstore.keys.sealing import WRITER_ERASURE_SECONDS, Sealer
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.codec import Codec
from eventstore.log.metadata import encoded_actor, metadata
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from workers.clock_and_ids import new_id
from workers.settings import Settings


def make_codec(
    settings: Settings,
    connection: Connection[Any],
    log_number: int,
    reconnect: Callable[[], Connection[Any]] | None = None,
    *,
    writes: bool = False,
) -> Codec:
    """The codec of the domain's events. It reads the keys of this log over this connection.

    Every process that opens personal data makes one at its start. Raises `MasterKeyError` if the master key is not that
    of the database. With `writes` the connection acts as `daybook_api`, and the first master key is recorded. A codec
    that only reads opens nothing of a person once the erasure is committed; one that writes notices it a little later.
    """
    keys = SubjectKeys(connection, log_number, reconnect)
    sealer = Sealer(
        keys,
        settings.master_key_bytes(),
        settings.previous_master_key_bytes(),
        erasure_seconds=WRITER_ERASURE_SECONDS if writes else 0.0,
    )
    sealer.master_keys.check(record=writes)
    return Codec(catalogue=CATALOGUE, sealer=sealer, erased=ERASED, unreadable=UNREADABLE)


@dataclass(frozen=True, slots=True)
class WriteSide:
    """An executor, with the log and the codec it works on."""

    log: str
    log_number: int
    executor: Executor
    codec: Codec


@contextmanager
def write_side(settings: Settings, name: str) -> Iterator[WriteSide]:
    """A running executor on the log of the settings, as the role `daybook_api`. Raises `UnknownLogError`.

    A process that serves reads only gets an executor that does not run, and connects as the role `daybook_query`.
    """
    runs = not settings.reads_only
    url = settings.api_url() if runs else settings.query_url()
    with connect(url, application_name=f"{name}-keys") as keys:
        log_number = read_head(keys, settings.log).log_number
        codec = make_codec(
            settings, keys, log_number, lambda: connect(url, application_name=f"{name}-keys"), writes=runs
        )
        snapshots = Snapshots(
            lambda: connect(url, application_name=f"{name}-snapshots"),
            log_number,
            JsonStates(SNAPSHOTS),
            fold=Fold(codec, registry.evolve),
        )
        executor = Executor(
            connect=lambda: connect(url, application_name=name),
            log=settings.log,
            codec=codec,
            decide=registry.decide,
            evolve=registry.evolve,
            refuse=refusals.recorder(new_id, registry.name_of),
            commuting_types=COMMUTING,
            transient_prefixes=registry.WRITTEN_ONCE,
            read_mostly=registry.READ_MOSTLY,
            queue_limit=settings.queue_limit,
            group_limit=settings.group_limit,
            cache_limit=settings.cache_limit,
            snapshots=snapshots,
            erasures=codec.erasures,
            personal_prefixes=registry.PERSONAL_STATES,
        )
        side = WriteSide(log=settings.log, log_number=log_number, executor=executor, codec=codec)
        if not runs:
            yield side
            return
        with snapshots, executor:
            yield side


def system_principal(actor: str) -> Principal:
    """A part of Daybook that acts as an operator."""
    return Principal(actor, ("operator",), "system")


def manager_principal(manager: str) -> Principal:
    """A process manager."""
    return Principal(f"process:{manager}", tuple(sorted(MANAGER_ROLES)), "process")


def system_submission(principal: Principal, key: str, command: Any, request: str, log: str, at: datetime) -> Submission:
    """A command of a part of Daybook. Two submissions with the same `request` are the same request.

    Raises `PermissionError` if the principal may not send the command.
    """
    refused = registry.forbid(principal, command, at)
    if refused is not None:
        raise PermissionError(refused.why)
    context = Context(decided_at=at, log=log, principal=principal)
    digest = hashlib.sha256(request.encode()).digest()
    recorded = metadata(encoded_actor(principal.recorded), type(command).__name__, at, context.rules, key)
    return Submission(
        command=command,
        actor=principal.id,
        key=key,
        request_hash=digest,
        metadata=recorded,
        context=context,
        codes=answer_codes(201, if_match=False),
    )
