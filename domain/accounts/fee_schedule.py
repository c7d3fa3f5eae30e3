"""Fee schedules: named fees. An operator defines them in versions, and a fee can be charged by the name.

A schedule decides about money, so each version is an event. The newest version counts. A schedule that was retired
charges nothing until it is defined again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from domain.accounts.account.state import INTERNAL_ROLES, Account
from domain.accounts.allocation import RULES as FEE_RULES
from domain.accounts.allocation import Fee, fee_in_json, fee_of, refuse_fee
from domain.accounts.numbers import InternalRole
from domain.accounts.posting import internal_account
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import EXPONENTS, show
from domain.permissions import OPERATORS

FEE_SCHEDULE = "fee-schedule:"
"""Beginning of the name of each stream of a fee schedule."""
MOST_NAME = 60
"""Most characters of the name of a fee schedule or a template."""
NAME = rf"^(?=.{{1,{MOST_NAME}}}$)[a-z0-9]+(-[a-z0-9]+)*$"
"""The pattern of these names: the same in Python and JSON Schema."""

_NAME = re.compile(NAME, re.ASCII)

# Events


class _Terms(Event, frozen=True):
    name: str
    number: int  # of the version, from 1
    currency: str
    fee: Fee
    account: str | None  # that gets the fee; None: the internal account for `role`
    role: InternalRole | None


class FeeScheduleDefined(_Terms, frozen=True):
    """A fee schedule was defined. It is the first event of its stream, and version 1."""


class FeeScheduleRevised(_Terms, frozen=True):
    """Another version of the schedule was defined. It counts from then on, even if the schedule was retired."""


class FeeScheduleRetired(Event, frozen=True):
    """No fee is charged by the schedule any more, until it is revised."""

    name: str


FeeScheduleEvent = FeeScheduleDefined | FeeScheduleRevised | FeeScheduleRetired

# State


class FeeSchedule(Value, frozen=True):
    """A schedule at a version of its stream: its newest terms."""

    version: int
    name: str
    number: int
    currency: str
    fee: Fee
    account: str | None
    role: InternalRole | None
    active: bool


def evolve(state: FeeSchedule | None, event: FeeScheduleEvent) -> FeeSchedule:
    """Return the schedule after the event. Raises ValueError if the stream does not begin with its definition."""
    version = event.originator_version
    if isinstance(event, FeeScheduleRetired):
        if state is None:
            raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with FeeScheduleDefined")
        return replace(state, version=version, active=False)
    return FeeSchedule(
        version=version,
        name=event.name,
        number=event.number,
        currency=event.currency,
        fee=event.fee,
        account=event.account,
        role=event.role,
        active=True,
    )


def fee_schedule_stream(name: str) -> str:
    """Return the name of the stream of a schedule."""
    return f"{FEE_SCHEDULE}{name}"


# Commands


class DefineFeeSchedule(Value, frozen=True):
    """Define a fee schedule, or the next version of one."""

    name: str
    currency: str
    fee: Fee
    account: str | None = None
    role: InternalRole | None = "fees"

    @property
    def streams(self) -> tuple[str, ...]:
        schedule = fee_schedule_stream(self.name)
        return (schedule,) if self.account is None else (schedule, self.account)


class RetireFeeSchedule(Value, frozen=True):
    """Stop charging by a schedule."""

    name: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (fee_schedule_stream(self.name),)


# Rules

NAME_RULES: dict[str, str] = {
    "name_form": (
        "The name of the {what} is not one: a name has 1 to {most} characters, small letters and digits in words that "
        "single hyphens join, such as 'card-fee'."
    ),
}
RULES: dict[str, str] = {
    "fee_account": "A fee goes to an account, or to the internal account for a role: give one of both.",
    "fee_schedule_retired": "Fee schedule {schedule} is retired; define it again to charge by it.",
    "fee_schedule_unchanged": "Version {number} of fee schedule {schedule} already is what this would define.",
}
CHARGE_RULES: dict[str, str] = {
    "fee_schedule_currency": "Fee schedule {schedule} is for {schedule_currency}; the base amount is in {currency}.",
    "fee_zero": "By fee schedule {schedule} the fee of {base} {currency} is zero, so there is nothing to charge.",
}
"""What charging a fee by a schedule can break."""

# Decisions


def define(command: DefineFeeSchedule, states: States, context: Context) -> Decision:
    stream = fee_schedule_stream(command.name)
    refusal = refuse_name("fee schedule", command.name) or _refuse_terms(
        command.currency, command.fee, command.account, command.role
    )
    if refusal is not None:
        return refusal
    if command.account is not None:
        account = found(states, command.account, Account)
        if account is None:
            return Unknown("account", command.account)
        if account.profile.currency != command.currency:
            return account.wrong_currency(command.currency)
    schedule = found(states, stream, FeeSchedule)
    number = schedule.number + 1 if schedule else 1
    terms = (command.currency, command.fee, command.account, command.role)
    if schedule is not None and schedule.active and terms == _terms_of(schedule):
        return Refused("fee_schedule_unchanged", {"schedule": command.name, "number": schedule.number})
    kind = FeeScheduleRevised if schedule else FeeScheduleDefined
    event = kind(stream, schedule.version + 1 if schedule else 1, command.name, number, *terms)
    return Accepted((event,), {"fee_schedule": command.name, "number": number, "active": True})


def retire(command: RetireFeeSchedule, states: States, context: Context) -> Decision:
    stream = fee_schedule_stream(command.name)
    schedule = found(states, stream, FeeSchedule)
    if schedule is None:
        return Unknown("fee schedule", command.name)
    if not schedule.active:
        return Refused("fee_schedule_retired", {"schedule": command.name})
    event = FeeScheduleRetired(stream, schedule.version + 1, command.name)
    return Accepted((event,), {"fee_schedule": command.name, "number": schedule.number, "active": False})


class Charge(Value, frozen=True):
    """What a schedule charges: the amount in minor units, and the account that gets it."""

    schedule: FeeSchedule
    amount: int
    account: str


def charge_of(name: str, base: int, currency: str, states: States, context: Context) -> Charge | Refused | Unknown:
    """Return what the schedule charges for a base amount in minor units. `states` has the stream of the schedule."""
    schedule = found(states, fee_schedule_stream(name), FeeSchedule)
    if schedule is None:
        return Unknown("fee schedule", name)
    if not schedule.active:
        return Refused("fee_schedule_retired", {"schedule": name})
    if schedule.currency != currency:
        figures: dict[str, Figure] = {"schedule": name, "schedule_currency": schedule.currency, "currency": currency}
        return Refused("fee_schedule_currency", figures)
    amount = fee_of(schedule.fee, base)
    if amount == 0:
        return Refused("fee_zero", {"schedule": name, "base": show(base, currency), "currency": currency})
    account = schedule.account or internal_account(context.log, schedule.role or "fees", currency)
    return Charge(schedule, amount, account)


def refuse_charge(charge: Charge, payer: str, currency: str, states: States) -> Refused | NeedsStreams | None:
    """Return why the payer's account cannot be charged this, or None. The account that gets the fee has to be there."""
    if charge.account == payer:
        return Refused("same_account", {"account": payer})
    if charge.account not in states:
        return NeedsStreams((charge.account,))
    role = charge.schedule.role
    if role is not None and found(states, charge.account, Account) is None:
        return Refused("internal_account_missing", {"role": role, "currency": currency})
    return None


def refuse_name(what: str, name: str) -> Refused | None:
    """Return the refusal of a text that is no name of a schedule or template, or None. The text is not quoted."""
    return None if _NAME.fullmatch(name) else Refused("name_form", {"what": what, "most": MOST_NAME})


def _refuse_terms(currency: str, fee: Fee, account: str | None, role: str | None) -> Refused | None:
    if (account is None) == (role is None) or (role is not None and role not in INTERNAL_ROLES):
        return Refused("fee_account", {})
    return refuse_fee(fee, currency)


def _terms_of(terms: FeeSchedule | FeeScheduleDefined | FeeScheduleRevised) -> tuple[str, Fee, str | None, str | None]:
    return terms.currency, terms.fee, terms.account, terms.role


def schedule_in_json(event: FeeScheduleDefined | FeeScheduleRevised) -> Mapping[str, Figure]:
    """Return the terms of a version as answers and read tables have them."""
    return {
        "currency": event.currency,
        **fee_in_json(event.fee, event.currency),
        "account": event.account,
        "role": event.role,
    }


# What stored events are held to


def check(before: FeeSchedule | None, events: Sequence[FeeScheduleEvent], decided: Decided) -> Iterator[Broken]:
    """Find terms that no decision accepts, versions that do not count on, and a schedule that is retired twice."""
    schedule = before
    for event in events:
        stream = event.originator_id
        if stream != fee_schedule_stream(event.name):
            yield Broken(event, f"{stream} is not the stream of fee schedule {event.name}")
        if isinstance(event, FeeScheduleRetired):
            if schedule is not None and not schedule.active:
                yield Broken(event, f"{stream} is retired again")
        else:
            if isinstance(event, FeeScheduleDefined) is not (schedule is None):
                yield Broken(event, f"{stream} is {'defined again' if schedule else 'revised before it is defined'}")
            if event.number != (schedule.number if schedule else 0) + 1:
                yield Broken(event, f"{stream} has version {event.number} after {schedule.number if schedule else 0}")
            refusal = refuse_name("fee schedule", event.name)
            if event.currency not in EXPONENTS:
                yield Broken(event, f"{stream} is for {event.currency!r}, which is no currency")
            else:
                refusal = refusal or _refuse_terms(event.currency, event.fee, event.account, event.role)
            if refusal is not None:
                yield refused(event, refusal, AGGREGATE.rules)
            if schedule is not None and schedule.active and _terms_of(schedule) == _terms_of(event):
                yield Broken(event, f"{stream} is revised to what it was")
        schedule = evolve(schedule, event)


AGGREGATE = Aggregate(
    name="fee_schedule",
    prefix=FEE_SCHEDULE,
    events=(
        EventType("fee_schedule.defined.v1", FeeScheduleDefined),
        EventType("fee_schedule.revised.v1", FeeScheduleRevised),
        EventType("fee_schedule.retired.v1", FeeScheduleRetired),
    ),
    evolve=evolve,
    decisions={DefineFeeSchedule: define, RetireFeeSchedule: retire},
    rules={**NAME_RULES, **FEE_RULES, **RULES},
    may={DefineFeeSchedule: OPERATORS, RetireFeeSchedule: OPERATORS},
    amounts=frozenset({"fixed", "minimum", "maximum", "up_to"}),
    check=check,
)
