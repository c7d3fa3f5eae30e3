"""Runs the API in a separate process (`python -m bench.harness.api_process`), which the caller starts and stops.

It is the normal API with authentication and two more routes. Both take the body of a transfer through the request
guard, validate it and do nothing. `/v1/empty` uses the command router and shows the cost of HTTP alone. `/v1/plain`
uses FastAPI, which commands do not use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from api.accounts import transactions
from api.accounts.bodies import TransferBody
from api.commands.execution import command
from api.commands.routes import CommandRoute
from api.gateway.principals import digest
from api.gateway.routes import action
from bench.harness import process
from bench.harness.server import MASTER_KEY, Database
from domain.accounts.transaction import Transfer
from domain.permissions import COMMANDERS
from workers import serve, settings
from workers.ports import free_port

TOKEN = "bench"  # noqa: S105 - the server runs for a minute


@contextmanager
def running_api(database: Database, folder: Path, cpu: int = 0) -> Iterator[str]:
    """Run an API process on log `main` of this database. Yields its address. The folder gets its file of tokens."""
    tokens = folder / "tokens.json"
    tokens.touch(mode=0o600)  # the API refuses a file that others may read
    tokens.write_text(json.dumps([{"sha256": digest(TOKEN).hex(), "principal": "bench", "role": "command"}]))
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        "DATABASE_URL": database.url,
        "DAYBOOK_MASTER_KEY": MASTER_KEY,
        "DAYBOOK_TOKENS_FILE": str(tokens),
        "DAYBOOK_PORT": str(port),
        "DAYBOOK_CPU": str(cpu),
        "DAYBOOK_LOG_LEVEL": "warning",
    }
    with process.running(
        "bench.harness.api_process",
        environment=environment,
        ready=lambda: process.answers(f"{address}/v1/health/live"),
    ):
        yield address


async def _nothing(request: Request, route: CommandRoute, body: BaseModel, names: Mapping[str, str]) -> Response:
    return Response(b"{}", 201, media_type="application/json")


async def _plain(body: TransferBody) -> dict[str, str]:
    return {}


if __name__ == "__main__":
    command(transactions.router, "/empty", makes=Transfer, answer=None, run=_nothing)(transactions.transfer)
    action(transactions.router, "/plain", may=COMMANDERS, status_code=201)(_plain)
    serve.serve(settings.load())
