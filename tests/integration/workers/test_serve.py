"""`daybook serve` as a process: its file of tokens changes while it runs, and it trusts only named proxies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from api.gateway.principals import digest
from tests.integration.workers.running import PATIENCE_SECONDS, environment, started
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from workers.ports import free_port


def write(tokens: Path, token: str, role: str = "audit") -> None:
    """Replace the file with one that has only this token, as an editor does."""
    entry = {"sha256": digest(token).hex(), "principal": "somebody", "role": role}
    made = tokens.with_suffix(".new")
    made.touch(mode=0o600)
    made.write_text(json.dumps([entry]))
    made.rename(tokens)


def status(base: str, token: str) -> int:
    """The status of a request with this token on a new connection; 0 without an answer."""
    try:
        return httpx.get(f"{base}/v1/log", headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code
    except httpx.TransportError:
        return 0


@contextmanager
def serving(database: Database, tokens: Path, **more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a running API."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute("SELECT log.create_log('main')")
    env = environment(database, DAYBOOK_TOKENS_FILE=str(tokens), DAYBOOK_PORT=str(port), **more)
    with started("serve", env=env) as process:
        ready = "an API that answers"  # two workers on a busy machine need longer for it than the usual wait
        wait_until(lambda: status(base, "none") == 401 or process.poll() is not None, ready, PATIENCE_SECONDS)
        yield base, process


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_reloads_the_tokens_and_ends_nothing(database18: Database, tmp_path: Path, workers: int) -> None:
    tokens = tmp_path / "tokens.json"
    write(tokens, "first")
    with serving(database18, tokens, DAYBOOK_WORKERS=str(workers)) as (base, process):
        family = children(process.pid)
        assert status(base, "first") == 200
        write(tokens, "second")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: status(base, "second") == 200, "the new token")
        wait_until(lambda: {status(base, "first") for _ in range(20)} <= {401, 429}, "the end of the old token")
        assert process.poll() is None
        assert children(process.pid) == family, "no process was restarted"


def children(pid: int) -> set[int]:
    """The child processes."""
    tasks = Path(f"/proc/{pid}/task")
    return {int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()}


def test_a_file_of_tokens_that_others_may_read_is_refused_with_one_message(
    database18: Database, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.json"
    write(tokens, "first")
    os.chmod(tokens, 0o644)
    with serving(database18, tokens) as (_, process):
        assert process.stdout is not None
        message = process.stdout.read()
        assert process.wait() == 3
    assert "has the mode 0644, with which others may read or write it" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("trusted", "origin"), [("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1, 10.0.0.0/8", "203.0.113.7")]
)
def test_the_address_of_a_client_is_taken_only_from_a_named_proxy(
    database18: Database, tmp_path: Path, trusted: str, origin: str
) -> None:
    tokens = tmp_path / "tokens.json"
    write(tokens, "first", "command")
    message = {"DAYBOOK_TRUSTED_PROXIES": trusted, "FORWARDED_ALLOW_IPS": "*"}
    with serving(database18, tokens, **message) as (base, _), psycopg.connect(database18.url) as owner:
        headers = {"Authorization": "Bearer first", "Idempotency-Key": "k", "User-Agent": "me"}
        forwarded = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7, 10.1.1.1", "Forwarded": "for=198.51.100.9"}
        body = {"type": "checking", "currency": "EUR", "owner": "ada", "name": "Ada"}
        opened = httpx.post(f"{base}/v1/accounts", json=body, headers=headers | forwarded, timeout=30)
        assert opened.status_code == 201, opened.text
        assert owner.execute("SELECT origin FROM log.commands").fetchall() == [(f"{origin} me",)]
