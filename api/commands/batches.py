"""Thousands of commands in one request: each with its own key and answer, or all or nothing in one unit.

The body is read completely and split into the bytes of its items before any command is executed. So a batch that is
refused as a whole changes nothing. The items are then processed in windows: while some windows are executed, the next
one is parsed and validated. A batch takes memory for its body, its answers and a few windows, all bounded. An item has
the path, key, `If-Match` and body of a single request. A client may retry it alone or in another batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.commands.answers import ANSWERS_OF_BATCH, BATCH_OF, DRY_RUN
from api.commands.batch_items import Items, Ready, RefusedItem
from api.commands.execution import (
    caller_of,
    metadata_of,
    origin,
    problem_body,
    problem_of,
    refuse_doubled,
    render,
    request_hash,
    stated_key,
    submission_of,
)
from api.commands.routes import Caller, Intent
from api.commands.windows import WINDOW, Prepared, Raw, executed, rendered, sizes, windows_of
from api.gateway.access_log import AccessLog
from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.problems import Problem, encoded, too_large, too_slow
from api.gateway.request_guard import coding_of
from api.gateway.request_traces import times_of
from api.gateway.routes import action
from domain.batch import BATCH, DIGEST, SubmitBatch
from domain.permissions import EVERYONE, OF_PERSONS
from domain.together import Together
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.log.answers import Answer, Outcome

router = APIRouter(prefix="/v1", tags=["batches"])

LEAST_BYTES_A_VALUE = 8
"""The largest body size divided by this is the most commas or lines of a body. A batch of commands never has more."""
PATH = "/v1/batches"
JSON, NDJSON = "application/json", "application/x-ndjson"

DESCRIBED = {
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


@action(
    router, "/batches", may=EVERYONE | OF_PERSONS, reads_body=True, responses=ANSWERS_OF_BATCH, openapi_extra=DESCRIBED
)
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
    Without it, an `Idempotency-Key` of the request is optional: it records the batch before any item is carried out.
    The header `Daybook-Batch` has its id, and `GET /v1/batches/{batch}` the outcome of each item, also later.
    """
    kind = kind_of(request)
    limits = request.app.state.services.limits
    limit: ConcurrencyLimit = request.app.state.batches
    with limit.one(request.scope["state"]["principal"].id):
        items = await read_items(request, kind, limits.batch_items, limits.batch_bytes)
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
        correlation = self._caller.services.new_id(BATCH)
        self._items = Items(
            self._caller,
            request.app.state.routes,
            self._origin,
            state,
            address=PATH,
            correlation=correlation,
            dry_run=dry_run,
        )
        request.scope["state"]["batch"] = {"items": items, "batch": correlation}  # for the access log

    # ------------------------------------------------------------------ separate commands

    async def each(self, items: Sequence[Raw], kind: str) -> Response:
        """Execute each item and answer with all answers."""
        answers: list[bytes] = []
        served = self._caller.services
        marks = {DRY_RUN: "true"} if self._dry_run else {}
        if not self._dry_run and b"idempotency-key" in self._request.scope["state"]["headers"]:
            marks[BATCH_OF] = await self._submitted(items)
        async for window in executed(self._caller, self._prepared(items)):
            answers += [rendered(served, one, marks_replays=True) for one in window]
            self._items.forbidden += sum(_is_forbidden(answer) for _, answer in window)
        if self._items.forbidden:
            access: AccessLog = self._request.app.state.access
            access.refused(self._request.scope, 403, "forbidden", self._caller.principal, items=self._items.forbidden)
        if kind == NDJSON:
            return Response(b"\n".join(answers) + b"\n" if answers else b"", 200, marks, NDJSON)
        return Response(b"[" + b",".join(answers) + b"]", 200, marks, JSON)

    async def _submitted(self, items: Sequence[Raw]) -> str:
        """Record the keys of the items under the key of this request, or find that they are. Returns the batch's id.

        Raises `Problem`, also if the key came with other items before.
        """
        state = self._request.scope["state"]
        key = stated_key(state)
        await refuse_doubled(self._request, key)
        named = await identify(self._items, items, PATH)
        command = SubmitBatch(state["batch"]["batch"], named.keys, named.digests)
        submission = submission_of(
            replace(
                self._caller, known=None
            ),  # the scope of an API key is for the items; the batch itself does nothing
            Intent(command),
            key=key,
            digest=named.digest,
            recorded=metadata_of(self._caller, command, key),
            expected={},
            status=200,
            if_match=False,
            origin=self._origin,
            times=times_of(state, command),
        )
        try:
            answer = await self._caller.services.commands.execute(submission)
        except ExecutorError as error:
            raise problem_of(error) from error
        if answer.outcome is not Outcome.ACCEPTED:
            message = problem_body(answer)
            raise Problem(message["code"], message["detail"], **message.get("figures", {}))
        batch: str = answer.result["batch"]
        state["batch"]["batch"] = batch  # a retry belongs to the batch that was recorded
        self._items.belong_to(batch)
        return batch

    async def _prepared(self, items: Sequence[Raw]) -> AsyncIterator[list[Prepared]]:
        for raw in windows_of(items, min(WINDOW, self._caller.services.commands.most_together)):
            yield await self._items.prepare(raw)

    # ------------------------------------------------------------------ one unit

    async def atomic(self, items: Sequence[Raw]) -> Response:
        """Execute all items in one unit. The answer names the item that failed, or has all results in order."""
        key = stated_key(self._request.scope["state"])
        await refuse_doubled(self._request, key)
        if not items:
            raise Problem("malformed", "An atomic batch has at least one item.")
        ready: list[Ready] = []
        for raw in windows_of(items, WINDOW):
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
            digest=request_hash(PATH, None, message),
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


class Identified(NamedTuple):
    """Which commands came together: the key and the digest of each item, and the digest of all of them."""

    keys: tuple[str | None, ...]
    digests: tuple[str, ...]
    digest: bytes


async def identify(items: Items, raw: Sequence[Raw], address: str) -> Identified:
    """Find which commands these items are. `address` is where they came to, and part of the digest of all."""
    identified: list[tuple[str | None, bytes]] = []
    for window in windows_of(raw, WINDOW):
        identified += items.identified(window)
        await asyncio.sleep(0)  # let other requests use the event loop
    return Identified(
        tuple(name for name, _ in identified),
        tuple("" if name is None else digest[: DIGEST // 2].hex() for name, digest in identified),
        request_hash(address, None, [[name, digest.hex()] for name, digest in identified]),
    )


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


def _is_forbidden(answer: Answer | ExecutorError | None) -> bool:
    return isinstance(answer, Answer) and answer.outcome is Outcome.FORBIDDEN


# ---------------------------------------------------------------------- reading

_take_apart = msgspec.json.Decoder(list[msgspec.Raw]).decode


def kind_of(request: Request) -> str:
    """The content type of a body of items. Raises `Problem` for another one."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in (JSON, NDJSON):
        raise Problem("content_type", f"The body is {kind[:100]!r}; send {JSON} or {NDJSON}.")
    return kind


async def read_items(request: Request, kind: str, most_items: int, most_bytes: int) -> Sequence[Raw]:
    """Read the body and return the items, not yet parsed. Raises `Problem`."""
    limits = request.app.state.services.limits
    body = bytearray()
    try:
        async with asyncio.timeout(limits.batch_seconds):
            async for part in request.stream():
                body += part
                if len(body) > most_bytes:
                    raise too_large(most_bytes)
    except TimeoutError:
        raise too_slow(limits.batch_seconds) from None
    coding = coding_of(request.scope["state"]["headers"].get(b"content-encoding"), body)
    if coding is not None:
        raise encoded(coding)
    most = most_bytes // LEAST_BYTES_A_VALUE
    if body.count(b"\n" if kind == NDJSON else b",") > most:
        separators = "line ends" if kind == NDJSON else "commas"
        raise Problem("too_large", f"The body has more than {most} {separators}.", most=most)
    items: Sequence[Raw] = (
        list(filter(bytes.strip, bytes(body).split(b"\n"))) if kind == NDJSON else _items_of_array(body)
    )
    if len(items) > most_items:
        raise Problem("too_large", f"The body has more than {most_items} items.", most=most_items)
    if max(sizes(items), default=0) > limits.body_bytes:
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
