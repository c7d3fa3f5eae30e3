"""Where errors end: nothing goes on to the server, which would log what an error says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

AnswerError = Callable[[Request, Exception], Awaitable[Response]]


class ErrorMiddleware:
    """Answers what the application raises, if its own answer has not begun.

    An answer that has begun is left unfinished, and the server hangs up.
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
            return  # nobody is there to be answered, and it is no fault of ours
        except Exception as error:
            response = await self._answer_error(Request(scope), error)
            if not begun:
                await response(scope, receive, send)
