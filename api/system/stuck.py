"""The route of what is stuck: transactions that have waited for some minutes, and processes that need attention."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.gateway.principals import READERS
from api.queries.query import query
from api.queries.reading import reading
from api.queries.response_types import LogPosition, one_of
from api.queries.responses import json_response
from api.services import services
from domain.accounts.kinds import TransactionKind
from domain.accounts.transaction.events import Awaits
from projections.accounts.transactions.queries import TransactionRow, transactions
from projections.processes.processes import ProcessRow, processes

router = APIRouter(prefix="/v1", tags=["processes"])

MOST_STUCK = 500
MOST_MINUTES = 24 * 60


class StuckTransaction(TypedDict):
    """A transaction that waits."""

    transaction: str
    kind: Annotated[str, one_of(TransactionKind)]
    reference: str | None
    awaits: Annotated[str, one_of(Awaits)]
    initiator: Annotated[str | None, Field(description="The person who asked for it")]
    since: Annotated[datetime, Field(description="Since when it waits")]
    expires_at: datetime | None
    position: LogPosition


class StuckProcess(TypedDict):
    """A process that needs attention."""

    process: str
    manager: str
    stream: Annotated[str, Field(description="What it is about")]
    step: str | None
    cause: Annotated[str | None, Field(description="Why: a rule or another code")]
    last_answer: Annotated[str | None, Field(description="`accepted`, or the rule that refused its last command")]
    attempts: int
    since: Annotated[datetime, Field(description="Since when it needs attention")]
    position: LogPosition


class Stuck(TypedDict):
    """What is stuck, each list from the beginning of the log."""

    older_than: Annotated[int, Field(description="Minutes that the transactions have waited for, and more")]
    transactions: list[StuckTransaction]
    more_transactions: Annotated[bool, Field(description="Whether there are more than `limit`")]
    processes: list[StuckProcess]
    more_processes: Annotated[bool, Field(description="Whether there are more than `limit`")]


@query(
    router,
    "/stuck",
    may=READERS,
    response=Stuck,
    personal=False,
    projections=("transactions", "processes"),
)
def get_stuck(
    request: Request,
    older_than: Annotated[
        int, Query(ge=1, le=MOST_MINUTES, description="Minutes that a transaction has waited for")
    ] = 5,
    limit: Annotated[int, Query(ge=1, le=MOST_STUCK, description="The most items of each list")] = 100,
) -> Response:
    """Get the transactions that wait for more than some minutes, and the processes that need attention."""
    before = services(request).clock() - timedelta(minutes=older_than)
    with reading(request) as connection:
        waiting = transactions(connection, status="pending", recorded_before=before, limit=limit)
        attention = processes(connection, status="attention", limit=limit)
    answer: Stuck = {
        "older_than": older_than,
        "transactions": list(map(_transaction_view, waiting.items)),
        "more_transactions": waiting.next is not None,
        "processes": list(map(_process_view, attention.items)),
        "more_processes": attention.next is not None,
    }
    return json_response(answer, items=len(waiting.items) + len(attention.items))


def _transaction_view(row: TransactionRow) -> StuckTransaction:
    assert row.awaits is not None, "it waits"
    return {
        "transaction": row.transaction,
        "kind": row.kind,
        "reference": row.reference,
        "awaits": row.awaits,
        "initiator": row.initiator,
        "since": row.recorded_at,
        "expires_at": row.expires_at,
        "position": row.position,
    }


def _process_view(row: ProcessRow) -> StuckProcess:
    return {
        "process": row.process,
        "manager": row.manager,
        "stream": row.stream,
        "step": row.step,
        "cause": row.cause,
        "last_answer": row.last_answer,
        "attempts": row.attempts,
        "since": row.since,
        "position": row.position,
    }
