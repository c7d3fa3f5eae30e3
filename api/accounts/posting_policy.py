"""The routes of the posting policy: change it, and read it and its versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import AmountsByCurrency, Body
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, one, page, reading
from api.queries.response_types import LogPosition, Money, StreamVersion, one_of, page_of
from domain.accounts.posting import TransactionKind
from domain.accounts.posting_policy import LEAST_DAYS, MOST_DAYS, POSTING_POLICY, ChangePostingPolicy
from domain.money import parse, show
from projections.accounts import posting_policy as queries
from projections.accounts.posting_policy import PolicyRow, VersionRow

router = APIRouter(prefix="/v1/policies", tags=["policies"])

_DAYS = "The most days that a value date may be before the day of the posting; null: any number"
_KINDS = "The kinds of transactions that count against the outgoing limits of accounts"
_ABOVE = "By currency: a transaction whose debits are more waits for another person"
MOST_KINDS = 50
Days = Annotated[int | None, Field(description=f"{_DAYS}. From {LEAST_DAYS} to {MOST_DAYS}")]


class PostingPolicyBody(Body):
    """Change the posting policy."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"most_days_back": 90}]})

    most_days_back: Days
    counted_kinds: Annotated[
        list[Annotated[TransactionKind, one_of(TransactionKind)]] | None,
        Field(max_length=MOST_KINDS, description=f"{_KINDS}; null: as before"),
    ] = None
    approve_above: Annotated[
        AmountsByCurrency | None,
        Field(description=f"{_ABOVE}; null: as before"),
    ] = None


class PostingPolicy(TypedDict):
    """The posting policy as it is now."""

    policy: str
    most_days_back: Annotated[int | None, Field(description=_DAYS)]
    counted_kinds: Annotated[list[str], Field(description=_KINDS)]
    approve_above: Annotated[dict[str, Money], Field(description=_ABOVE)]
    version: StreamVersion
    changed_at: datetime
    position: Annotated[int, Field(description="The position in the log of its last change")]


class PostingPolicyVersion(TypedDict):
    """One version of the posting policy. It decides about each posting after its position."""

    version: int
    most_days_back: Annotated[int | None, Field(description=_DAYS)]
    counted_kinds: Annotated[list[str], Field(description=_KINDS)]
    approve_above: Annotated[dict[str, Money], Field(description=_ABOVE)]
    recorded_at: datetime
    position: LogPosition


class PostingPolicyChanged(Accepted):
    """A posting policy that was changed."""

    policy: str
    most_days_back: int | None
    counted_kinds: list[str]
    approve_above: dict[str, Money]


def policy_view(row: PolicyRow) -> PostingPolicy:
    return {
        "policy": row.policy,
        "most_days_back": row.most_days_back,
        "counted_kinds": row.counted_kinds,
        "approve_above": {currency: show(amount, currency) for currency, amount in row.approve_above.items()},
        "version": row.version,
        "changed_at": row.last_at,
        "position": row.last_position,
    }


def version_view(row: VersionRow) -> PostingPolicyVersion:
    return {
        "version": row.version,
        "most_days_back": row.most_days_back,
        "counted_kinds": row.counted_kinds,
        "approve_above": {currency: show(amount, currency) for currency, amount in row.approve_above.items()},
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


@command(router, "/posting", makes=ChangePostingPolicy, answer=PostingPolicyChanged, status=200)
def change_posting_policy(caller: Caller, body: PostingPolicyBody) -> Intent:
    """Change what every posting has to keep, beside the limits of its accounts. It is for operators."""
    above = body.approve_above
    change = ChangePostingPolicy(
        most_days_back=body.most_days_back,
        counted_kinds=None if body.counted_kinds is None else tuple(body.counted_kinds),
        approve_above=None if above is None else {currency: parse(text, currency) for currency, text in above.items()},
    )
    return Intent(change, POSTING_POLICY)


@query(router, "/posting", may=READERS, response=PostingPolicy, personal=False, projections=("posting_policy",))
def get_posting_policy(request: Request) -> Response:
    """Get the posting policy as it is now. A log without one allows any date: `daybook migrate` creates it."""
    with reading(request) as connection:
        return one("policy", POSTING_POLICY, queries.MODEL.now(connection, POSTING_POLICY), policy_view)


@query(
    router,
    "/posting/versions",
    may=READERS,
    response=page_of(PostingPolicyVersion),
    personal=False,
    projections=("posting_policy",),
)
def list_posting_policy_versions(
    request: Request, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List the versions of the posting policy, oldest first."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        return page(
            queries.MODEL.all_versions(connection, POSTING_POLICY, after=after, cursor=key, limit=limit), version_view
        )
