"""The routes of replay: steps with states, what a command caused, and a refusal with the states it was decided on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import Field, WithJsonSchema
from starlette.responses import Response
from typing_extensions import TypedDict

from api.gateway.principals import AUDITORS
from api.gateway.problems import Problem
from api.queries.as_of import resolve
from api.queries.filters import AmountFilter, CurrencyFilter, amounts_between, choice
from api.queries.positions import read_token, token
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, Filter, Limit
from api.queries.response_types import Position
from api.queries.responses import json_response
from api.services import Services, services
from api.system.log import LogEvent
from domain.registry import CATALOGUE
from eventstore.log.answers import find_answers
from eventstore.log.read import read_head, read_last
from projections.replay.causes import Causes
from projections.replay.refused import explained
from projections.replay.selection import Amounts, Selection, read_selected, steps_of
from projections.replay.steps import States, TooLongError

router = APIRouter(prefix="/v1/replay", tags=["log"])

MOST_PAGES = 50
"""Most pages of the log that one request searches, each of `limit` positions or events."""
MOST_FOLDED = 100_000
"""Most events that one request folds for the states before its steps."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of steps after which a page ends. The state of a chart with a thousand nodes has more than 100 KB."""


AnyJson = Annotated[
    Any, WithJsonSchema({"type": ["string", "integer", "boolean", "array", "object", "null"], "items": {}})
]
"""A value of a state, whatever its form."""


class StateChange(TypedDict):
    """A value of a state that an event changed. Null stands for a value that is not there."""

    path: Annotated[str, Field(description="Such as `balance` or `holds[2].amount`")]
    before: AnyJson
    after: AnyJson


class ReplayStep(LogEvent):
    """An event with the state of its stream after it. Amounts are integers of minor units."""

    state: Annotated[dict[str, Any], Field(description="The state of the stream after the event")]
    changes: Annotated[list[StateChange], Field(description="What the event changed in it")]


class ReplayPage(TypedDict):
    """Steps in order of the log."""

    steps: list[ReplayStep]
    upto: Annotated[Position, Field(description="How far the log was searched: pass it as `after` to read on")]
    head: Annotated[Position, Field(description="The end of the log, or of the walk if that is earlier")]


class CausedEvent(TypedDict):
    """An event of a unit."""

    position: int
    stream: str
    version: int
    type: str
    data: dict[str, Any]


class CausedUnit(TypedDict):
    """A command with its events, and what it caused through processes."""

    position: int
    unit_end: int
    recorded_at: datetime
    command: str
    actor: str
    key: Annotated[str | None, Field(description="The idempotency key. The oldest items of batches do not have it")]
    correlation: str
    because: Annotated[
        str | None, Field(description="The trigger of a reaction, or the intent that it carries out; null for the root")
    ]
    rule: Annotated[str | None, Field(description="The rule that refused it; null if it was accepted")]
    events: list[CausedEvent]
    cut: Annotated[str | None, Field(description="What is left out, since a tree is bounded; null for nothing")]
    caused: Annotated[list[dict[str, Any]], Field(description="Units of the same form, in order of the log")]


class DecidedOnState(TypedDict):
    """The state of a stream at the position of a decision."""

    stream: str
    version: int
    state: Annotated[dict[str, Any] | None, Field(description="Null if the stream did not exist")]


class ExplainedRefusal(TypedDict):
    """A refused command with the states that it was decided on."""

    refusal: str
    position: int
    recorded_at: datetime
    actor: str
    key: str
    command: str
    rule: str
    sentence: Annotated[str, Field(description="What the rule says, with the figures")]
    figures: dict[str, Any]
    decided_position: Annotated[int, Field(description="The position on which the decision was based")]
    states: Annotated[
        list[DecidedOnState],
        Field(description="Of the streams that the figures and the unit name, and of the policy with the rule"),
    ]
    cut: Annotated[str | None, Field(description="What is left out; null for nothing")]


TypeFilter = Annotated[str, choice(entry.name for entry in CATALOGUE)] | None
_AfterText = Annotated[
    str | None,
    Query(max_length=200, description="Steps after this position such as `main.1.42` or `42`, or after this time"),
]
_UptoText = Annotated[
    str | None, Query(max_length=200, description="Steps up to this position or time, which is included")
]
_AtPosition = Annotated[str | None, Query(max_length=200, description="A position such as `main.1.42` or `42`")]
_OfKey = Annotated[str | None, Query(max_length=255, pattern=r"^[ -~]+$", description="The idempotency key")]
_OfActor = Annotated[
    str | None, Query(max_length=200, pattern=r"^[ -~]*$", description="Whose key it is; without it your own")
]


@query(router, "", may=AUDITORS, response=ReplayPage, personal=True)
def replay(
    request: Request,
    stream: Filter = None,
    account: Filter = None,
    correlation: Annotated[
        str | None,
        Query(max_length=255, pattern=r"^[ -~]+$", description="Commands with this correlation or idempotency key"),
    ] = None,
    actor: Annotated[
        str | None,
        Query(max_length=200, pattern=r"^[ -~]*$", description="Whose key it is; then the log is not searched for it"),
    ] = None,
    person: Filter = None,
    type: TypeFilter = None,
    currency: CurrencyFilter = None,
    amount_from: AmountFilter = None,
    amount_until: AmountFilter = None,
    after: _AfterText = None,
    upto: _UptoText = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """Get events with the state of the stream after each, and what it changed.

    The steps are of a stream, of an account with its transactions, of a correlation, or of the whole log. `person` sent
    the command or is the subject of the event. A page can have fewer steps than the limit or none: read on from `upto`.
    """
    if sum(one is not None for one in (stream, account, correlation)) > 1:
        raise Problem("malformed", "stream, account and correlation exclude each other.")
    if actor is not None and correlation is None:
        raise Problem("malformed", "actor: it says whose key `correlation` is; give both.")
    selection = Selection(
        stream, account, correlation, actor, person, type, _amounts(currency, amount_from, amount_until)
    )
    served = services(request)
    with served.reads() as connection:
        head = read_head(connection, served.log)
        start = 0 if after is None else resolve(connection, served.log, after, "after").position
        end = head.position if upto is None else resolve(connection, served.log, upto, "upto").position
        named = stream or account
        if named is not None and read_last(connection, served.log_number, named) is None:
            raise Problem("unknown", f"There is no stream {named}.", kind="stream", id=named)
        try:
            steps, reached = _page(connection, served, selection, start, end, limit)
        except TooLongError as error:
            raise Problem("malformed", str(error)) from None
    return json_response(
        {
            "steps": steps,
            "upto": token(served.log, head.epoch, reached),
            "head": token(served.log, head.epoch, end),
        },
        items=len(steps),
    )


def _page(
    connection: Any, served: Services, selection: Selection, after: int, end: int, limit: int
) -> tuple[list[orjson.Fragment], int]:
    """At most `limit` steps as JSON, and how far the log was searched for them. Raises `TooLongError`.

    Steps are written one by one, so that their states are not held together.
    """
    states = States(connection, served.log_number, served.codec, MOST_FOLDED)
    steps, size = list[orjson.Fragment](), 0
    for _ in range(MOST_PAGES):
        if after >= end:
            break
        page = read_selected(connection, served.log_number, selection, after, end, limit)
        for step in steps_of(served.codec, selection, states, page, end):
            written = bytes(json_response(step.as_json()).body)
            steps.append(orjson.Fragment(written))
            size += len(written)
            if len(steps) == limit or size >= MOST_BYTES:
                return steps, step.recorded.position
        after = min(page.upto, end)
    return steps, after


def _amounts(currency: str | None, amount_from: str | None, amount_until: str | None) -> Amounts | None:
    if currency is not None:
        return Amounts(currency, *amounts_between(currency, amount_from, amount_until))
    if amount_from is not None or amount_until is not None:
        raise Problem("malformed", "currency: an amount is of a currency; name it.")
    return None


@query(router, "/causes", may=AUDITORS, response=CausedUnit, personal=True)
def get_causes(request: Request, position: _AtPosition = None, key: _OfKey = None, actor: _OfActor = None) -> Response:
    """Get what a command caused: its events, the reactions of processes, and what these sent, to the last posting."""
    served = services(request)
    with served.reads() as connection:
        at = _unit(request, connection, position, key, actor)
        tree = Causes(connection, served.log_number, served.codec).tree(at)
    if tree is None:
        raise Problem("unknown", f"There is no event at position {at}.", kind="position", id=str(at))
    return json_response(tree.as_json())


@query(router, "/refusal", may=AUDITORS, response=ExplainedRefusal, personal=True)
def get_refusal_explained(
    request: Request, position: _AtPosition = None, key: _OfKey = None, actor: _OfActor = None
) -> Response:
    """Get a refusal with the states that it was decided on, and the sentence of its rule with the figures."""
    served = services(request)
    with served.reads() as connection:
        at = _unit(request, connection, position, key, actor)
        try:
            found = explained(connection, served.log_number, served.codec, at, MOST_FOLDED)
        except TooLongError as error:
            raise Problem("malformed", str(error)) from None
    if found is None:
        raise Problem("unknown", f"The command at position {at} was not refused.", kind="refusal", id=str(at))
    return json_response(found.as_json())


def _unit(request: Request, connection: Any, position: str | None, key: str | None, actor: str | None) -> int:
    """A position of the command that is asked for. Raises `Problem`."""
    served = services(request)
    if (position is None) is (key is None):
        raise Problem("malformed", "position: name either a position or the key of a command.")
    if position is not None:
        head = read_head(connection, served.log)
        digits = position.isascii() and position.isdigit() and len(position) < 19
        return read_token(token(served.log, head.epoch, int(position)) if digits else position, served.log, head)
    who = actor or request.scope["state"]["principal"].id
    found = find_answers(connection, served.log_number, [(who, str(key))]).get((who, str(key)))
    if found is None or found.answer.first_position is None:
        raise Problem("unknown", f"No event is recorded for key {key} of {who}.", kind="command", id=str(key))
    return found.answer.first_position
