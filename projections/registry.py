"""Every projection there is."""

from __future__ import annotations

from collections.abc import Iterable

from projections.accounts.account_persons import ACCOUNT_PERSONS
from projections.accounts.accounts.fold import ACCOUNTS
from projections.accounts.business_calendar import BUSINESS_CALENDAR
from projections.accounts.chart.fold import CHART
from projections.accounts.conversions import CONVERSIONS
from projections.accounts.entries.fold import ENTRIES
from projections.accounts.fee_schedules import FEE_SCHEDULES
from projections.accounts.holds import HOLDS
from projections.accounts.interest import INTEREST
from projections.accounts.limit_usage import LIMIT_USAGE
from projections.accounts.movements.fold import MOVEMENTS
from projections.accounts.payrolls import PAYROLLS
from projections.accounts.periods.fold import PERIODS
from projections.accounts.posting_policy import POSTING_POLICY
from projections.accounts.quotes import QUOTES
from projections.accounts.rates import RATES
from projections.accounts.reconciliations.matches import RECONCILIATION_MATCHES
from projections.accounts.reconciliations.sessions import RECONCILIATIONS
from projections.accounts.reconciliations.statement_lines import STATEMENT_LINES
from projections.accounts.recurring_payments import RECURRING_PAYMENTS
from projections.accounts.risk_assessments import RISK_ASSESSMENTS
from projections.accounts.risk_rules import RISK_RULES
from projections.accounts.settlement_agreements import SETTLEMENT_AGREEMENTS
from projections.accounts.settlements import SETTLEMENTS
from projections.accounts.templates import TEMPLATES
from projections.accounts.transactions.fold import TRANSACTIONS
from projections.accounts.transfer_orders import TRANSFER_ORDERS
from projections.accounts.trial_balance.fold import TRIAL_BALANCE
from projections.commands.long_batches import LONG_BATCHES
from projections.commands.refusals import REFUSALS
from projections.engine.projection import Projection
from projections.orders.orders import ORDERS
from projections.people.approvals import APPROVALS
from projections.people.mails import MAILS
from projections.people.people import PEOPLE
from projections.people.sign_ins import SIGN_INS
from projections.posts.posts import POSTS
from projections.processes.processes import PROCESSES
from projections.webhooks.webhooks import WEBHOOKS

PROJECTIONS: tuple[Projection, ...] = (
    ACCOUNTS,
    MOVEMENTS,
    TRANSACTIONS,
    ORDERS,
    POSTS,
    REFUSALS,
    LONG_BATCHES,
    POSTING_POLICY,
    CHART,
    PERIODS,
    FEE_SCHEDULES,
    TEMPLATES,
    BUSINESS_CALENDAR,
    RECURRING_PAYMENTS,
    TRANSFER_ORDERS,
    ACCOUNT_PERSONS,
    LIMIT_USAGE,
    RISK_RULES,
    RISK_ASSESSMENTS,
    HOLDS,
    RATES,
    QUOTES,
    CONVERSIONS,
    PAYROLLS,
    SETTLEMENT_AGREEMENTS,
    SETTLEMENTS,
    INTEREST,
    RECONCILIATIONS,
    STATEMENT_LINES,
    RECONCILIATION_MATCHES,
    PROCESSES,
    PEOPLE,
    APPROVALS,
    SIGN_INS,
    MAILS,
    WEBHOOKS,
    TRIAL_BALANCE,
    ENTRIES,
)
"""All projections, in the order in which they are written. First come those whose rows the server makes: the next page
is folded meanwhile. Last come those whose rows are made in Python, which would delay that fold."""


AREAS: tuple[str, ...] = tuple(dict.fromkeys(projection.area for projection in PROJECTIONS))
"""The areas that have projections."""


class UnknownProjectionError(LookupError):
    """There is no projection, or no area, of that name."""


def named(names: Iterable[str]) -> tuple[Projection, ...]:
    """The projections with these names, in the order of `PROJECTIONS`. Raises `UnknownProjectionError`."""
    wanted = set(names)
    unknown = sorted(wanted - {projection.name for projection in PROJECTIONS})
    if unknown:
        known = ", ".join(projection.name for projection in PROJECTIONS)
        raise UnknownProjectionError(f"there is no projection {', '.join(unknown)}; there are {known}")
    return tuple(projection for projection in PROJECTIONS if projection.name in wanted)


def chosen(names: Iterable[str]) -> tuple[Projection, ...]:
    """The projections with these names or of these areas, in the order of `PROJECTIONS`; all if no name is given.

    A name that is also an area's means the area. `AREA/NAME` is always one projection. Raises
    `UnknownProjectionError`.
    """
    wanted = set(names)
    if not wanted:
        return PROJECTIONS
    unknown = sorted(wanted - {name for projection in PROJECTIONS for name in _names_of(projection)})
    if unknown:
        known = ", ".join(projection.name for projection in PROJECTIONS)
        raise UnknownProjectionError(
            f"there is no projection and no area {', '.join(unknown)}; the areas are {', '.join(AREAS)}, the "
            f"projections {known}"
        )
    return tuple(projection for projection in PROJECTIONS if wanted & _names_of(projection))


def _names_of(projection: Projection) -> set[str]:
    """The names that choose a projection."""
    names = {projection.area, f"{projection.area}/{projection.name}"}
    return names if projection.name in AREAS else names | {projection.name}
