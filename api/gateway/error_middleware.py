"""Turns errors into answers. No error reaches the server, which would log its message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

AnswerError = Callable[[Request, Exception], Awaitable[Response]]


class ErrorMiddleware:
    """Answers an exception of the application, if its response has not started.

    A response that has started stays incomplete, and the server closes the connection.
    """

    def __init__(self, app: ASGIApp, answer_error: AnswerError) -> None:
        self._app = app
        self._answer_error = answer_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return  # the client has left; this is not an error of Daybook
        except Exception as error:
            response = await self._answer_error(Request(scope), error)
            if not begun:
                await response(scope, receive, send)
