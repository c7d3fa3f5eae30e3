"""The events of payroll runs and of their parts. Amounts are positive integers of minor units.

A run has a stream of its own, and each of its parts has one. The items are in the events of the parts only, so no state
has more of them than a part has.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

from domain.kernel import Event, Personal, Value

Mode = Literal["at_once", "in_parts"]
"""How a run pays: everybody by one transaction, or one part after the other from a hold."""


class PayrollItem(Value, frozen=True):
    """What one employee gets."""

    employee: str  # a code, never a name
    account: str
    amount: int


class ParkedItem(Value, frozen=True):
    """An item that was not paid, and why."""

    number: int
    rule: str  # a code of `domain.registry.RULES`
    figures: Mapping[str, str]  # what explains the refusal


# The run


class PayrollSubmitted(Event, frozen=True):
    """A payroll run was submitted. A run in parts holds its total on the account, with the id of the run."""

    account: str  # of the company
    currency: str
    period: str  # the month, such as 2026-11
    value_date: date
    items: int
    total: int
    mode: Mode


class PayrollStopped(Event, frozen=True):
    """An operator stopped the run. What had not been paid is parked in the same unit."""

    operator: str
    reason: Personal


class PayrollFinished(Event, frozen=True):
    """Each item was paid or parked, and what was left of the hold is available again."""

    paid_items: int
    paid: int
    parked_items: int
    parked: int
    currency: str


# A part


class PayrollPartListed(Event, frozen=True):
    """A part of a run, with its items. It begins the stream."""

    payroll: str
    account: str  # of the company
    currency: str
    first: int  # the number of its first item in the run, from 1
    items: tuple[PayrollItem, ...]


class PayrollItemsPaid(Event, frozen=True):
    """A transaction paid items of the part."""

    payroll: str
    transaction: str
    numbers: tuple[int, ...]
    amount: int  # the sum
    currency: str
    retried: bool  # whether they were parked before


class PayrollItemsParked(Event, frozen=True):
    """Items of the part cannot be paid. Each waits until an operator retries it or gives it up."""

    payroll: str
    items: tuple[ParkedItem, ...]
    amount: int  # the sum
    currency: str


class PayrollItemGivenUp(Event, frozen=True):
    """An operator gave a parked item up. The run does not pay it."""

    payroll: str
    number: int
    amount: int
    currency: str
    operator: str
    reason: Personal


PayrollEvent = PayrollSubmitted | PayrollStopped | PayrollFinished
PayrollPartEvent = PayrollPartListed | PayrollItemsPaid | PayrollItemsParked | PayrollItemGivenUp
