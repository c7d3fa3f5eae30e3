"""Reopening the newest period: one person asks with a reason, and another one approves (`domain.people.approval`).

Only the newest one can be reopened. The figures of a later period are balances at its end, so they have the days of all
periods before it, and a posting into one of those would make them wrong.
"""

from __future__ import annotations

from typing import cast

from domain.accounts.periods.state import (
    PERIODS,
    ClosedPeriod,
    PeriodReopened,
    PeriodReopeningAsked,
    Periods,
    periods,
)
from domain.accounts.periods.year import refuse_closed_year
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Forbidden,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.people import approval
from domain.people.approval import Approval, ApprovalGiven
from domain.permissions import OPERATORS

REOPEN = "period.reopen"
"""The action that is asked for."""

# Commands


class AskToReopenPeriod(Value, frozen=True):
    """Ask another operator to reopen the newest period."""

    approval: str
    period: str
    reason: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.approval, PERIODS)


class _OnRequest(Value, frozen=True):
    approval: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.approval, PERIODS)


class ApproveReopening(_OnRequest, frozen=True):
    """Approve a reopening that another operator asked for. It is carried out in the same unit."""


class RejectReopening(_OnRequest, frozen=True):
    """Reject a reopening that another operator asked for."""


class WithdrawReopening(_OnRequest, frozen=True):
    """Withdraw a reopening that one asked for."""


# Rules

RULES: dict[str, str] = {
    "period_not_newest": (
        "The period {period} is followed by {newest}, whose figures have its days; only {newest} can be reopened."
    ),
    "reopening_replaced": "The request {approval} to reopen {period} was replaced by the newer one {newest}.",
}

# Decisions


def ask(command: AskToReopenPeriod, states: States, context: Context) -> Decision:
    now = periods(states)
    refusal = refuse_reopening(now, command.period)
    if refusal is not None:
        return refusal
    before = cast("Approval | None", states[command.approval])
    requested = approval.ask(command.approval, before, REOPEN, command.period, context)
    if isinstance(requested, Refused | Forbidden):
        return requested
    asked = PeriodReopeningAsked(
        PERIODS, now.version + 1, command.period, command.approval, requested.by, command.reason
    )
    result = {"approval": command.approval, "period": command.period, "until": requested.until.isoformat()}
    return Accepted((requested, asked), result)


def approve(command: ApproveReopening, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    given = approval.approve(request, context)
    if not isinstance(given, ApprovalGiven):
        return given
    now = periods(states)
    refusal = refuse_reopening(now, request.about) or refuse_approval(now, request.about, request.id)
    if refusal is not None:
        return refusal
    reopened = PeriodReopened(PERIODS, now.version + 1, request.about, request.id, given.by)
    return Accepted((given, reopened), {"approval": request.id, "period": request.about, "status": "open"})


def reject(command: RejectReopening, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    event = approval.reject(request, context)
    return event if isinstance(event, Refused | Forbidden) else Accepted((event,), _decided(request))


def withdraw(command: WithdrawReopening, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    event = approval.withdraw(request, context)
    return event if isinstance(event, Refused | Forbidden) else Accepted((event,), _decided(request))


def refuse_reopening(now: Periods, id: str) -> Refused | None:
    """Return why a period cannot be reopened, or None."""
    if now.find(id) is None:
        return Refused("period_not_closed", {"period": id})
    newest = cast(ClosedPeriod, now.newest)
    if newest.id != id:
        return Refused("period_not_newest", {"period": id, "newest": newest.id})
    return refuse_closed_year(newest)


def refuse_approval(now: Periods, id: str, approval: str) -> Refused | None:
    """Return the refusal of a request that a newer one about the same period replaced, or None."""
    period = now.find(id)
    if period is None or period.asked == approval:
        return None
    return Refused("reopening_replaced", {"approval": approval, "period": id, "newest": period.asked})


def _request(id: str, states: States) -> Approval | Unknown:
    request = found(states, id, Approval)
    return request if request is not None and request.action == REOPEN else Unknown("approval", id)


def _decided(request: Approval) -> dict[str, str]:
    return {"approval": request.id, "period": request.about}


DECISIONS: dict[type, Decide] = {
    AskToReopenPeriod: ask,
    ApproveReopening: approve,
    RejectReopening: reject,
    WithdrawReopening: withdraw,
}
MAY: dict[type, frozenset[Role]] = dict.fromkeys(DECISIONS, OPERATORS)
