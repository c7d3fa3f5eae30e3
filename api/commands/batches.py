"""Thousands of commands in one request: each with its own key and answer, or all or nothing in one unit.

The body is read completely and split into the bytes of its items before any command is executed. So a batch that is
refused as a whole changes nothing. The items are then processed in windows: while some windows are executed, the next
one is parsed and validated. A batch takes memory for its body, its answers and a few windows, all bounded. An item has
the path, key, `If-Match` and body of a single request. A client may retry it alone or in another batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.commands.answers import ANSWERS_OF_BATCH, DRY_RUN
from api.commands.batch_items import Items, Ready, RefusedItem
from api.commands.execution import (
    accepted_body,
    caller_of,
    metadata_of,
    origin,
    position_of,
    problem_body,
    problem_of,
    refuse_doubled,
    render,
    request_hash,
    stated_key,
    stream_of,
    submission_of,
    version_of,
)
from api.commands.routes import Caller, Intent
from api.gateway.access_log import AccessLog
from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.problems import Problem, encoded, problem, too_large, too_slow
from api.gateway.request_guard import coding_of
from api.gateway.request_traces import times_of
from api.gateway.routes import action
from domain.permissions import COMMANDERS
from domain.together import Together
from eventstore.executor.decided_commands import Submission
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.log.answers import ACCEPTED, Answer, Outcome

router = APIRouter(prefix="/v1", tags=["batches"])

WINDOW = 512
"""Most items that are validated and queued together. A group of the executor has as many commands."""
WINDOW_BYTES = 256 * 1024
"""Most bytes that are parsed together, unless one item is larger. Brackets take forty times their size when parsed."""
WINDOWS_IN_FLIGHT = 3
LEAST_BYTES_A_VALUE = 8
"""The largest body size divided by this is the most commas or lines of a body. A batch of commands never has more."""
JSON, NDJSON = "application/json", "application/x-ndjson"

_DESCRIBED = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/BatchItem"}}},
            NDJSON: {
                "schema": {"type": "string", "description": "One item a line"},
                "x-item-schema": {"$ref": "#/components/schemas/BatchItem"},
            },
        },
    }
}


@action(router, "/batches", may=COMMANDERS, reads_body=True, responses=ANSWERS_OF_BATCH, openapi_extra=_DESCRIBED)
async def post_batch(
    request: Request,
    atomic: Annotated[
        bool, Query(description="Carry out all items or none, in one unit, under the key of this request")
    ] = False,
    dry_run: Annotated[
        bool, Query(description="Give the answers that the items would get now, each alone, and record nothing")
    ] = False,
) -> Response:
    """Post many commands, as a JSON array or one on each line (application/x-ndjson). The answers have the same order.

    Each item has its own key and gets the answer of a single request: status, body, and whether it is a replay.
    With `atomic` the items have no keys: the `Idempotency-Key` of the request is the key of all of them.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in (JSON, NDJSON):
        raise Problem("content_type", f"The body is {kind[:100]!r}; send {JSON} or {NDJSON}.")
    limit: ConcurrencyLimit = request.app.state.batches
    with limit.one(request.scope["state"]["principal"].id):
        items = await _read(request, kind)
        batch = _Batch(request, len(items), dry_run)
        return await (batch.atomic(items) if atomic else batch.each(items, kind))


class _Batch:
    """The execution of one batch."""

    def __init__(self, request: Request, items: int, dry_run: bool) -> None:
        self._request = request
        self._dry_run = dry_run
        self._caller: Caller = caller_of(request)
        self._origin = origin(request)
        state = request.scope["state"]
        self._items = Items(self._caller, request.app.state.routes, self._origin, state, dry_run=dry_run)
        request.scope["state"]["batch"] = {"items": items, "batch": self._items.correlation}  # for the access log

    # ------------------------------------------------------------------ separate commands

    async def each(self, items: Sequence[Raw], kind: str) -> Response:
        """Execute each item and answer with all answers."""
        answers: list[bytes] = []
        in_flight: deque[tuple[list[Ready | RefusedItem], asyncio.Future[list[Answer | ExecutorError]]]] = deque()
        commands, actor = self._caller.services.commands, self._caller.principal.id
        for raw in _windows(items, min(WINDOW, commands.most_together)):
            window = await self._items.prepare(raw)
            ready = [item.submission for item in window if isinstance(item, Ready)]
            while in_flight and (len(in_flight) == WINDOWS_IN_FLIGHT or not commands.has_room(actor, len(ready))):
                answers.extend(await self._answers_to(*in_flight.popleft()))
            in_flight.append((window, self._start(ready)))
            await asyncio.sleep(0)  # let other requests use the event loop
        while in_flight:
            answers.extend(await self._answers_to(*in_flight.popleft()))
        if self._items.forbidden:
            access: AccessLog = self._request.app.state.access
            access.refused(self._request.scope, 403, "forbidden", self._caller.principal, items=self._items.forbidden)
        marks = {DRY_RUN: "true"} if self._dry_run else None
        if kind == NDJSON:
            return Response(b"\n".join(answers) + b"\n" if answers else b"", 200, marks, NDJSON)
        return Response(b"[" + b",".join(answers) + b"]", 200, marks, JSON)

    def _start(self, submissions: list[Submission]) -> asyncio.Future[list[Answer | ExecutorError]]:
        try:
            return self._caller.services.commands.execute_all(submissions)
        except ExecutorError as error:
            refused: asyncio.Future[list[Answer | ExecutorError]] = asyncio.get_running_loop().create_future()
            refused.set_result([error] * len(submissions))
            return refused

    async def _answers_to(
        self, items: list[Ready | RefusedItem], answered: asyncio.Future[list[Answer | ExecutorError]]
    ) -> Iterable[bytes]:
        answers = iter(await answered)
        return [
            self._answer(item, next(answers))
            if isinstance(item, Ready)
            else _problem_line(item.key, item.path, item.problem)
            for item in items
        ]

    def _answer(self, item: Ready, answer: Answer | ExecutorError) -> bytes:
        if isinstance(answer, ExecutorError):
            message = problem_of(answer)
            return _problem_line(item.key, item.path, problem(message.code, message.detail, message.figures))
        if answer.outcome is not ACCEPTED:
            self._items.forbidden += answer.outcome is Outcome.FORBIDDEN
            return _problem_line(item.key, item.path, problem_body(answer), answer.replayed)
        body = accepted_body(answer, position_of(self._caller.services, answer).encode())
        version = version_of(answer, stream_of(item.intent, answer))
        return _line(item.key, answer.code, body, answer.replayed, version)

    # ------------------------------------------------------------------ one unit

    async def atomic(self, items: Sequence[Raw]) -> Response:
        """Execute all items in one unit. The answer names the item that failed, or has all results in order."""
        key = stated_key(self._request.scope["state"])
        await refuse_doubled(self._request, key)
        if not items:
            raise Problem("malformed", "An atomic batch has at least one item.")
        ready: list[Ready] = []
        for raw in _windows(items, WINDOW):
            window = await self._items.prepare(raw, keyed=False)
            for number, item in enumerate(window, len(ready) + 1):
                if isinstance(item, RefusedItem):
                    figures = {"item": number, **item.problem.get("figures", {})}
                    raise Problem(item.problem["code"], f"Item {number}: {item.problem['detail']}", **figures)
                ready.append(item)
            await asyncio.sleep(0)  # let other requests use the event loop
        command = Together(tuple(item.intent.command for item in ready))
        # The hashes of the items, in order, identify the request.
        message = [item.submission.request_hash.hex() for item in ready]
        submission = submission_of(
            self._caller,
            Intent(command),
            key=key,
            digest=request_hash("/v1/batches", None, message),
            recorded=metadata_of(self._caller, command, key),
            expected=_together_expected(ready),
            status=201,
            if_match=False,
            origin=self._origin,
            dry_run=self._dry_run,
            times=times_of(self._request.scope["state"], command),
        )
        try:
            answer = await self._caller.services.commands.execute(submission)
        except ExecutorError as error:
            raise problem_of(error) from error
        return render(self._caller, answer, dry_run=self._dry_run)


def _together_expected(items: list[Ready]) -> dict[str, int]:
    """The versions that the items expect. Raises `Problem` if two differ: all items see the log before the unit."""
    expected: dict[str, int] = {}
    for number, item in enumerate(items, 1):
        for stream, version in item.submission.expected.items():
            if expected.setdefault(stream, version) != version:
                raise Problem(
                    "malformed",
                    f"Item {number} expects version {version} of {stream}; an earlier item expects {expected[stream]}.",
                    item=number,
                )
    return expected


def _line(key: str | None, status: int, body: bytes, replayed: bool, version: int | None = None) -> bytes:
    """The answer to one item. It is joined from bytes: thousands of objects that orjson made are slow to keep."""
    again = b'"replayed":true,' if replayed else b""
    seen = b"" if version is None else b',"version":%d' % version
    return b'{"body":%s,"key":%s,%s"status":%d%s}' % (body, orjson.dumps(key), again, status, seen)


def _problem_line(key: str | None, path: str, message: dict[str, Any], replayed: bool = False) -> bytes:
    body = orjson.dumps({**message, "instance": quote(path)}, option=orjson.OPT_SORT_KEYS)
    return _line(key, message["status"], body, replayed)


# ---------------------------------------------------------------------- reading

Raw = bytes | msgspec.Raw
"""An item before it is parsed."""

_take_apart = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def _read(request: Request, kind: str) -> Sequence[Raw]:
    """Read the body and return the items, not yet parsed. Raises `Problem`."""
    limits = request.app.state.services.limits
    body = bytearray()
    try:
        async with asyncio.timeout(limits.batch_seconds):
            async for part in request.stream():
                body += part
                if len(body) > limits.batch_bytes:
                    raise too_large(limits.batch_bytes)
    except TimeoutError:
        raise too_slow(limits.batch_seconds) from None
    coding = coding_of(request.scope["state"]["headers"].get(b"content-encoding"), body)
    if coding is not None:
        raise encoded(coding)
    most = limits.batch_bytes // LEAST_BYTES_A_VALUE
    if body.count(b"\n" if kind == NDJSON else b",") > most:
        separators = "line ends" if kind == NDJSON else "commas"
        raise Problem("too_large", f"The body has more than {most} {separators}.", most=most)
    items: Sequence[Raw] = (
        list(filter(bytes.strip, bytes(body).split(b"\n"))) if kind == NDJSON else _items_of_array(body)
    )
    if len(items) > limits.batch_items:
        raise Problem("too_large", f"The batch has more than {limits.batch_items} items.", most=limits.batch_items)
    if max(_sizes(items), default=0) > limits.body_bytes:
        raise too_large(limits.body_bytes, "An item of the batch")
    return items


def _items_of_array(body: bytearray) -> Sequence[Raw]:
    """The bytes of each item, found without parsing the item. Raises `Problem`."""
    try:
        return _take_apart(body)
    except msgspec.ValidationError:
        raise Problem("malformed", "The body is not a JSON array of items.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem("malformed", f"The body is not JSON: {error}.") from None


def _windows(items: Sequence[Raw], most: int) -> Iterator[list[bytes]]:
    """The items in order, in windows of at most `most` items and few bytes."""
    at = 0
    while at < len(items):
        window = items[at : at + most]
        while len(window) > 1 and sum(_sizes(window)) > WINDOW_BYTES:
            window = window[: len(window) // 2]
        yield list(map(bytes, window))
        at += len(window)


def _sizes(items: Sequence[Raw]) -> list[int]:
    return [len(memoryview(item)) for item in items]
