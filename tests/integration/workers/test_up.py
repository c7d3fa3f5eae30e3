"""`daybook up` end to end: a fresh folder and a free port, a transfer over HTTP, and nothing left running."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from tests.integration.workers.running import daybook, environment, read_until, started
from tests.support.postgres import server_folder
from tests.support.waiting import wait_until
from workers.embedded import url_of_running
from workers.ports import free_port

UP = "Ctrl-C"  # the last line of what `up` says when everything is ready


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder() as made:
        yield made


@pytest.fixture
def port() -> int:
    return free_port()


def of_its_own(folder: Path, port: int) -> dict[str, str]:
    """Settings that share nothing with another Daybook of this machine."""
    return environment(DAYBOOK_DATA_DIR=str(folder / "var"), DAYBOOK_PORT=str(port))


def parents_of_all() -> dict[int, int]:
    """The parent of each process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return parents


def descendants(pid: int) -> set[int]:
    """The processes that came of this one."""
    parents = parents_of_all()
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found - {pid}


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def actions(message: str) -> list[tuple[str, str]]:
    """The commands of operators that are in the access log, with their outcomes."""
    lines = [json.loads(line) for line in message.splitlines() if line.startswith("{")]
    return [(line["command"], line["outcome"]) for line in lines if line["event"] == "operator.action"]


def stop(process: subprocess.Popen[str]) -> None:
    """Ask it to stop, and see that it and all that came of it are gone."""
    family = descendants(process.pid)
    assert len(family) >= 3, "a database, an API and a projector"
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    message = process.stdout.read()
    assert process.wait() == 0, message
    assert "Traceback" not in message
    assert actions(message) == [("up", "done")]
    assert [pid for pid in family if is_running(pid)] == []


def logins_of_processes(folder: Path) -> set[str]:
    """Who is connected to the embedded server, as the API, the projector, process managers and the worker of mail."""
    url = url_of_running(folder / "var" / "postgres")
    assert url is not None
    with psycopg.connect(url) as superuser:
        rows = superuser.execute(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'daybook%'"
            " AND application_name NOT IN ('daybook-up', 'daybook-migrate')"
        ).fetchall()
    return {name for (name,) in rows}


class Client:
    """Somebody with a token."""

    def __init__(self, base: str, token: str) -> None:
        self._http = httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        self._keys = 0

    def post(self, path: str, body: dict[str, object]) -> httpx.Response:
        self._keys += 1
        return self._http.post(path, json=body, headers={"Idempotency-Key": f"up-{os.getpid()}-{self._keys}"})

    def get(self, path: str) -> httpx.Response:
        return self._http.get(path)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


def tokens(folder: Path) -> dict[str, str]:
    file = folder / "var" / "tokens.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return dict(line.split(" ", 1) for line in file.read_text().splitlines())


def test_from_an_empty_folder_to_a_transfer_and_back(folder: Path, port: int) -> None:
    base = f"http://127.0.0.1:{port}"
    env = of_its_own(folder, port) | {"DAYBOOK_PROOF_SECONDS": "0.1"}
    with started("up", env=env) as process:
        message = read_until(process, UP)
        assert f"{base}/docs" in message
        assert f"written into {(folder / 'var' / 'mails').resolve()}, a file each" in message
        printed = re.search(r'psql "(.*)"', message)
        assert printed is not None
        with psycopg.connect(printed[1], autocommit=True) as reader:
            assert reader.execute("SELECT session_user").fetchone() == ("reader",)
            reader.execute("SET ROLE NONE")
            with pytest.raises(InsufficientPrivilege):
                reader.execute("SELECT * FROM log.events")
        logins = {"api", "query", "projector", "credentials", "sealer"}
        wait_until(lambda: logins_of_processes(folder) == logins, "each process has its own logins, and no others")
        clear = tokens(folder)
        assert all(token in message for token in clear.values()), "they are shown when they are made"
        assert set(clear) == {"command", "report", "audit", "operator"}
        assert not any(token in (folder / "var" / "tokens.json").read_text() for token in clear.values())
        assert httpx.get(f"{base}/v1/health/live", timeout=30).json()["status"] == "live"
        assert httpx.get(f"{base}/v1/health/ready", timeout=30).json()["status"] == "ready"
        with Client(base, clear["command"]) as client:
            opened = [
                client.post("/v1/accounts", {"type": "checking", "currency": "EUR", "owner": name, "name": name})
                for name in ("ada", "grace")
            ]
            one, two = (answer.json()["account"] for answer in opened)
            paid_in = client.post(f"/v1/accounts/{one}/deposits", {"amount": "100.00", "currency": "EUR"})
            assert paid_in.status_code == 201, paid_in.text
            moved = client.post("/v1/transfers", {"source": one, "target": two, "amount": "12.30", "currency": "EUR"})
            assert moved.status_code == 201, moved.text
            at = moved.headers["Daybook-Position"]
            read = f"/v1/accounts/{two}?min_position={at}"
            wait_until(lambda: client.get(read).status_code == 200, "the read side")
            assert client.get(read).json()["balance"] == "12.30"
        with Client(base, clear["audit"]) as auditor:
            sealed = f"/v1/proof/inclusion?position={at.rpartition('.')[2]}"
            wait_until(lambda: auditor.get(sealed).status_code == 200, "a checkpoint that covers the transfer")
        assert stat.S_IMODE((folder / "var" / "proof.key").stat().st_mode) == 0o600
        beside = daybook("events", two, "--json", env=env)
        assert beside.returncode == 0, beside.stderr
        assert "account.credited.v1" in beside.stdout
        stop(process)

    with started("up", env=env) as process:  # the data and the tokens are kept
        message = read_until(process, UP)
        assert tokens(folder) == clear
        assert not any(token in message for token in clear.values()), "and not again"
        assert "tokens.txt" in message
        with Client(base, clear["report"]) as client:
            assert client.get(f"/v1/accounts/{two}").json()["balance"] == "12.30"
            assert client.post("/v1/transfers", {}).status_code == 403
        stop(process)


def test_a_stopped_projection_does_not_keep_the_ledger_from_its_clients(folder: Path, port: int) -> None:
    env, base = of_its_own(folder, port), f"http://127.0.0.1:{port}"
    with started("up", env=env) as process:
        read_until(process, UP)
        second = daybook("up", env=env | {"DAYBOOK_PORT": str(free_port())})
        assert second.returncode == 3
        assert "is run by another daybook command" in second.stderr.replace("\n", " ")
        url = url_of_running(folder / "var" / "postgres")
        assert url is not None
        older = "UPDATE read.checkpoints SET epoch = epoch - 1 WHERE projection = 'posts'"
        with psycopg.connect(url) as superuser:  # as if the log had been restored and nothing else
            wait_until(lambda: superuser.execute(older).rowcount == 1, "a checkpoint of posts")
        stop(process)
    with started("up", env=env) as process:
        assert "Stopped projections: posts." in read_until(process, UP)
        with Client(base, tokens(folder)["command"]) as client:
            body: dict[str, object] = {"type": "checking", "currency": "EUR", "owner": "ada", "name": "Ada"}
            assert client.post("/v1/accounts", body).status_code == 201
        stop(process)


PROCESSES = "--processes"
"""What tells process managers from the projector, whose command line is otherwise the same."""


def program_of(pid: int, *words: str) -> int:
    """The descendant whose command line contains these words one after the other.

    A fork of it has the same command line until it has a title of its own, as PostgreSQL's have. It may have a lower
    number, since numbers of processes begin again at the lowest.
    """
    named: set[int] = set()
    for one in descendants(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            line = (Path("/proc") / str(one) / "cmdline").read_text()
            if "\0".join(words) in line and (PROCESSES in words or PROCESSES not in line):
                named.add(one)
    return first_of(named, parents_of_all())


def first_of(named: set[int], parents: dict[int, int]) -> int:
    """The one that is no child of another."""
    found = [one for one in named if parents.get(one) not in named]
    if not found:
        raise LookupError("there is no such process")
    return found[0]


def test_a_fork_with_a_lower_number_is_not_taken_for_the_program_itself() -> None:
    assert first_of({31_000, 300, 301}, {31_000: 1, 300: 31_000, 301: 300}) == 31_000


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("workers.cli", "work"), "daybook work"),
        (("workers.cli", "work", PROCESSES), "daybook work --processes"),
        (("workers.cli", "mail"), "daybook mail"),
        (("workers.cli", "webhooks"), "daybook webhooks"),
        (("workers.cli", "batches"), "daybook batches"),
        (("postgres", "-D"), "PostgreSQL"),
    ],
    ids=["projector", "processes", "mail", "webhooks", "batches", "database"],
)
def test_what_dies_is_started_again(folder: Path, port: int, words: tuple[str, ...], named: str) -> None:
    base = f"http://127.0.0.1:{port}"
    with started("up", env=of_its_own(folder, port)) as process:
        read_until(process, UP)
        dead = program_of(process.pid, *words)
        os.kill(dead, signal.SIGKILL)
        # What used it may end before it is seen that it has ended, and is started again too.
        message = read_until(process, f"{named} ended")
        assert f"{named} ended with code -9; it is started again in 1 s (1 of 5 times)." in message

        with Client(base, tokens(folder)["command"]) as client:
            opened: list[dict[str, str]] = []

            def is_opened() -> bool:
                body: dict[str, object] = {"type": "checking", "currency": "EUR", "owner": "ada", "name": "Ada"}
                with suppress(httpx.HTTPError):
                    answer = client.post("/v1/accounts", body)
                    opened.extend([answer.json()] if answer.status_code == 201 else [])
                return bool(opened)

            wait_until(is_opened, "a command")
            # The service waits, not the test: each refusal is a line of the access log, and nobody reads the pipe.
            its_read = f"/v1/accounts/{opened[0]['account']}?min_position={opened[0]['position']}"
            wait_until(lambda: client.get(its_read).status_code == 200, "its read")

        def runs_again() -> bool:
            with suppress(LookupError):
                return program_of(process.pid, *words) != dead
            return False

        wait_until(runs_again, f"{named} again")
        stop(process)


@pytest.mark.parametrize("end", [signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_it_nothing_of_it_goes_on(folder: Path, port: int, end: signal.Signals) -> None:
    """The terminal is closed, or somebody has no patience: the next start must find the port free."""
    with started("up", env=of_its_own(folder, port)) as process:
        read_until(process, UP)
        family = descendants(process.pid)
        process.send_signal(end)
        process.wait()
        wait_until(lambda: not any(map(is_running, family)), "the end of all that came of it")


def test_it_comes_up_where_it_listens_everywhere_and_answers_another_name_only(folder: Path, port: int) -> None:
    everywhere = {"DAYBOOK_HOST": "0.0.0.0", "DAYBOOK_ALLOWED_HOSTS": "ledger.example"}  # noqa: S104
    with started("up", env={**of_its_own(folder, port), **everywhere}) as process:
        message = read_until(process, UP)
        assert f"http://127.0.0.1:{port}/docs" in message
        stop(process)


def test_a_port_in_use_is_one_sentence_and_starts_nothing(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        done = daybook("up", env=of_its_own(folder, number))
    assert done.returncode == 3
    assert f"port {number} on 127.0.0.1 cannot be used" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert actions(done.stderr) == [("up", "failed")]
    assert not (folder / "var" / "postgres").exists()


def test_a_wrong_setting_is_one_sentence(folder: Path) -> None:
    done = daybook("up", env=environment(DAYBOOK_PORT="many", DAYBOOK_DATA_DIR=str(folder)))
    assert done.returncode == 3
    assert "DAYBOOK_PORT is 'many'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_command_line_is_told_apart(folder: Path) -> None:
    assert daybook("verfy", env=environment(DAYBOOK_DATA_DIR=str(folder))).returncode == 2


def test_a_database_that_cannot_be_reached_is_one_sentence() -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    done = daybook("verify", env=environment(DATABASE_URL=url, DAYBOOK_MASTER_KEY="A" * 43 + "="))
    assert done.returncode == 3
    assert "the database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
