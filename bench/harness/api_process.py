"""The API in a process of its own: `python -m bench.harness.api_process`, and the parent that starts and stops it.

It is the application as served, with authentication on, and one route more: `/v1/empty` takes a transfer's body through
the same door and the same validation and does nothing, which shows what HTTP alone costs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import uvicorn
from fastapi import FastAPI, Request
from psycopg_pool import ConnectionPool
from starlette.responses import Response
from uuid6 import uuid7

from api.app import create_app
from api.bodies import TransferBody
from api.door import Door
from api.principals import Principal, digest
from api.services import Services
from bench.harness.ledger import LOG, codec_of, running_ledger
from bench.harness.server import Database
from domain.ids import typeid
from eventstore.asynchronous import AsyncExecutor
from eventstore.connect import connect
from eventstore.numbers import Numbers
from eventstore.read import read_head
from projections.waiting import Checkpoints

TOKEN = "bench"  # noqa: S105 - of a server that lives for a minute
START_SECONDS = 30.0
STOP_SECONDS = 20.0
ROOT = Path(__file__).parent.parent.parent


@contextmanager
def running_api(database: Database) -> Iterator[str]:
    """The address of an API process on log `main` of this database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bench.harness.api_process"]
    environment = {**os.environ, "BENCH_URL": database.url, "BENCH_NAME": database.name, "BENCH_PORT": str(port)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/v1/health/live", timeout=2):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the API process did not start (exit status {process.poll()})") from None
            time.sleep(0.05)


async def _empty(request: Request, body: TransferBody) -> Response:
    return Response(b"{}", 201, media_type="application/json")


def _serve(database: Database, port: int) -> None:
    with (
        running_ledger(database) as ledger,
        connect(database.api_url, application_name="bench-codec") as keys,
        ConnectionPool(database.api_url, min_size=1, max_size=4, kwargs={"autocommit": True}, open=True) as pool,
    ):
        number = read_head(keys, LOG).log
        checkpoints = Checkpoints(lambda: connect(database.api_url, application_name="bench-checkpoints"), LOG)
        app = create_app(
            Services(
                log=LOG,
                log_number=number,
                executor=ledger.executor,
                commands=AsyncExecutor(ledger.executor),
                codec=codec_of(keys, number)[0],
                reads=pool.connection,
                checkpoints=checkpoints,
                numbers=Numbers(pool.connection),
                new_id=lambda prefix: typeid(prefix, uuid7()),
                clock=lambda: datetime.now(UTC),
                principals={digest(TOKEN): Principal("bench", "command")},
                allowed_hosts=("127.0.0.1",),
            )
        )
        inner = cast(FastAPI, cast(Door, app)._app)
        inner.add_api_route("/v1/empty", _empty, methods=["POST"], status_code=201)
        uvicorn.run(
            app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
        )
        checkpoints.close()


if __name__ == "__main__":
    _serve(Database(os.environ["BENCH_NAME"], os.environ["BENCH_URL"]), int(os.environ["BENCH_PORT"]))
