"""Long batches: commands that are sent in parts and carried out in the background.

The client announces how many items there are, and sends them in parts. The last part starts the batch, and a worker
carries the parts out (`workers.batches`). The number of a part is its key: the same part again gets the same answer.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from msgspec.structs import replace
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.commands.answers import Accepted, answers_of_command
from api.commands.batch_items import Items
from api.commands.batches import DESCRIBED, Identified, identify, kind_of, read_items
from api.commands.bodies import Body, Reason, example
from api.commands.execution import caller_of, command, metadata_of, origin, problem_of, render, submission_of
from api.commands.routes import Caller, Intent
from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.problems import Problem
from api.gateway.request_traces import times_of
from api.gateway.routes import action
from api.queries.reading import PathId
from api.queries.response_types import one_of
from api.services import services
from domain.batch import MOST_KEYS
from domain.long_batch import (
    LONG_BATCH,
    MOST_ITEMS,
    MOST_PARTS,
    LentKey,
    OpenLongBatch,
    ReceivePart,
    Status,
    StopLongBatch,
)
from domain.permissions import EVERYONE, OF_PERSONS
from eventstore.batches.spool import SpooledPart, SpoolFullError
from eventstore.executor.decided_commands import Submission
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.log.answers import ACCEPTED, Answer

PATH: Final = "/v1/long-batches"
router = APIRouter(prefix=PATH, tags=["batches"])

PartNumber = Annotated[int, Path(ge=1, le=MOST_PARTS, description="Its number: 1, 2, … without a gap")]


class LongBatchBody(Body):
    """Announce a long batch."""

    model_config = example(items=25_000)

    items: Annotated[int, Field(ge=1, le=MOST_ITEMS, description="How many items all parts have together")]


class LongBatchChanged(Accepted):
    """A long batch that was opened or stopped."""

    batch: str
    status: Annotated[str, one_of(Status)]
    items: int


class PartTaken(LongBatchChanged):
    """A part that was received."""

    part: int
    received: Annotated[int, Field(description="Items that came so far")]


@command(router, "", makes=OpenLongBatch, answer=LongBatchChanged)
def open_long_batch(caller: Caller, body: LongBatchBody) -> Intent:
    """Announce a batch that is sent in parts and carried out in the background. Who lost its id repeats the request.

    Send its parts to `/v1/long-batches/{long_batch}/parts/1`, `/2` and so on. It starts when all of its items have
    come, and is ended if it has not finished within seven days.
    """
    batch = caller.services.new_id(LONG_BATCH)
    return Intent(OpenLongBatch(batch, body.items, _lent(caller)), created="batch")


@command(router, "/{long_batch}/stop", makes=StopLongBatch, answer=LongBatchChanged, status=200)
def stop_long_batch(caller: Caller, long_batch: PathId, body: Reason) -> Intent:
    """Stop a long batch, as its sender or an operator. What was carried out stays so.

    A part that was begun is completed. To go on, send all items, or those that are left, with the same keys in another
    batch.
    """
    return Intent(StopLongBatch(long_batch, body.reason), long_batch)


@action(
    router,
    "/{long_batch}/parts/{part}",
    may=EVERYONE | OF_PERSONS,
    reads_body=True,
    responses=answers_of_command(PartTaken),
    openapi_extra=DESCRIBED,
)
async def post_part(request: Request, long_batch: PathId, part: PartNumber) -> Response:
    """Send a part of a long batch, as a JSON array or one item on each line (application/x-ndjson).

    A part has at most 1,000 items. All parts but the last have as many as the first. Its number is its key: the same
    part again gets the same answer, and another content under its number is 409 `key_reused`.
    """
    kind, served = kind_of(request), services(request)
    limit: ConcurrencyLimit = request.app.state.batches
    with limit.one(request.scope["state"]["principal"].id):
        items = await read_items(request, kind, MOST_KEYS, served.limits.part_bytes)
        return await _Received(request, long_batch, part).take(list(map(bytes, items)))


class _Received:
    """A part that came."""

    def __init__(self, request: Request, batch: str, part: int) -> None:
        self._request = request
        self._caller: Caller = caller_of(request)
        self._batch = batch
        self._part = part
        self._state = request.scope["state"]

    async def take(self, raw: list[bytes]) -> Response:
        """Keep the items beside the log, and record which they are. Raises `Problem`.

        It is tried first. So a part that cannot be taken now is refused without a record: its number stays free.
        """
        self._state["batch"] = {"items": len(raw), "batch": self._batch}  # for the access log
        request, caller = self._request, self._caller
        items = Items(
            caller, request.app.state.routes, origin(request), self._state, address=PATH, correlation=self._batch
        )
        named = await identify(items, raw, self._address)
        submission = self._submission(named, sum(map(len, raw)))
        tried = await self._executed(replace(submission, dry_run=True, times=None))
        if tried.outcome is not ACCEPTED or tried.replayed:
            return render(caller, tried)
        spool, limits = services(request).spool, services(request).limits.spool
        assert spool is not None, "only a replica has none, and it refuses commands"
        place = SpooledPart(self._batch, self._part, named.digest)
        try:
            await run_in_threadpool(partial(spool.put, place, caller.principal.id, raw, limits))
        except SpoolFullError as error:
            raise Problem("too_many" if error.of_sender else "busy", f"{error}.", most=error.most) from error
        answer = await self._executed(submission)
        if answer.outcome is not ACCEPTED:  # it was stopped meanwhile, or another content came first
            await run_in_threadpool(spool.remove, place)
        return render(caller, answer)

    @property
    def _address(self) -> str:
        return f"{PATH}/{self._batch}/parts/{self._part}"

    def _submission(self, named: Identified, size: int) -> Submission:
        command = ReceivePart(
            batch=self._batch,
            part=self._part,
            keys=named.keys,
            digests=named.digests,
            digest=named.digest.hex(),
            bytes=size,
        )
        key = f"{self._batch}:{self._part}"
        return submission_of(
            self._caller,
            Intent(command),
            key=key,
            digest=named.digest,
            recorded=metadata_of(self._caller, command, key),
            expected={},
            status=201,
            if_match=False,
            origin=origin(self._request),
            times=times_of(self._state, command),
        )

    async def _executed(self, submission: Submission) -> Answer:
        try:
            return await self._caller.services.commands.execute(submission)
        except ExecutorError as error:
            raise problem_of(error) from error


def _lent(caller: Caller) -> LentKey | None:
    """The API key that the caller uses, with its scope."""
    known = caller.known
    if known is None or known.key is None or known.scope is None:
        return None
    accounts = known.scope.accounts
    return LentKey(known.key, tuple(sorted(known.scope.areas)), None if accounts is None else tuple(sorted(accounts)))
