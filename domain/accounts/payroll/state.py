"""The state of a payroll run. Its items are in its parts, so it stays small."""

from __future__ import annotations

from datetime import date
from typing import Literal

from msgspec.structs import replace

from domain.accounts.payroll.events import Mode, PayrollEvent, PayrollFinished, PayrollStopped, PayrollSubmitted
from domain.kernel import Value

RunStatus = Literal["running", "finished", "stopped"]


class Payroll(Value, frozen=True):
    """A payroll run at a version of its stream."""

    version: int
    id: str
    account: str  # of the company
    currency: str
    period: str
    value_date: date
    items: int
    total: int
    mode: Mode
    status: RunStatus = "running"


def evolve(state: Payroll | None, event: PayrollEvent) -> Payroll:
    """Return the run after the event. Raises ValueError if the stream does not begin with `PayrollSubmitted`."""
    version = event.originator_version
    if isinstance(event, PayrollSubmitted):
        if state is not None:
            raise ValueError(f"{event.originator_id} is submitted again at version {version}")
        return Payroll(
            version=version,
            id=event.originator_id,
            account=event.account,
            currency=event.currency,
            period=event.period,
            value_date=event.value_date,
            items=event.items,
            total=event.total,
            mode=event.mode,
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with PayrollSubmitted")
    match event:
        case PayrollStopped():
            return replace(state, version=version, status="stopped")
        case PayrollFinished():
            return replace(state, version=version, status="finished" if state.status == "running" else state.status)
