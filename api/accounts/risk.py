"""The routes of the risk rules and of the assessments that follow from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import AmountsByCurrency, Body
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, one, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, one_of, page_of, values_of
from domain.accounts.posting import TransactionKind
from domain.accounts.posting_policy import POSTING_POLICY, ChangeRiskRules
from domain.accounts.risk.rules import (
    MOST_COUNT,
    MOST_DAYS,
    MOST_HISTORY,
    MOST_POINTS,
    MOST_TIMES,
    Action,
    AverageRule,
    DailyRule,
    HourlyRule,
    RiskRules,
    RuleName,
    YoungRule,
)
from domain.accounts.thresholds import thresholds
from domain.money import parse, show
from projections.accounts import risk_assessments as assessments
from projections.accounts import risk_rules as queries
from projections.accounts.risk_assessments import RiskAssessmentRow
from projections.accounts.risk_rules import RiskRulesRow, RiskRulesVersionRow

router = APIRouter(prefix="/v1", tags=["policies"])

_ActionFilter = Annotated[str, choice(values_of(Action))] | None

_Points = Annotated[int, Field(ge=0, le=MOST_POINTS, description="Points that the rule gives")]
_Level = Annotated[int, Field(ge=1, le=MOST_POINTS, description="From so many points on")]
_TIMES = "How many times the average an amount may be"
_HISTORY = "How many counted transactions the account needs in the 30 days; with fewer, the rule gives no points"
_COUNT = "How many outgoing transactions an account may make in an hour"
_DAYS = "For so many days an account is young, beginning with that of its opening"
_ON = "Whether the rules decide; while they are off, nothing is counted or assessed for them"


# Bodies


class AverageRuleBody(Body):
    """Points for an amount above so many times the average outgoing transaction of the last 30 days."""

    points: _Points
    times: Annotated[int, Field(ge=1, le=MOST_TIMES, description=_TIMES)]
    history: Annotated[int, Field(ge=1, le=MOST_HISTORY, description=_HISTORY)]


class HourlyRuleBody(Body):
    """Points for more outgoing transactions in an hour."""

    points: _Points
    count: Annotated[int, Field(ge=0, le=MOST_COUNT, description=_COUNT)]


class DailyRuleBody(Body):
    """Points for more outgoing money in a UTC day."""

    points: _Points
    above: AmountsByCurrency


class YoungRuleBody(Body):
    """Points for a larger amount from an account that was opened lately."""

    points: _Points
    days: Annotated[int, Field(ge=1, le=MOST_DAYS, description=_DAYS)]
    above: AmountsByCurrency


class RiskRulesBody(Body):
    """Replace all risk rules. A rule that is left out gives no points."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "on": True,
                    "monitor": 20,
                    "verify": 40,
                    "block": 70,
                    "average": {"points": 30, "times": 5, "history": 10},
                    "hourly": {"points": 25, "count": 10},
                    "daily": {"points": 40, "above": {"EUR": "5000.00"}},
                    "young": {"points": 35, "days": 30, "above": {"EUR": "1000.00"}},
                }
            ]
        }
    )

    on: Annotated[bool, Field(description=_ON)]
    monitor: _Level = 20
    verify: _Level = 40
    block: _Level = 70
    average: AverageRuleBody | None = None
    hourly: HourlyRuleBody | None = None
    daily: DailyRuleBody | None = None
    young: YoungRuleBody | None = None


def _amounts(above: dict[str, str]) -> dict[str, int]:
    return {currency: parse(text, currency) for currency, text in above.items()}


def _rules(body: RiskRulesBody) -> RiskRules:
    average, hourly, daily, young = body.average, body.hourly, body.daily, body.young
    return RiskRules(
        on=body.on,
        monitor=body.monitor,
        verify=body.verify,
        block=body.block,
        average=None if average is None else AverageRule(average.points, average.times, average.history),
        hourly=None if hourly is None else HourlyRule(hourly.points, hourly.count),
        daily=None if daily is None else DailyRule(daily.points, thresholds(_amounts(daily.above))),
        young=None if young is None else YoungRule(young.points, young.days, thresholds(_amounts(young.above))),
    )


# Answers


class RiskAverageRule(TypedDict):
    """Points for an amount above so many times the average outgoing transaction of the last 30 days."""

    points: int
    times: Annotated[int, Field(description=_TIMES)]
    history: Annotated[int, Field(description=_HISTORY)]


class RiskHourlyRule(TypedDict):
    """Points for more outgoing transactions in an hour."""

    points: int
    count: Annotated[int, Field(description=_COUNT)]


class RiskDailyRule(TypedDict):
    """Points for more outgoing money in a UTC day."""

    points: int
    above: dict[str, Money]


class RiskYoungRule(TypedDict):
    """Points for a larger amount from an account that was opened lately."""

    points: int
    days: Annotated[int, Field(description=_DAYS)]
    above: dict[str, Money]


class _Rules(TypedDict):
    on: Annotated[bool, Field(description=_ON)]
    monitor: int
    verify: int
    block: int
    average: RiskAverageRule | None
    hourly: RiskHourlyRule | None
    daily: RiskDailyRule | None
    young: RiskYoungRule | None


class RiskPolicy(_Rules):
    """The risk rules as they are now. They stand on the stream of the posting policy."""

    policy: str
    version: StreamVersion
    changed_at: datetime
    position: Annotated[int, Field(description="The position in the log of their last change")]


class RiskPolicyVersion(_Rules):
    """One version of the risk rules. It decides about each posting after its position."""

    version: int
    recorded_at: datetime
    position: LogPosition


class RiskRulesChanged(Accepted):
    """Risk rules that were changed."""

    policy: str
    on: bool


class RiskFactor(TypedDict):
    """A rule that gave points, because it found more than it allows."""

    rule: Annotated[str, one_of(RuleName)]
    points: int
    found: Annotated[str, Field(description="An amount; of the rule `hourly` a number of transactions")]
    allowed: str


class RiskAssessment(TypedDict):
    """The points that a transaction got on an account, and what was done about it."""

    account: str
    transaction: Annotated[str, Field(description="One that was blocked was never made")]
    kind: Annotated[str, one_of(TransactionKind)]
    amount: Money
    currency: CurrencyCode
    score: int
    action: Annotated[str, one_of(Action)]
    factors: list[RiskFactor]
    policy_version: int
    recorded_at: datetime
    position: LogPosition


def _shown(rules: dict[str, Any]) -> _Rules:
    """The stored rules with amounts as texts."""
    return {
        "on": rules["on"],
        "monitor": rules["monitor"],
        "verify": rules["verify"],
        "block": rules["block"],
        "average": rules["average"],
        "hourly": rules["hourly"],
        "daily": _with_texts(rules["daily"]),
        "young": _with_texts(rules["young"]),
    }


def _with_texts(rule: dict[str, Any] | None) -> Any:
    """A stored rule with its amounts as texts."""
    if rule is None:
        return None
    return {**rule, "above": {one["currency"]: show(one["amount"], one["currency"]) for one in rule["above"]}}


def policy_view(row: RiskRulesRow) -> RiskPolicy:
    return {
        "policy": row.policy,
        **_shown(row.rules),
        "version": row.version,
        "changed_at": row.last_at,
        "position": row.last_position,
    }


def version_view(row: RiskRulesVersionRow) -> RiskPolicyVersion:
    return {
        "version": row.version,
        **_shown(row.rules),
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def assessment_view(row: RiskAssessmentRow) -> RiskAssessment:
    def figure(rule: str, value: int) -> str:
        return str(value) if rule == "hourly" else show(value, row.currency)

    return {
        "account": row.account,
        "transaction": row.transaction,
        "kind": row.kind,
        "amount": show(row.amount, row.currency),
        "currency": row.currency,
        "score": row.score,
        "action": row.action,
        "factors": [
            {
                "rule": one["rule"],
                "points": one["points"],
                "found": figure(one["rule"], one["found"]),
                "allowed": figure(one["rule"], one["allowed"]),
            }
            for one in row.factors
        ],
        "policy_version": row.policy_version,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


# Routes


@command(router, "/policies/risk", makes=ChangeRiskRules, answer=RiskRulesChanged, status=200)
def change_risk_rules(caller: Caller, body: RiskRulesBody) -> Intent:
    """Replace the risk rules that decide which outgoing transactions are watched, reviewed or blocked."""
    return Intent(ChangeRiskRules(_rules(body)), POSTING_POLICY)


@query(router, "/policies/risk", may=READERS, response=RiskPolicy, personal=False, projections=("risk_rules",))
def get_risk_rules(request: Request) -> Response:
    """Get the risk rules as they are now. They are off until they are changed."""
    with reading(request) as connection:
        return one("policy", POSTING_POLICY, queries.MODEL.now(connection, POSTING_POLICY), policy_view)


@query(
    router,
    "/policies/risk/versions",
    may=READERS,
    response=page_of(RiskPolicyVersion),
    personal=False,
    projections=("risk_rules",),
)
def list_risk_rules_versions(
    request: Request, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List the versions of the risk rules, oldest first."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        return page(
            queries.MODEL.all_versions(connection, POSTING_POLICY, after=after, cursor=key, limit=limit), version_view
        )


@query(
    router,
    "/risk-assessments",
    may=READERS,
    response=page_of(RiskAssessment),
    personal=True,
    projections=("risk_assessments",),
)
def list_risk_assessments(
    request: Request,
    account: Filter = None,
    transaction: Filter = None,
    action: _ActionFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List the assessments of transactions by the risk rules, in the order of the log."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = assessments.risk_assessments(
            connection, account=account, transaction=transaction, action=action, after=after, cursor=key, limit=limit
        )
    return page(listed, assessment_view)
