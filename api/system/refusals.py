"""The routes of refusals: commands that a rule refused, or that expected another version."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.bodies import IsoDate
from api.gateway.principals import REPORTERS
from api.queries.filters import choice, must_be_in_order
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reading
from api.queries.response_types import LogPosition, page_of
from domain.processes.process import CarryOut
from domain.refusals import EXPECTATION_FAILED
from domain.registry import RULES, commands
from domain.together import Together
from projections.commands import refusals as queries
from projections.commands.refusals import RefusalRow

router = APIRouter(prefix="/v1/refusals", tags=["commands"])

CommandFilter = Annotated[str, choice(sorted(kind.__name__ for kind in (*commands(), Together, CarryOut)))] | None
RuleFilter = Annotated[str, choice(sorted((*RULES, EXPECTATION_FAILED)))] | None


class Refusal(TypedDict):
    """A refused command."""

    refusal: str
    actor: Annotated[str, Field(description="Whose command it was")]
    key: Annotated[str, Field(description="Its idempotency key")]
    command: Annotated[str, Field(description="The type of the command")]
    rule: Annotated[
        str, Field(description="The rule that refused it; `expectation_failed` where a stream had another version")
    ]
    figures: Annotated[dict[str, Any], Field(description="What explains the refusal, as in the answer")]
    recorded_at: datetime
    position: LogPosition


def refusal_view(row: RefusalRow) -> Refusal:
    return {
        "refusal": row.refusal,
        "actor": row.actor,
        "key": row.command_key,
        "command": row.command,
        "rule": row.rule,
        "figures": row.figures,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


@query(router, "", may=REPORTERS, response=page_of(Refusal), personal=False, projections=("refusals",))
def list_refusals(
    request: Request,
    actor: Filter = None,
    command: CommandFilter = None,
    rule: RuleFilter = None,
    transaction: Filter = None,
    recorded_from: Annotated[IsoDate | None, Query()] = None,
    recorded_until: Annotated[IsoDate | None, Query()] = None,
    newest_first: bool = False,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List refused commands in the order of the log, or newest first: what failed, by which rule, with its figures.

    Days are in UTC, and the last one is included. `transaction` selects the commands about one transaction.
    """
    must_be_in_order(recorded_from or date.min, recorded_until or date.max)
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.refusals(
            connection,
            actor=actor,
            command=command,
            rule=rule,
            transaction=transaction,
            recorded_from=recorded_from,
            recorded_until=recorded_until,
            after=after,
            cursor=key,
            newest_first=newest_first,
            limit=limit,
        )
    return page(listed, refusal_view)


@query(router, "/{refusal}", may=REPORTERS, response=Refusal, personal=False, projections=("refusals",))
def get_refusal(request: Request, refusal: PathId) -> Response:
    """Get one refused command."""
    with reading(request) as connection:
        return one("refusal", refusal, queries.refusal(connection, refusal), refusal_view)
