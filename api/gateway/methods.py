"""HEAD and OPTIONS for every route, and what a method that a route does not take is answered."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Answers HEAD with the status and the headers of GET. The body is dropped, and an answer without end is ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            await _head(self._app, scope, send)
        else:
            await self._app(scope, receive, send)


async def _head(app: ASGIApp, scope: Scope, send: Send) -> None:
    ended = asyncio.Event()

    async def leave() -> Message:
        await ended.wait()
        return {"type": "http.disconnect"}  # whoever streams stops as for a client that has left

    async def without_body(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended.is_set():
            ended.set()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    await app({**scope, "method": "GET"}, leave, without_body)


def allowed(app: FastAPI, scope: Scope) -> str:
    """The methods of this path, as the header `Allow` has them. Every route of the path counts."""
    methods = {"OPTIONS"}
    for route in app.router.routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))
