"""The API process: makes the services from the settings, the application from the services, and runs uvicorn."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import sys
from collections import Counter
from contextlib import ExitStack, closing, suppress
from ipaddress import ip_network
from typing import Any

import uvicorn
from psycopg import Connection
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from api.app import create_app
from api.gateway.connections import ConnectionLimits, server_options
from api.gateway.tickets import Tickets, ticket_key
from api.gateway.tokens_file import PrincipalsFile
from api.services import Limits, Services
from domain.registry import RULES
from eventstore.batches.spool import Spool
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.numbers import Numbers
from eventstore.postgres.connect import connect, pool_of
from eventstore.reads.recorder import STATEMENT_SECONDS as RECORD_SECONDS
from eventstore.reads.recorder import Recorder
from projections.engine.lag import lag as read_lag
from projections.engine.waiting import Checkpoints
from projections.registry import PROJECTIONS
from workers import clock_and_ids, settings
from workers.composition import WriteSide, make_codec, write_side
from workers.messages import write_messages
from workers.metrics.reader import STATEMENT_SECONDS, Reader
from workers.metrics.serving import metrics_served
from workers.metrics.sources import of_executor, of_lag, of_pools, of_recorder, of_refusals
from workers.people import people_services, swept
from workers.tracing import ended, traces_of
from workers.tuning import tune_for_commands

FILES_BESIDE = 100
"""Open files of a process that are not connections of clients: for the database, libraries, messages."""
MOST_READERS = 8
"""Connections for reads in each process."""
MOST_SPOOLING = 2
"""Connections for the parts of long batches in each process."""
HUNG_SECONDS = 30
"""An API process that does not answer its parent for so long is replaced. By default uvicorn waits for 5 seconds, and
on a busy machine a process needs longer to start."""
POOL_SECONDS, READ_SECONDS = 5.0, 30.0
"""Seconds that a read may wait for a connection, and then take."""


def serve(loaded: settings.Settings) -> None:
    """Serve until a signal to stop. Each process reads the settings from the environment.

    Raises `SettingsError` if the system does not allow so many connections.
    """
    allow_connections(loaded.connection_limit)
    # Ignored until an API process handles it. Child processes inherit that.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    config = uvicorn.Config(
        "workers.serve:application",
        factory=True,
        host=loaded.host,
        port=loaded.port,
        workers=loaded.workers,
        loop="uvloop",
        proxy_headers=False,  # api.gateway.proxies reads them. uvicorn would trust this machine and FORWARDED_ALLOW_IPS
        log_level=loaded.log_level,
        timeout_graceful_shutdown=5,
        timeout_worker_healthcheck=HUNG_SECONDS,
        **server_options(ConnectionLimits(connections=loaded.connection_limit)),
    )
    if loaded.workers > 1:
        Processes(config, [config.bind_socket()]).run()
        return
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it after it has shut down
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


class Processes(Multiprocess):
    """The API processes of uvicorn. They get SIGHUP passed on; uvicorn itself would restart them."""

    def handle_hup(self) -> None:
        """Pass SIGHUP on."""
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, signal.SIGHUP)


def allow_connections(most: int) -> None:
    """Let this process and its children open a file for each connection. Raises `SettingsError`.

    The soft limit of many systems is 1,024 files. With it, no connection could be accepted long before the bound of
    connections is reached, and no lost database connection could be opened again.
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
    """The application of one process. Its services are opened when the server starts and closed when it ends."""
    loaded = settings.load()
    write_messages(loaded)
    share_one_cpu(loaded)
    return Managed(loaded)


def share_one_cpu(loaded: settings.Settings) -> None:
    """Keep the threads of this process on one CPU: Python runs one of them at a time.

    On two CPUs the event loop and the executor pull data from each other's cache at each turn. A transfer over HTTP
    took 340 µs of CPU on two, and takes 260 µs on one.
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
        self._principals: PrincipalsFile | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            assert self._app is not None
            await self._app(scope, receive, send)
            return
        await receive()
        try:
            app = create_app(self._start())
            traces = traces_of("api", self._settings.log)
            self._open.enter_context(ended(traces))
            self._app = app if traces is None else traces.requests(app)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        except Exception as error:
            self._open.close()
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._open.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _tickets(self) -> Tickets | None:
        loaded = self._settings
        if loaded.auth == "off" or not loaded.allowed_origins:
            return None
        previous = loaded.previous_master_key_bytes()
        key = ticket_key(loaded.master_key_bytes())
        return Tickets(key, clock_and_ids.now, None if previous is None else ticket_key(previous))

    def _reload(self) -> None:
        """Read the file of tokens again, on SIGHUP."""
        if self._principals is not None:
            self._principals.reload()

    def _recorder(self, log_number: int) -> Recorder | None:
        """What records reads of personal data, with the login for commands. A replica has none."""
        if self._settings.reads_only:
            return None
        url = self._settings.api_url()
        recorder = Recorder(
            lambda: connect(url, application_name="daybook-recorded-reads", statement_seconds=RECORD_SECONDS),
            log_number,
            clock_and_ids.new_id("reads"),
            clock_and_ids.now,
        )
        return self._open.enter_context(recorder)

    def _spool(self, side: WriteSide) -> Spool:
        """Where the bodies of long batches stand, with the login for commands."""
        pool = self._open.enter_context(
            pool_of(
                self._settings.api_url(),
                application_name="daybook-long-batches",
                most=MOST_SPOOLING,
                wait_seconds=POOL_SECONDS,
                statement_seconds=READ_SECONDS,
            )
        )
        return Spool(pool.connection, side.log_number, KeyedHashes(side.codec.sealer))

    def _start(self) -> Services:
        loaded, url = self._settings, self._settings.query_url()
        if loaded.auth == "on":
            self._principals = PrincipalsFile(loaded.tokens_file, clock_and_ids.now)
        side = self._open.enter_context(write_side(loaded, "daybook-api"))

        def connect_to_read(name: str) -> Connection[Any]:
            return connect(url, application_name=name, read_only=True)

        keys = self._open.enter_context(connect_to_read("daybook-reading-keys"))  # a pool would not say why
        pool = self._open.enter_context(
            pool_of(
                url,
                application_name="daybook-reads",
                most=MOST_READERS,
                wait_seconds=POOL_SECONDS,
                statement_seconds=READ_SECONDS,
                read_only=True,
            )
        )
        pool.wait(POOL_SECONDS)
        numbers = self._open.enter_context(
            pool_of(
                url if loaded.reads_only else loaded.api_url(),
                application_name="daybook-numbers",
                most=1,
                wait_seconds=POOL_SECONDS,
                statement_seconds=READ_SECONDS,
            )
        )
        spool = None if loaded.reads_only else self._spool(side)
        checkpoints = Checkpoints(lambda: connect_to_read("daybook-checkpoints"), loaded.log)
        self._open.callback(checkpoints.close)
        lag = Reader(
            lambda: connect(
                url, application_name="daybook-metrics", statement_seconds=STATEMENT_SECONDS, read_only=True
            ),
            lambda connection: read_lag(connection, loaded.log, PROJECTIONS),
        )
        self._open.enter_context(closing(lag))
        refusals: Counter[str] = Counter()
        recorder = self._recorder(side.log_number)
        sources = [
            of_executor(side.executor, RULES),
            of_refusals(refusals),
            of_pools({"reads": pool, "numbers": numbers}),
            of_lag(lag.read),
            *([] if recorder is None else [of_recorder(recorder.statistics)]),
        ]
        self._open.enter_context(metrics_served(loaded, sources, loaded.workers))
        people = None
        if loaded.auth == "on" and not loaded.reads_only:
            people = self._open.enter_context(people_services(loaded, side))
            self._open.enter_context(swept(loaded, side, people.states))
        tune_for_commands()
        return Services(
            log=loaded.log,
            log_number=side.log_number,
            executor=side.executor,
            commands=AsyncExecutor(side.executor, loaded.principal_limit),
            codec=make_codec(loaded, keys, side.log_number, lambda: connect_to_read("daybook-reading-keys")),
            reads=pool.connection,
            checkpoints=checkpoints,
            numbers=Numbers(numbers.connection),
            new_id=clock_and_ids.new_id,
            clock=clock_and_ids.now,
            principals=self._principals,
            allowed_hosts=loaded.allowed_hosts,
            limits=Limits(
                body_bytes=loaded.body_limit_bytes,
                wait_seconds=loaded.wait_seconds,
                batch_bytes=loaded.batch_limit_bytes,
                batch_items=loaded.batch_items,
                long_batch_bytes=loaded.long_batch_bytes,
            ),
            tickets=self._tickets(),
            allowed_origins=loaded.allowed_origins,
            trusted_proxies=tuple(map(ip_network, loaded.trusted_proxies)),
            proxy_header=loaded.proxy_header,
            people=people,
            spool=spool,
            refusals=refusals,
            recorder=recorder,
            reads_only=loaded.reads_only,
        )
