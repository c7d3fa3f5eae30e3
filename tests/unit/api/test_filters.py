"""A filter with few values accepts only these, and the problem names them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from api import registry
from api.accounts.periods import PeriodStatus
from api.gateway.problems import malformed
from api.gateway.routes import RouteTable
from api.queries.filters import MOST_LISTED, Choice, choice
from api.queries.response_types import values_of
from domain.accounts.account.state import Status as AccountStatus
from domain.accounts.numbers import PREFIXES, AccountType
from domain.accounts.posting import Side, TransactionKind
from domain.accounts.reconciliation.session import Status as ReconciliationStatus
from domain.accounts.recurring.state import Status as RecurringStatus
from domain.accounts.risk.rules import Action
from domain.accounts.settlement.settlement import Status as SettlementStatus
from domain.accounts.transaction.state import TransactionStatus
from domain.accounts.transfer_order.state import Status as TransferOrderStatus
from domain.long_batch import Status as LongBatchStatus
from domain.money import EXPONENTS
from domain.orders.order import Status as OrderStatus
from domain.people.approval import Outcome
from domain.people.mail import Status as MailStatus
from domain.people.person.state import Status as PersonStatus
from domain.posts.post import Status as PostStatus
from domain.processes.process import CarryOut
from domain.refusals import EXPECTATION_FAILED
from domain.registry import CATALOGUE, MANAGERS, RULES, commands
from domain.together import Together
from domain.webhooks.webhook.state import Status as WebhookStatus
from projections.accounts.account_persons import Standing
from projections.accounts.holds import HoldStatus
from projections.accounts.payrolls import ItemStatus, RunStatus
from projections.accounts.reconciliations.statement_lines import LineState
from projections.processes.fold import Status as ProcessStatus

CATEGORIES = {
    "acct",
    "txn",
    "policy:posting",
    "policy:calendar",
    "recur",
    "tord",
    "chart",
    "node",
    "periods",
    "rate",
    "qte",
    "cnv",
    "fee-schedule",
    "template",
    "payroll",
    "paypart",
    "recon",
    "reconprt",
    "reconmch",
    "ord",
    "post",
    "proc",
    "batch",
    "lbatch",
    "claim",
    "refusal",
    "subject",
    "prsn",
    "appr",
    "administrators",
    "sess",
    "policy:sign-in",
    "mail",
    "privacy",
    "whk",
    "settlement-agreement",
    "stl",
    "interest",
}
FEW: dict[tuple[str, str], set[str]] = {
    ("/v1/accounts", "type"): set(PREFIXES),
    ("/v1/accounts", "status"): set(get_args(AccountStatus)),
    ("/v1/accounts", "currency"): set(EXPONENTS),
    ("/v1/accounts/{account}/entries", "side"): set(get_args(Side)),
    ("/v1/approvals", "outcome"): set(get_args(Outcome)),
    ("/v1/holds", "status"): set(get_args(HoldStatus)),
    ("/v1/chart/balances", "currency"): set(EXPONENTS),
    ("/v1/long-batches", "status"): set(get_args(LongBatchStatus)),
    ("/v1/log", "category"): CATEGORIES,
    ("/v1/log", "type"): {entry.name for entry in CATALOGUE},
    ("/v1/log/follow", "category"): CATEGORIES,
    ("/v1/account-persons", "standing"): set(get_args(Standing)),
    ("/v1/log/follow", "type"): {entry.name for entry in CATALOGUE},
    ("/v1/mails", "status"): set(get_args(MailStatus)),
    ("/v1/orders", "status"): set(get_args(OrderStatus)),
    ("/v1/payrolls", "status"): set(get_args(RunStatus)),
    ("/v1/payrolls/{payroll}/items", "status"): set(get_args(ItemStatus)),
    ("/v1/periods", "status"): set(get_args(PeriodStatus)),
    ("/v1/people", "status"): set(get_args(PersonStatus)),
    ("/v1/posts", "status"): set(get_args(PostStatus)),
    ("/v1/reconciliations", "status"): set(get_args(ReconciliationStatus)),
    ("/v1/reconciliations/{reconciliation}/lines", "state"): set(get_args(LineState)),
    ("/v1/risk-assessments", "action"): set(get_args(Action)),
    ("/v1/recurring-payments", "status"): set(get_args(RecurringStatus)),
    ("/v1/transfer-orders", "status"): set(get_args(TransferOrderStatus)),
    ("/v1/settlements", "status"): set(get_args(SettlementStatus)),
    ("/v1/transactions", "status"): set(get_args(TransactionStatus)),
    ("/v1/processes", "manager"): {manager.name for manager in MANAGERS},
    ("/v1/processes", "status"): set(get_args(ProcessStatus)),
    ("/v1/replay", "currency"): set(EXPONENTS),
    ("/v1/replay", "type"): {entry.name for entry in CATALOGUE},
    ("/v1/refusals", "command"): {kind.__name__ for kind in (*commands(), Together, CarryOut)},
    ("/v1/refusals", "rule"): {*RULES, EXPECTATION_FAILED},
    ("/v1/transactions", "kind"): set(get_args(TransactionKind)),
    ("/v1/trial-balance", "currency"): set(EXPONENTS),
    ("/v1/webhooks", "status"): set(get_args(WebhookStatus)),
}


def test_every_filter_with_few_values_is_checked() -> None:
    found = {}
    for declared in RouteTable(registry.routes()).routes:
        for parameter in getattr(declared.route, "dependant").query_params:  # noqa: B009 - of APIRoute only
            schema = TypeAdapter(parameter.field_info.annotation).json_schema()
            for one in schema.get("anyOf", [schema]):
                if "enum" in one:
                    found[declared.route.path, parameter.alias] = set(one["enum"])
    assert found == FEW


def problem_of(filter: Choice, value: str) -> dict[str, Any]:
    """The problem for this value."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Annotated[str, filter]).validate_python(value)
    return malformed([{**error, "loc": ("query", "status")} for error in refused.value.errors()])


def test_a_problem_names_the_possible_values() -> None:
    problem = problem_of(choice(["open", "closed"]), "opne")
    assert problem["detail"] == "status: 'opne' is not one of open, closed."
    assert problem["figures"]["allowed"] == {"status": ["open", "closed"]}


def test_many_values_are_in_the_figures_only() -> None:
    many = [f"value-{number}" for number in range(MOST_LISTED + 1)]
    problem = problem_of(choice(many), "x" * 500)
    assert problem["detail"] == f"status: {'x' * 100!r} is not one of the 51 values in `allowed`."
    assert problem["figures"]["allowed"] == {"status": many}


def test_the_words_of_a_type_of_the_domain() -> None:
    assert values_of(Literal["a", "b"]) == ("a", "b")
    assert set(values_of(AccountType)) == set(PREFIXES)
