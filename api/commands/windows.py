"""Executes items in windows: while some windows are executed, the next one is validated.

Batches use it, and commands that arrive by topic. An answer has the same members in both.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import orjson

from api.commands.batch_items import Ready, RefusedItem
from api.commands.execution import accepted_body, position_of, problem_body, problem_of, stream_of, version_of
from api.commands.routes import Caller
from api.gateway.problems import problem
from api.services import CommandServices
from eventstore.executor.decided_commands import Submission
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.log.answers import ACCEPTED, Answer

WINDOW = 512
"""Most items that are validated and queued together. A group of the executor has as many commands."""
WINDOW_BYTES = 256 * 1024
"""Most bytes that are parsed together, unless one item is larger. Brackets take forty times their size when parsed."""
WINDOWS_IN_FLIGHT = 3

Raw = bytes | msgspec.Raw
"""An item before it is parsed."""
Prepared = Ready | RefusedItem
Answered = tuple[Prepared, Answer | ExecutorError | None]
"""An item, and what the executor answered; None for an item that was refused before."""


def windows_of(items: Sequence[Raw], most: int) -> Iterator[list[bytes]]:
    """The items in order, in windows of at most `most` items and few bytes."""
    at = 0
    while at < len(items):
        window = items[at : at + most]
        while len(window) > 1 and sum(sizes(window)) > WINDOW_BYTES:
            window = window[: len(window) // 2]
        yield list(map(bytes, window))
        at += len(window)


def sizes(items: Sequence[Raw]) -> list[int]:
    """The size of each item in bytes."""
    return [len(memoryview(item)) for item in items]


async def executed(caller: Caller, windows: AsyncIterator[Sequence[Prepared]]) -> AsyncIterator[list[Answered]]:
    """Execute the items of each window in order, and return windows of answers in the same order."""
    in_flight: deque[tuple[Sequence[Prepared], asyncio.Future[list[Answer | ExecutorError]]]] = deque()
    commands, actor = caller.services.commands, caller.principal.id
    async for window in windows:
        ready = [item.submission for item in window if isinstance(item, Ready)]
        while in_flight and (len(in_flight) == WINDOWS_IN_FLIGHT or not commands.has_room(actor, len(ready))):
            yield await _answered(*in_flight.popleft())
        in_flight.append((window, _start(caller.services, ready)))
        await asyncio.sleep(0)  # let other requests use the event loop
    while in_flight:
        yield await _answered(*in_flight.popleft())


def _start(served: CommandServices, submissions: list[Submission]) -> asyncio.Future[list[Answer | ExecutorError]]:
    try:
        return served.commands.execute_all(submissions)
    except ExecutorError as error:
        refused: asyncio.Future[list[Answer | ExecutorError]] = asyncio.get_running_loop().create_future()
        refused.set_result([error] * len(submissions))
        return refused


async def _answered(
    window: Sequence[Prepared], answered: asyncio.Future[list[Answer | ExecutorError]]
) -> list[Answered]:
    answers = iter(await answered)
    return [(item, next(answers) if isinstance(item, Ready) else None) for item in window]


def rendered(served: CommandServices, answered: Answered, *, marks_replays: bool) -> bytes:
    """The answer to an item as JSON. With `marks_replays` it says whether it is an answer to an earlier request."""
    item, answer = answered
    if isinstance(item, RefusedItem):
        return problem_line(item.key, item.path, item.problem)
    if isinstance(answer, ExecutorError):
        message = problem_of(answer)
        return problem_line(item.key, item.path, problem(message.code, message.detail, message.figures))
    assert answer is not None
    replayed = marks_replays and answer.replayed
    if answer.outcome is not ACCEPTED:
        return problem_line(item.key, item.path, problem_body(answer), replayed)
    body = accepted_body(answer, position_of(served, answer).encode())
    return _line(item.key, answer.code, body, replayed, version_of(answer, stream_of(item.intent, answer)))


def problem_line(key: str | None, path: str, message: dict[str, Any], replayed: bool = False) -> bytes:
    """The answer to an item that was not accepted. `path` is that of its command, or where the item came."""
    body = orjson.dumps({**message, "instance": quote(path)}, option=orjson.OPT_SORT_KEYS)
    return _line(key, message["status"], body, replayed)


def _line(key: str | None, status: int, body: bytes, replayed: bool, version: int | None = None) -> bytes:
    """The answer to one item. It is joined from bytes: thousands of objects that orjson made are slow to keep."""
    again = b'"replayed":true,' if replayed else b""
    seen = b"" if version is None else b',"version":%d' % version
    return b'{"body":%s,"key":%s,%s"status":%d%s}' % (body, orjson.dumps(key), again, status, seen)
