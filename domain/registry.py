"""The lists of all aggregates and process managers, and what is derived from them: events, rules, decisions, snapshots.

A new aggregate or manager is a new module and a line here. A name that is declared twice is an error at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from domain import batch, claims, long_batch, refusals, subjects, together
from domain.accounts import (
    account,
    account_closing,
    business_calendar,
    chart,
    fee_schedule,
    hold_expiry,
    pending_expiry,
    periods,
    posting_policy,
    recurring,
    template,
    transaction,
    transfer_order,
)
from domain.accounts.chart import node_accounts
from domain.accounts.currencies import conversions, quotes, rates
from domain.accounts.interest import crediting
from domain.accounts.interest import running as interest_running
from domain.accounts.payroll import part as payroll_part
from domain.accounts.payroll import process as payroll_process
from domain.accounts.payroll import run as payroll_run
from domain.accounts.periods import sealing, year_closing
from domain.accounts.reconciliation import match as reconciliation_match
from domain.accounts.reconciliation import part as reconciliation_part
from domain.accounts.reconciliation import process as reconciliation_process
from domain.accounts.reconciliation import session as reconciliation
from domain.accounts.recurring import process as recurring_payments
from domain.accounts.settlement import agreement, payout, running, settlement
from domain.accounts.transaction.conditions import Conditioned, decide_conditioned
from domain.accounts.transfer_order import process as transfer_orders
from domain.aggregate import Aggregate, Broken, Decided, EventType, UnitRule
from domain.kernel import Command, Context, Decide, Decision, Event, Forbidden, Principal, Role, State, States, Value
from domain.orders import order
from domain.people import administrators, approval, mail, mailing, person, privacy, session, sign_in_policy
from domain.permissions import COMMANDERS, MANAGER_ROLES, may
from domain.posts import post, publication
from domain.process_manager import ProcessManager, check_managers
from domain.processes import process
from domain.processes.process import CarryOut, carry_out
from domain.together import Together, decide_together
from domain.webhooks import notice, webhook

AGGREGATES: tuple[Aggregate, ...] = (
    account.AGGREGATE,
    transaction.AGGREGATE,
    posting_policy.AGGREGATE,
    chart.AGGREGATE,
    node_accounts.AGGREGATE,
    periods.AGGREGATE,
    rates.AGGREGATE,
    quotes.AGGREGATE,
    conversions.AGGREGATE,
    fee_schedule.AGGREGATE,
    template.AGGREGATE,
    payroll_run.AGGREGATE,
    payroll_part.AGGREGATE,
    business_calendar.AGGREGATE,
    recurring.AGGREGATE,
    transfer_order.AGGREGATE,
    agreement.AGGREGATE,
    settlement.AGGREGATE,
    crediting.AGGREGATE,
    reconciliation.AGGREGATE,
    reconciliation_part.AGGREGATE,
    reconciliation_match.AGGREGATE,
    order.AGGREGATE,
    post.AGGREGATE,
    process.AGGREGATE,
    batch.AGGREGATE,
    long_batch.AGGREGATE,
    claims.AGGREGATE,
    refusals.AGGREGATE,
    subjects.AGGREGATE,
    person.AGGREGATE,
    approval.AGGREGATE,
    administrators.AGGREGATE,
    session.AGGREGATE,
    sign_in_policy.AGGREGATE,
    mail.AGGREGATE,
    privacy.AGGREGATE,
    webhook.AGGREGATE,
)


def check_unique(aggregates: Sequence[Aggregate]) -> None:
    """Check that each name, prefix, event and command is declared once. Raises `ValueError` with the double name.

    A state with personal values is in no snapshot. Several aggregates can declare the same rule with the same sentence.
    They share the code that checks it.
    """
    seen: dict[tuple[str, object], str] = {}
    sentences: dict[str, str] = {}
    for aggregate in aggregates:
        declared = [("name", aggregate.name), ("prefix", aggregate.prefix)]
        declared += [("event name", entry.name) for entry in aggregate.events]
        declared += [("event", entry.event.__name__) for entry in aggregate.events if entry.event is not None]
        declared += [("command", command.__name__) for command in aggregate.decisions]
        for kind, value in declared:
            if (kind, value) in seen:
                raise ValueError(f"{kind} {value} is declared by {seen[kind, value]} and by {aggregate.name}")
            seen[kind, value] = aggregate.name
        if aggregate.personal_state and aggregate.snapshot is not None:
            raise ValueError(f"the state of {aggregate.name} has personal values, so no snapshot may keep it")
        for rule, sentence in aggregate.rules.items():
            if sentences.setdefault(rule, sentence) != sentence:
                raise ValueError(f"rule {rule} of {aggregate.name} is already declared with another sentence")


def check_commuting(catalogue: Sequence[EventType], commuting: Sequence[str]) -> None:
    """Check that commuting events have no personal fields. Raises `ValueError` for one that has.

    A sealed value is bound to the version of its event, but a commuting event gets its version in the append.
    """
    entries = {entry.name: entry for entry in catalogue}
    for name in commuting:
        if name not in entries:
            raise ValueError(f"{name} commutes and is not in the catalogue")
        if entries[name].personal:
            raise ValueError(f"{name} commutes, so it can have no personal fields: {', '.join(entries[name].personal)}")


check_unique(AGGREGATES)

CATALOGUE: tuple[EventType, ...] = tuple(entry for aggregate in AGGREGATES for entry in aggregate.events)
"""All events that were ever released, by name."""


def aggregate_of(stream: str) -> Aggregate | None:
    """Return the aggregate whose streams have names like this one, or None."""
    return next((aggregate for aggregate in AGGREGATES if stream.startswith(aggregate.prefix)), None)


SYSTEM = "system"
"""The area of what belongs to none: batches, refusals, claims, erasures."""


def area_of(stream: str) -> str | None:
    """Return the area of the streams with names like this one, or None if no aggregate has such streams."""
    aggregate = aggregate_of(stream)
    if aggregate is None:
        return None
    _, *folders, _ = aggregate.evolve.__module__.split(".")
    return folders[0] if folders else SYSTEM


AREAS: tuple[str, ...] = tuple(
    sorted({area for aggregate in AGGREGATES if (area := area_of(aggregate.prefix)) is not None})
)
"""The areas of all events."""

COMMUTING: tuple[str, ...] = tuple(name for aggregate in AGGREGATES for name in aggregate.commuting)
"""The events that fold to the same state in any order, on a stream without limits."""

check_commuting(CATALOGUE, COMMUTING)

RULES: Mapping[str, str] = together.RULES | {
    rule: sentence for aggregate in AGGREGATES for rule, sentence in aggregate.rules.items()
}
"""All business rules: the code of each, and the sentence that explains a refusal.

The braces name the figures of a refusal. A code that was released keeps its meaning.
"""

SNAPSHOTS: Mapping[str, tuple[type[Value], int]] = {
    aggregate.prefix: aggregate.snapshot for aggregate in AGGREGATES if aggregate.snapshot is not None
}
"""The class of the state that snapshots keep, and the version of its fold, by the prefix of the streams."""

WRITTEN_ONCE: tuple[str, ...] = tuple(aggregate.prefix for aggregate in AGGREGATES if aggregate.written_once)
"""Prefixes of the streams that the state cache leaves out."""

PERSONAL_STATES: tuple[str, ...] = tuple(aggregate.prefix for aggregate in AGGREGATES if aggregate.personal_state)
"""Prefixes of the streams whose states have personal values. Executors drop these states once a key was erased."""

POLICIES: tuple[Event, ...] = tuple(aggregate.initial for aggregate in AGGREGATES if aggregate.initial is not None)
"""The first event of each policy. `daybook migrate` appends it to each log."""

READ_MOSTLY: tuple[str, ...] = tuple(event.originator_id for event in POLICIES)
"""The streams whose absence the state cache remembers."""

AMOUNTS: frozenset[str] = frozenset(name for aggregate in AGGREGATES for name in aggregate.amounts)
"""Names of the fields of events and states that hold minor units."""

PAIRS: Mapping[str, tuple[str, ...]] = {name: of for aggregate in AGGREGATES for name, of in aggregate.pairs.items()}
"""The names of the members of tuples in states, by the field that holds them."""

PERMISSIONS: Mapping[type[Any], frozenset[Role]] = {
    command: aggregate.may.get(command, COMMANDERS) for aggregate in AGGREGATES for command in aggregate.decisions
}
"""Who may send each command. A route has the permission of the command that it makes."""

PREFIXES: Mapping[type[Event], str] = {
    entry.event: aggregate.prefix for aggregate in AGGREGATES for entry in aggregate.events if entry.event is not None
}
"""The prefix of the streams that an event is on, by its class."""

MANAGERS: tuple[ProcessManager, ...] = (
    publication.MANAGER,
    hold_expiry.MANAGER,
    pending_expiry.MANAGER,
    recurring_payments.MANAGER,
    transfer_orders.MANAGER,
    sealing.MANAGER,
    year_closing.MANAGER,
    payroll_process.MANAGER,
    account_closing.MANAGER,
    running.MANAGER,
    payout.MANAGER,
    interest_running.MANAGER,
    reconciliation_process.MANAGER,
    mailing.MANAGER,
    notice.MANAGER,
)
"""All process managers."""

check_managers(MANAGERS, {command for command, roles in PERMISSIONS.items() if roles & MANAGER_ROLES})

_DECISIONS: dict[type, Decide] = {
    command: decision for aggregate in AGGREGATES for command, decision in aggregate.decisions.items()
}
_EVOLVE: dict[type, Callable[[Any, Any], State]] = {
    entry.event: aggregate.evolve for aggregate in AGGREGATES for entry in aggregate.events if entry.event is not None
}
_UNIT_RULES: dict[type, list[UnitRule]] = {}
for _aggregate in AGGREGATES:
    for _event, _rule in _aggregate.unit_rules.items():
        _UNIT_RULES.setdefault(_event, []).append(_rule)


def decide(command: Command, states: States, context: Context) -> Decision:
    """Decide the command on these states. The function is pure."""
    if type(command) is Together:
        return decide_together(command, states, context, decide, evolve)
    if type(command) is CarryOut:
        return carry_out(command, states, context, decide)
    if type(command) is Conditioned:
        return decide_conditioned(command, states, context, decide)
    return _DECISIONS[type(command)](command, states, context)


def unwrapped(command: Command) -> Command:
    """Return the command without its conditions."""
    return command.command if type(command) is Conditioned else command


def name_of(command: Command) -> str:
    """Return the name under which a command is recorded: its type. Conditions do not change it."""
    return type(unwrapped(command)).__name__


def forbid(principal: Principal, command: Command, at: datetime) -> Forbidden | None:
    """Return why the principal may not send the command, or None if it may. Every way in calls this.

    Of several commands in one unit each is checked. Of the intent of a process, and of a command with conditions, the
    command is.
    """
    kind = type(command)
    if kind is Together:
        together = cast(Together, command)
        return next((no for one in together.commands if (no := forbid(principal, one, at)) is not None), None)
    if kind is CarryOut:
        return forbid(principal, cast(CarryOut, command).command, at)
    if kind is Conditioned:
        return forbid(principal, unwrapped(command), at)
    allowed = PERMISSIONS[kind]
    if may(principal, allowed, at):
        return None
    name, role = kind.__name__, ", ".join(principal.all_roles) or "no role"
    return Forbidden(f"{name} is for {' or '.join(sorted(allowed))}; {principal.id} has {role}.")


def evolve(state: State | None, event: Event) -> State:
    """Return the state after the event. The function is pure."""
    return _EVOLVE[type(event)](state, event)


def has_unit_rule(event: Event) -> bool:
    """Return whether a rule holds the event to other events of its unit."""
    return type(event) in _UNIT_RULES


def check_unit(events: Sequence[Event], decided: Decided) -> list[Broken]:
    """Return which events of a unit do not stand beside the events that they need. The function is pure."""
    unit: dict[str, list[Event]] = {}
    for event in events:
        unit.setdefault(event.originator_id, []).append(event)
    return [
        Broken(event, what)
        for event in events
        for rule in _UNIT_RULES.get(type(event), ())
        if (what := rule(event, unit, decided)) is not None
    ]


def commands() -> Iterable[type]:
    """Return the classes of all commands."""
    return _DECISIONS.keys()


def explain(rule: str, figures: Mapping[str, object]) -> str:
    """Return the sentence of a refusal. Raises KeyError for an unknown rule or a missing figure."""
    if rule == together.ITEM_REFUSED:
        inner = cast(Mapping[str, object], figures["figures"])
        return RULES[rule].format_map({**figures, "because": explain(str(figures["rule"]), inner)})
    return RULES[rule].format_map(figures)
