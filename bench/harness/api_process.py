"""The API in a process of its own: `python -m bench.harness.api_process`, and the parent that starts and stops it.

It is the API as it is served, with authentication on, and one route more: `/v1/empty` takes a transfer's body through
the same door, routing and validation and does nothing, which shows what HTTP alone costs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from api.commanding import CommandRoute
from api.execution import command
from api.principals import digest
from api.routes import transactions
from bench.harness.server import MASTER_KEY, Database
from workers import serve, settings

TOKEN = "bench"  # noqa: S105 - of a server that lives for a minute
START_SECONDS = 30.0
STOP_SECONDS = 20.0
ROOT = Path(__file__).parent.parent.parent


@contextmanager
def running_api(database: Database, folder: Path) -> Iterator[str]:
    """The address of an API process on log `main` of this database; its file of tokens goes into the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tokens = folder / "tokens.json"
    tokens.write_text(json.dumps([{"sha256": digest(TOKEN).hex(), "principal": "bench", "role": "command"}]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings.PREFIX)} | {
        "DATABASE_URL": database.url,
        "DAYBOOK_MASTER_KEY": MASTER_KEY,
        "DAYBOOK_TOKENS_FILE": str(tokens),
        "DAYBOOK_PORT": str(port),
        "DAYBOOK_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-m", "bench.harness.api_process"], cwd=ROOT, env=environment)
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


async def _nothing(request: Request, route: CommandRoute, body: BaseModel, names: Mapping[str, str]) -> Response:
    return Response(b"{}", 201, media_type="application/json")


if __name__ == "__main__":
    command(transactions.router, "/empty", run=_nothing)(transactions.transfer)
    serve.serve(settings.load())
