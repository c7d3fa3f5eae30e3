"""Runs everything on one machine: database, API, projector, the other workers, and Kafka."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

import orjson
from rich.console import Console
from rich.markup import escape

from workers.composition import write_side
from workers.databases import own_database
from workers.embedded import EmbeddedPostgres, stop_with_parent
from workers.internal_accounts import CURRENCIES, open_internal_accounts
from workers.migrating import Migrated, migrate
from workers.restarting import Restarted
from workers.settings import DATABASE_URLS, MASTER_KEYS, PROOF_KEYS, Settings, variable
from workers.tokens import CLEAR_NAME, ensure_tokens
from workers.urls import without_password

if TYPE_CHECKING:
    from workers.kafka.broker import Broker

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
MAILS = "mails"
"""Folder of mails in the data folder, where no mail server is set."""
POLL_SECONDS = 0.1
"""Between two looks whether a program is ready."""
LOOK_SECONDS = 0.2
"""Between two looks whether the programs still run."""
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - who listens everywhere listens there too


class UpError(RuntimeError):
    """Daybook could not be started. The message says why, and what to do."""


def up(settings: Settings, console: Console, *, kafka: bool = False) -> None:
    """Run until SIGINT, SIGTERM or the end of the terminal, or until a process keeps ending."""
    _check_port(settings.host, settings.port, "port")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    settings = settings.with_master_keys().with_proof_key()
    with (
        _own_broker(settings, console) if kafka else nullcontext() as broker,
        own_database(settings) as (ready, postgres),
    ):
        if broker is not None:
            ready = ready.model_copy(update={"kafka_bootstrap_servers": broker.address})
        if ready.smtp_url is None and ready.mail_folder is None:
            ready = ready.model_copy(update={"mail_folder": ready.data_dir / MAILS})
        console.print("Database ready, migrating.", highlight=False)
        for note in initialise(ready).notes:
            console.print(note, highlight=False, markup=False)
        tokens = {} if ready.auth == "off" else ensure_tokens(ready.tokens_file)
        children: list[subprocess.Popen[bytes]] = []

        def start(command: str) -> subprocess.Popen[bytes]:
            child = subprocess.Popen(
                [sys.executable, "-m", "workers.cli", *command.split()],
                env=_environment(ready, command) | _metrics_port(ready, command) | _kafka(ready) | _mails(ready),
                start_new_session=True,
                preexec_fn=stop_with_parent(signal.SIGTERM),
            )
            children[:] = [*(one for one in children if one.poll() is None), child]
            return child

        def say(sentence: str) -> None:
            console.print(f"[bold yellow]{escape(sentence)}[/bold yellow]", highlight=False, soft_wrap=True)

        try:
            without = (_WITH_KAFKA if broker is None else frozenset()) | (frozenset() if ready.seals else _WITH_KEY)
            without |= frozenset() if ready.proof_witnesses else _WITH_WITNESSES
            commands = [command for command in _URLS if command not in without]
            programs = [Restarted(f"daybook {command}", partial(start, command), say) for command in commands]
            stopped = _wait_until_ready(ready, children, stop)
            while broker is not None and not stop.is_set() and not broker.ready():
                stop.wait(POLL_SECONDS)
            if stopped:
                say(
                    f"Stopped projections: {', '.join(stopped)}. Commands are executed, the reads of these stay as "
                    "they are; GET /v1/lag says why and what to do."
                )
            if not stop.is_set():
                named = {str(role): token for role, token in tokens.items()}
                console.print(_welcome(ready, named), soft_wrap=True, highlight=False)
            if postgres is not None:
                programs.insert(0, Restarted("PostgreSQL", partial(_start_postgres, postgres), say))
            if broker is not None:
                programs.append(Restarted("Kafka", partial(_start_broker, broker), say))
            while not stop.wait(LOOK_SECONDS):
                for program in programs:
                    if not program.look():
                        raise UpError(f"{program.name} ended again and again; its messages are above")
        finally:
            _end(children)
            console.print("Stopped.")


def _start_postgres(postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    """Start the server unless it runs. After a crash it recovers first."""
    postgres.start()
    return postgres


@contextmanager
def _own_broker(settings: Settings, console: Console) -> Iterator[Broker]:
    """A broker that is starting, so that it does so while the database does. It is stopped after all that use it."""
    from workers.kafka.broker import Broker, jars_are_here  # the other commands need not wait for its import

    if settings.kafka_bootstrap_servers is not None:
        raise UpError(
            f"{variable('kafka_bootstrap_servers')} names a Kafka, and --kafka starts another: leave one of them out"
        )
    _check_port("127.0.0.1", settings.kafka_port, "kafka_port")
    if not jars_are_here():
        console.print("Maven downloads Kafka, once: 44 MB.", highlight=False)
    broker = Broker(settings.kafka_dir, port=settings.kafka_port)
    try:
        broker.start(wait=False)
        yield broker
    finally:
        broker.stop()


def _start_broker(broker: Broker) -> Broker:
    """Start the broker unless it runs. After a crash it recovers first."""
    broker.start(wait=False)
    return broker


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


_URLS = {
    "serve": ("api_database_url", "query_database_url", "credentials_database_url"),
    "work": ("projector_database_url",),
    "work --processes": ("api_database_url", "query_database_url"),
    "publish": ("publisher_database_url",),
    "mail": ("api_database_url", "query_database_url", "credentials_database_url"),
    "webhooks": ("api_database_url", "query_database_url"),
    "batches": ("api_database_url", "query_database_url"),
    "seal": ("sealer_database_url",),
    "ask-witnesses": ("sealer_database_url",),
}
"""The processes, each with the settings of the database logins that it needs, and no others."""
_WITH_KAFKA = frozenset({"publish"})
"""The processes that `--kafka` adds."""
_WITH_KEY = frozenset({"seal"})
"""The processes that need a key to sign checkpoints."""
_WITH_WITNESSES = frozenset({"ask-witnesses"})
"""The processes that need witnesses to ask."""
_PROOF_KEYS = (*PROOF_KEYS, "proof_key_file")


def _environment(settings: Settings, command: str) -> dict[str, str]:
    """The environment of a process: the logins that it needs, and the key of checkpoints for the sealer alone."""
    urls = {variable(name): getattr(settings, name) or settings.owner_url() for name in _URLS[command]}
    left_out = {*map(variable, DATABASE_URLS), *(() if command in _WITH_KEY else map(variable, _PROOF_KEYS))}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    made = {variable("proof_key_file"): str(settings.proof_key_file)} if settings.proof_key_file is not None else {}
    return {**kept, **urls, **_master_keys(settings), **(made if command in _WITH_KEY else {})}


def _kafka(settings: Settings) -> dict[str, str]:
    """The environment variable with the broker, for the processes."""
    servers = settings.kafka_bootstrap_servers
    return {} if servers is None else {variable("kafka_bootstrap_servers"): servers}


def _mails(settings: Settings) -> dict[str, str]:
    """The environment variable with the folder of mails, for the processes."""
    folder = settings.mail_folder
    return {} if folder is None else {variable("mail_folder"): str(folder)}


def port_of_metrics(settings: Settings, command: str) -> int | None:
    """The port of the metrics of a process: those after the API's, in the order of `_URLS`. None if none is set."""
    if settings.metrics_port is None or command == "serve":
        return settings.metrics_port
    return settings.metrics_port + settings.workers - 1 + list(_URLS).index(command)


def _metrics_port(settings: Settings, command: str) -> dict[str, str]:
    """The environment variable with the port of the metrics of a process."""
    port = port_of_metrics(settings, command)
    return {} if port is None else {variable("metrics_port"): str(port)}


def initialise(settings: Settings) -> Migrated:
    """Migrate the database, and open the internal accounts that do not exist yet."""
    migrated = migrate(settings)
    with write_side(settings, "daybook-up") as side:
        open_internal_accounts(settings, side, CURRENCIES)
    return migrated


def _master_keys(settings: Settings) -> dict[str, str]:
    """The environment variables with the master keys, for the processes."""
    given = {name: getattr(settings, name) for name in MASTER_KEYS}
    return {variable(name): key.get_secret_value() for name, key in given.items() if key is not None}


def base_url(settings: Settings) -> str:
    """The URL of the API on this machine."""
    host = _LOOPBACK.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _check_port(host: str, port: int, setting: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UpError(
                f"port {port} on {host} cannot be used ({error.strerror}): "
                f"stop what listens there, or set {variable(setting)} to another"
            ) from None


def _wait_until_ready(settings: Settings, children: list[subprocess.Popen[bytes]], stop: Event) -> list[str]:
    """Wait until the API is ready and return the projections that are stopped. These do not keep clients away."""
    url = f"{base_url(settings)}/v1/health/ready"
    request = urllib.request.Request(url, headers={"Host": settings.allowed_hosts[0]})  # noqa: S310 - http, to our own API
    until = time.monotonic() + READY_SECONDS
    while not stop.is_set():
        ended = [child for child in children if child.poll() is not None]
        if ended:
            raise UpError(f"a process ended with code {ended[0].returncode} while starting; its messages are above")
        try:
            with urllib.request.urlopen(request, timeout=2):  # noqa: S310
                return []
        except (urllib.error.URLError, OSError) as error:
            if isinstance(error, urllib.error.HTTPError) and (stopped := _stopped(error.read())):
                return stopped
            if time.monotonic() > until:
                raise UpError(f"{url} did not become ready within {READY_SECONDS:.0f} seconds") from None
            stop.wait(POLL_SECONDS)
    return []


def _stopped(problem: bytes) -> list[str]:
    """The stopped projections that the problem of `/v1/health/ready` names."""
    try:
        names: list[str] = orjson.loads(problem)["figures"]["stopped"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return []
    return names


def _welcome(settings: Settings, tokens: dict[str, str]) -> str:
    base = base_url(settings)
    lines = ["", "[bold green]Daybook is up.[/bold green]", f"  API      {base}/v1, described at {base}/docs"]
    if settings.auth == "off":
        lines.append("  Tokens   none needed: DAYBOOK_AUTH is off")
    elif tokens:
        lines.append(f"  Tokens   one a role, also in {settings.tokens_file.with_name(CLEAR_NAME)}:")
        lines.extend(f"             {role:9s} {token}" for role, token in tokens.items())
    else:
        clear = settings.tokens_file.with_name(CLEAR_NAME)
        lines.append(f"  Tokens   made earlier, in {clear if clear.exists() else settings.tokens_file}")
    if settings.reader_database_url is None:
        lines.append("  Reports  SQL in the schema `reporting`, with a login that is a member of daybook_reader only")
    else:
        lines.append("  Reports  SQL, read-only, in the schema `reporting`:")
        lines.append(f'             psql "{without_password(settings.reader_database_url)}"')
    if settings.metrics_port is not None:
        first, last = settings.metrics_port, settings.metrics_port + settings.workers
        lines.append(f"  Metrics  http://{settings.metrics_host}:{first}/metrics; the projector on port {last}")
    if settings.mail_folder is not None:
        lines.append(f"  Mails    written into {settings.mail_folder.resolve()}, a file each, instead of being sent")
    if settings.kafka_bootstrap_servers is not None:
        lines.append(f"  Kafka    {settings.kafka_bootstrap_servers}, without a password, for programs on this machine")
    lines.append("  Stop     Ctrl-C")
    return "\n".join(lines)
