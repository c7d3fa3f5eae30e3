"""Answers HEAD on every route that answers GET."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Answers HEAD with the status and the headers of GET. The body is dropped, and an endless answer is ended."""

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
        return {"type": "http.disconnect"}  # ends a stream as if the client had left

    async def without_body(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended.is_set():
            ended.set()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    await app({**scope, "method": "GET"}, leave, without_body)
