"""The HTTP side of a witness: it is asked by `POST /add-checkpoint`, and shows what it has cosigned."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from contextlib import suppress
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.config import STARTUP_FAILURE

from api.gateway.connections import ConnectionLimits, server_options
from eventstore.proof.add_checkpoint import MOST_REQUEST_BYTES, PATH, SIZE_TYPE
from workers.clock_and_ids import now
from workers.settings import Settings
from workers.witness.heads import Head, Heads, make_heads
from workers.witness.witness import OtherSizeError, RefusedError, Witness

logger = logging.getLogger(__name__)

FILE: Final = "witness.sqlite"
"""The name of the file with the last checkpoints, in the data folder."""
MOST_CONNECTIONS: Final = 100
BODY_SECONDS: Final = 10.0
"""Until the body of a request has come."""
STOP_SECONDS: Final = 5


def begin_witness(settings: Settings) -> str:
    """Make the file of a new witness and return its public key. Raises `SettingsError`, `HeadsError`."""
    key = settings.witness_signer().verifier
    make_heads(settings.data_dir / FILE)
    return str(key)


def run_witness(settings: Settings) -> None:
    """Serve a witness until a signal to stop. Raises `SettingsError`, `HeadsError`."""
    signer, logs = settings.witness_signer(), settings.witnessed_logs()
    with Heads(settings.data_dir / FILE) as heads:
        witness = Witness(signer, logs, heads, now)
        logger.info("witnessing %d logs; the key of the cosignatures is %s", len(logs), witness.key)
        config = uvicorn.Config(
            application_of(witness),
            host=settings.host,
            port=settings.port,
            proxy_headers=False,
            log_level=settings.log_level,
            timeout_graceful_shutdown=STOP_SECONDS,
            **server_options(ConnectionLimits(connections=MOST_CONNECTIONS)),
        )
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):  # uvicorn raises it after it has shut down
            server.run()
        if not server.started:
            sys.exit(STARTUP_FAILURE)


def application_of(witness: Witness) -> Starlette:
    """The application. Answers that refuse have one sentence as text."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return _sentence(408, f"the body had not come after {BODY_SECONDS:g} seconds")
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        if body is None:
            return _sentence(413, f"a request has at most {MOST_REQUEST_BYTES} bytes")
        try:
            return PlainTextResponse(await run_in_threadpool(witness.add_checkpoint, body))
        except OtherSizeError as conflict:
            return Response(f"{conflict.size}\n", conflict.status, {"content-type": SIZE_TYPE})
        except RefusedError as refused:
            return _sentence(refused.status, str(refused))
        except sqlite3.Error as error:
            logger.error("the checkpoint cannot be kept, and was not cosigned: %s", error)
            return _sentence(503, "the checkpoint cannot be kept, and was not cosigned")

    def get_checkpoint(request: Request) -> Response:
        head = witness.head(request.path_params["origin_hash"])
        if head is None:
            return _sentence(404, "no checkpoint of this log was cosigned")
        return PlainTextResponse(head.note)

    def get_overview(_request: Request) -> Response:
        lines = [f"witness {witness.key}"]
        for origin, head in witness.heads().items():
            lines.append(f"log {origin}: " + _described(head))
        return PlainTextResponse("".join(f"{line}\n" for line in lines))

    return Starlette(
        routes=[
            Route(PATH, add_checkpoint, methods=["POST"]),
            Route("/{origin_hash}/checkpoint", get_checkpoint, methods=["GET"]),
            Route("/", get_overview, methods=["GET"]),
        ]
    )


async def _body(request: Request) -> bytes | None:
    """The body; None if it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_REQUEST_BYTES:
            return None
    return bytes(body)


def _sentence(status: int, sentence: str) -> Response:
    return PlainTextResponse(f"{sentence}\n", status)


def _described(head: Head | None) -> str:
    return "nothing yet" if head is None else f"{head.size} leaves, cosigned at {head.signed_at:%Y-%m-%dT%H:%M:%SZ}"
