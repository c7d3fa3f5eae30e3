"""The API process: the services made from the settings, the application over them, uvicorn around it."""

from __future__ import annotations

import multiprocessing
import os
import resource
from contextlib import ExitStack

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import create_app
from api.connections import ConnectionLimits, server_options
from api.principals import load_principals
from api.services import Limits, Services
from eventstore.asynchronous import AsyncExecutor
from eventstore.connect import connect, pool_of
from eventstore.numbers import Numbers
from projections.waiting import Checkpoints
from workers import runtime, settings

FILES_BESIDE = 100
"""Open files of a process that are no connections of clients: of the database, of libraries, of the log."""
MOST_READERS = 8
"""Connections for reads, in each process."""
POOL_SECONDS, READ_SECONDS = 5.0, 30.0
"""How long a read waits for one of them, and may then take."""


def serve(loaded: settings.Settings) -> None:
    """Serve until told to stop. The processes read the settings from the environment themselves.

    Raises `SettingsError` where the system does not allow as many connections.
    """
    allow_connections(loaded.connection_limit)
    uvicorn.run(
        "workers.serve:application",
        factory=True,
        host=loaded.host,
        port=loaded.port,
        workers=loaded.workers,
        loop="uvloop",
        log_level=loaded.log_level,
        timeout_graceful_shutdown=5,
        **server_options(ConnectionLimits(connections=loaded.connection_limit)),
    )


def allow_connections(most: int) -> None:
    """Let this process and its children have a file open for each connection. Raises `SettingsError`.

    The soft limit of many systems is 1,024 files: without this, nothing could be accepted long before the bound of
    connections says so, and no database connection could be made again either.
    """
    needed = most + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise settings.SettingsError(
            f"{settings.variable('connection_limit')} is {most}, for which a process needs {needed} open files, and "
            f"the system allows {hard}: set it to {max(1, hard - FILES_BESIDE)}, or raise the limit (`ulimit -Hn`)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def application() -> ASGIApp:
    """The application of one process: what it works with is opened when the server starts and closed when it ends."""
    loaded = settings.load()
    runtime.write_messages(loaded)
    share_one_cpu(loaded)
    return Managed(loaded)


def share_one_cpu(loaded: settings.Settings) -> None:
    """Keep the threads of this process together: Python runs one of them at a time.

    On two CPUs the event loop and the executor take everything they touch from each other's cache at each turn: a
    transfer over HTTP took 340 µs of CPU there, and takes 260 where they share one.
    """
    if loaded.cpu == "any" or not hasattr(os, "sched_setaffinity"):
        return
    cpus = sorted(os.sched_getaffinity(0))
    spawned = multiprocessing.current_process().name.rpartition("-")[2]  # uvicorn's workers: SpawnProcess-1, -2, …
    first = loaded.port if loaded.cpu is None else loaded.cpu
    os.sched_setaffinity(0, {cpus[(first + int(spawned if spawned.isdigit() else 0)) % len(cpus)]})


class Managed:
    """Opens the services at start-up, closes them at shutdown, and passes everything else on."""

    def __init__(self, loaded: settings.Settings) -> None:
        self._settings = loaded
        self._open = ExitStack()
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            assert self._app is not None
            await self._app(scope, receive, send)
            return
        await receive()
        try:
            self._app = create_app(self._start())
        except Exception as error:
            self._open.close()
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._open.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _start(self) -> Services:
        loaded, url = self._settings, self._settings.api_url()
        side = self._open.enter_context(runtime.write_side(loaded, "daybook-api"))
        pool = self._open.enter_context(
            pool_of(
                url,
                application_name="daybook-reads",
                most=MOST_READERS,
                wait_seconds=POOL_SECONDS,
                statement_seconds=READ_SECONDS,
            )
        )
        pool.wait(POOL_SECONDS)
        checkpoints = Checkpoints(lambda: connect(url, application_name="daybook-checkpoints"), loaded.log)
        self._open.callback(checkpoints.close)
        keys = self._open.enter_context(connect(url, application_name="daybook-reading-keys"))
        principals = None if loaded.auth == "off" else load_principals(loaded.tokens_file)
        runtime.tune_for_commands()
        return Services(
            log=loaded.log,
            log_number=side.log_number,
            executor=side.executor,
            commands=AsyncExecutor(side.executor, loaded.principal_limit),
            codec=runtime.make_codec(
                loaded, keys, side.log_number, lambda: connect(url, application_name="daybook-reading-keys")
            ),
            reads=pool.connection,
            checkpoints=checkpoints,
            numbers=Numbers(pool.connection),
            new_id=runtime.new_id,
            clock=runtime.now,
            principals=principals,
            allowed_hosts=loaded.allowed_hosts,
            limits=Limits(
                body_bytes=loaded.body_limit_bytes,
                wait_seconds=loaded.wait_seconds,
                batch_bytes=loaded.batch_limit_bytes,
                batch_items=loaded.batch_items,
            ),
        )
