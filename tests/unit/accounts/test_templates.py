"""Templates: what is refused when they are defined, what can be shown to balance, and what postings make."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.accounts.allocation import PER_CENT, Fee, Tier
from domain.accounts.details import TransactionDetailed
from domain.accounts.posting import TransactionPosted, internal_account
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.template import DefineTemplate, PostByTemplate, RetireTemplate
from domain.accounts.template.checking import MOST_AMOUNTS, in_order, refuse_definition
from domain.accounts.template.definition import Amount, Definition, Parameter, Part, TemplateEntry
from domain.accounts.transaction import PostTransaction
from domain.kernel import Refused, Unknown
from domain.money import MAX_AMOUNT
from tests.samples.accounts.template import BOTH, BUYER, GROSS, PLAIN, RATE, SELLER, fixed, plus
from tests.support.memory_ledger import TODAY, MemoryLedger, new_id

FEES, REVENUE = (internal_account("main", role, "EUR") for role in ("fees", "revenue"))
COMMISSION = Amount("commission", "fee", of="gross", currency="EUR", fee=Fee(25, (Tier(None, 2_500_000),), 50, 5_000))
SALE = Definition(
    "payment",
    (BUYER, SELLER, GROSS, replace(RATE, default=21 * PER_CENT)),
    (
        plus("net", "gross", minus=("commission", "tax")),
        Amount("tax", "percentage", of="commission", parameter="rate"),
        COMMISSION,
    ),
    (
        TemplateEntry("debit", "gross", "buyer"),
        TemplateEntry("credit", "net", "seller"),
        TemplateEntry("credit", "commission", internal="fees"),
        TemplateEntry("credit", "tax", internal="revenue"),
    ),
)


@pytest.fixture
def ledger() -> MemoryLedger:
    made = MemoryLedger()
    made.open_internal()
    return made


def post(template: str, number: int | None = None, **parameters: Any) -> PostByTemplate:
    return PostByTemplate(new_id("txn"), template, parameters, TODAY, number)


def entry(side: Any, amount: str, parameter: str) -> TemplateEntry:
    return TemplateEntry(side, amount, parameter)


def test_a_sale(ledger: MemoryLedger) -> None:
    ledger.accepted(DefineTemplate("sale", SALE))
    buyer, seller = ledger.account(100_00), ledger.account()
    done = ledger.accepted(post("sale", buyer=buyer, seller=seller, gross="33.33"))
    assert ledger[seller].balance == 33_33 - 1_08 - 23, "0.25 and 2.5 % are 1.08; 21 % of that are 0.23"
    assert (ledger[FEES].balance, ledger[REVENUE].balance) == (1_08, 23)
    assert done.commuting == {FEES, REVENUE}
    assert [line["amount"] for line in done.result["entries"]] == ["33.33", "32.02", "1.08", "0.23"]  # type: ignore[union-attr, index, call-overload]
    ledger.accepted(post("sale", buyer=buyer, seller=seller, gross="10.00", rate="0"))
    posted = next(event for event in reversed(ledger.log) if isinstance(event, TransactionPosted))
    assert (posted.kind, len(posted.entries)) == ("payment", 3), "an entry of zero is left out"
    ledger.check()


def test_a_salary_with_tax_insurance_and_cost_centres(ledger: MemoryLedger) -> None:
    """Gross and the employer's insurance are paid by two cost centres by weights."""
    definition = Definition(
        "payment",
        (
            *(Parameter(name, "account") for name in ("first", "second", "employee", "office")),
            GROSS,
            *(Parameter(name, "integer") for name in ("days_first", "days_second")),
        ),
        (
            Amount("tax", "percentage", of="gross", percentage=15 * PER_CENT),
            Amount("insurance", "percentage", of="gross", percentage=11_600_000),
            Amount("employers", "percentage", of="gross", percentage=33_800_000),
            plus("cost", "gross", "employers"),
            Amount("shares", "split", of="cost", parts=(Part("one", "days_first"), Part("two", "days_second"))),
            plus("net", "gross", minus=("tax", "insurance")),
            plus("to_office", "tax", "insurance", "employers"),
        ),
        (
            entry("debit", "one", "first"),
            entry("debit", "two", "second"),
            entry("credit", "net", "employee"),
            entry("credit", "to_office", "office"),
        ),
    )
    ledger.accepted(DefineTemplate("salary", definition))
    first, second, employee, office = (ledger.account(balance) for balance in (2_000_00, 1_000_00, 0, 0))
    accounts: dict[str, Any] = {"first": first, "second": second, "employee": employee, "office": office}
    ledger.accepted(post("salary", **accounts, gross="1234.57", days_first=2, days_second=1))
    cost = 1_234_57 + 417_28
    assert ledger[employee].balance == 1_234_57 - 185_19 - 143_21
    assert ledger[office].balance == 185_19 + 143_21 + 417_28
    assert 3_000_00 - ledger[first].balance - ledger[second].balance == cost
    assert 1_000_00 - ledger[second].balance == 550_62, "of 550.61 2/3, which loses more than 1101.23 1/3"


def test_a_template_in_the_currency_of_a_parameter(ledger: MemoryLedger) -> None:
    parameters = (BUYER, SELLER, Parameter("currency", "currency"), Parameter("gross", "amount", "currency"))
    ledger.accepted(DefineTemplate("pay", Definition("payment", parameters, (), BOTH)))
    one, two = (ledger.account(currency="JPY", minimum=None) for _ in range(2))
    ledger.accepted(post("pay", buyer=one, seller=two, gross="5", currency="JPY"))
    assert ledger[two].balance == 5
    assert ledger.refused(post("pay", buyer=one, seller=two, gross="5.0", currency="JPY")).rule == "parameter_type"
    assert ledger.refused(post("pay", buyer=one, seller=two, gross="5", currency="EUR")).rule == "currency_mismatch"
    assert ledger.refused(post("pay", buyer=one, seller=two, gross="5", currency="XXX")).rule == "parameter_type"


def test_versions_are_kept_until_they_are_retired(ledger: MemoryLedger) -> None:
    buyer, seller = ledger.account(100_00), ledger.account()
    given: dict[str, Any] = {"buyer": buyer, "seller": seller, "gross": "1.00"}
    ledger.accepted(DefineTemplate("pay", PLAIN))
    ledger.accepted(DefineTemplate("pay", replace(PLAIN, kind="journal")))
    assert ledger.accepted(post("pay", **given)).result["number"] == 2
    assert ledger.accepted(post("pay", 1, **given)).result["number"] == 1
    assert ledger.accepted(RetireTemplate("pay", 2)).result["newest"] == 1
    assert ledger.accepted(post("pay", **given)).result["number"] == 1
    assert ledger.accepted(RetireTemplate("pay", 1)).result["newest"] is None
    assert ledger.refused(post("pay", **given)).rule == "template_without_version"
    assert ledger.accepted(DefineTemplate("pay", PLAIN)).result["number"] == 3


def test_what_is_not_there(ledger: MemoryLedger) -> None:
    account = ledger.account()
    assert ledger.execute(post("pay")) == Unknown("template", "pay", frozenset())
    ledger.accepted(DefineTemplate("pay", PLAIN))
    for foreign in ("acct_none", "template:pay", "policy:posting", "x"):
        done = ledger.execute(post("pay", buyer=foreign, seller=account, gross="1.00"))
        assert isinstance(done, Unknown)
        assert (done.kind, done.id) == ("account", foreign)
    at = replace(BOTH[0], parameter=None, account="acct_none")
    assert ledger.execute(DefineTemplate("other", replace(PLAIN, entries=(at, BOTH[1])))) == Unknown(
        "account", "acct_none"
    )


def test_an_internal_account_that_is_not_open() -> None:
    ledger = MemoryLedger()
    ledger.accepted(DefineTemplate("sale", SALE))
    one, two = ledger.account(minimum=None), ledger.account()
    refusal = ledger.refused(post("sale", buyer=one, seller=two, gross="9.00"))
    assert (refusal.rule, refusal.figures["role"]) == ("internal_account_missing", "fees")


def test_a_fixed_account_of_another_currency(ledger: MemoryLedger) -> None:
    account = ledger.account(currency="USD")
    at = replace(BOTH[0], parameter=None, account=account)
    assert ledger.refused(DefineTemplate("pay", replace(PLAIN, entries=(at, BOTH[1])))).rule == "currency_mismatch"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("gross", 100, "parameter_type"),
        ("gross", "ten", "parameter_type"),
        ("gross", "-1.00", "parameter_bounds"),
        ("gross", "99999999999999.99", "parameter_type"),
        ("rate", 21, "parameter_type"),
        ("rate", "0.0000001", "parameter_type"),
        ("rate", "1000.000001", "parameter_type"),
        ("buyer", 1, "parameter_type"),
        ("gross", "0.00", "entry_count"),
    ],
)
def test_a_parameter_that_does_not_fit(ledger: MemoryLedger, name: str, value: Any, rule: str) -> None:
    fixed_only = replace(SALE, amounts=(*SALE.amounts[:2], replace(COMMISSION, fee=Fee(0, (Tier(None, PER_CENT),)))))
    ledger.accepted(DefineTemplate("sale", fixed_only))
    buyer, seller = ledger.account(100_00), ledger.account()
    given: dict[str, Any] = {"buyer": buyer, "seller": seller, "gross": "1.00", "rate": "1", name: value}
    assert ledger.refused(post("sale", **given)).rule == rule


def test_entries_that_balance_for_some_amounts_are_left_to_the_posting(ledger: MemoryLedger) -> None:
    """A payroll program gives gross, net and tax. They have to fit together."""
    of = [Parameter(name, "amount", "EUR") for name in ("net", "tax")]
    entries = (BOTH[0], entry("credit", "net", "seller"), entry("credit", "tax", "seller"))
    ledger.accepted(DefineTemplate("pay", Definition("payment", (BUYER, SELLER, GROSS, *of), (), entries)))
    given: dict[str, Any] = {
        "buyer": ledger.account(100_00),
        "seller": ledger.account(),
        "gross": "10.00",
        "net": "8.00",
    }
    assert ledger.refused(post("pay", **given, tax="1.99")).rule == "entries_unbalanced"
    ledger.accepted(post("pay", **given, tax="2.00"))


def shares(*percents: int) -> tuple[Amount, ...]:
    return tuple(
        Amount(f"p{number}", "percentage", of="gross", percentage=each * PER_CENT)
        for number, each in enumerate(percents)
    )


@pytest.mark.parametrize(
    ("amounts", "credited", "rest"),
    [
        ((), ("gross", "gross"), "gross"),
        (shares(60, 40), ("p0", "p1"), "- gross + p0 + p1"),
        ((*shares(60), plus("rest", "gross", minus=("p0",))), ("p0", "rest"), None),
        (shares(100), ("p0",), None),
        (shares(200), ("p0",), "gross"),
        ((*shares(60), Amount("same", "percentage", of="gross", percentage=60 * PER_CENT),
          plus("rest", "gross", minus=("same",))), ("p0", "rest"), None),
        ((Amount("s", "split", of="gross", parts=(Part("a", 1), Part("b", 2), Part("c", 3))),), ("a", "b", "c"), None),
        ((Amount("s", "split", of="gross", parts=(Part("a", 1), Part("b", 2), Part("c", 3))),), ("a", "b"),
         "- gross + a + b"),
        ((fixed("unit"),), ("gross", "unit"), "0.01"),
        ((fixed("one", 5), fixed("two", 3), fixed("three", 2), plus("x", "gross", "one", minus=("two", "three"))),
         ("x",), None),
    ],
)  # fmt: skip
def test_what_can_be_shown_to_balance(amounts: tuple[Amount, ...], credited: tuple[str, ...], rest: str | None) -> None:
    """The debit of the gross amount, and these credits. `rest`: credits less debits."""
    entries = (BOTH[0], *(entry("credit", name, "seller") for name in credited))
    refusal = refuse_definition(replace(PLAIN, amounts=amounts, entries=entries))
    unbalanced = Refused("template_unbalanced", {"currency": "EUR", "rest": rest})
    assert refusal == (None if rest is None else unbalanced)


def test_entries_of_one_side(ledger: MemoryLedger) -> None:
    """Two parameters could balance, but not on one side."""
    both = (GROSS, Parameter("more", "amount", "EUR"))
    entries = (BOTH[0], entry("debit", "more", "seller"))
    refusal = ledger.refused(DefineTemplate("pay", Definition("payment", (BUYER, SELLER, *both), (), entries)))
    assert refusal.figures["rest"] == "- gross - more"


@pytest.mark.parametrize(
    ("amounts", "cycle"),
    [
        ((plus("a", "a"),), "a -> a"),
        ((plus("a", "b"), plus("b", "gross", "a")), "a -> b -> a"),
        ((plus("x", "gross", "p"), Amount("s", "split", of="x", parts=(Part("p", 1), Part("q", 1)))), "x -> s -> x"),
    ],
)
def test_amounts_in_a_circle(amounts: tuple[Amount, ...], cycle: str) -> None:
    refusal = refuse_definition(replace(PLAIN, amounts=amounts))
    assert refusal == Refused("template_cycle", {"cycle": cycle})


def test_the_longest_chain_of_amounts() -> None:
    """Each doubles the one before, and each rounds it. Checking takes no time that grows with the number of paths."""
    chain = [Amount("a0", "percentage", of="gross", percentage=PER_CENT)]
    for number in range(1, MOST_AMOUNTS // 2):
        chain.append(plus(f"s{number}", f"a{number - 1}", f"a{number - 1}"))
        chain.append(Amount(f"a{number}", "percentage", of=f"s{number}", percentage=PER_CENT))
    definition = replace(PLAIN, amounts=tuple(reversed(chain)))
    assert refuse_definition(definition) is None
    ordered = in_order(definition)
    assert ordered.amounts[0].name == "a0"
    assert in_order(ordered) == ordered


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.integers(1, MAX_AMOUNT // 100))
def test_a_definition_that_is_accepted_as_balanced_always_balances(seed: int, gross: int) -> None:
    """Random amounts of one parameter: what is accepted is never refused as unbalanced."""
    chance = Random(seed)
    names = ["gross"]
    amounts = []
    for number in range(chance.randint(0, 6)):
        of = chance.choice(names)
        kind = chance.choice(("percentage", "sum", "split", "fee"))
        made = {
            "percentage": Amount(f"x{number}", "percentage", of=of, percentage=chance.randint(0, 100 * PER_CENT)),
            "sum": plus(f"x{number}", of, minus=tuple(chance.sample(names, chance.randint(0, 1)))),
            "split": Amount(f"x{number}", "split", of=of, parts=(Part(f"y{number}", 1), Part(f"z{number}", 2))),
            "fee": Amount(f"x{number}", "fee", of=of, fee=Fee(tiers=(Tier(None, chance.randint(0, PER_CENT)),))),
        }[kind]
        amounts.append(made)
        names.extend(made.names)
    moved = chance.choice(names)
    less = tuple(chance.sample(names, min(2, len(names))))
    rest = plus("rest", moved, minus=less)
    entries = (entry("debit", moved, "buyer"), *(entry("credit", name, "seller") for name in (*less, "rest")))
    definition = replace(PLAIN, amounts=(*amounts, rest), entries=entries)
    assert refuse_definition(definition) is None, "the rest makes it balance"
    ledger = MemoryLedger()
    ledger.accepted(DefineTemplate("any", definition))
    one, two = ledger.account(minimum=None), ledger.account(minimum=None)
    done = ledger.execute(post("any", buyer=one, seller=two, gross=f"{gross // 100}.{gross % 100:02}"))
    assert not isinstance(done, Refused) or done.rule in ("template_negative", "entry_count"), done


def test_a_posting_by_template_writes_what_a_posting_of_its_entries_writes(ledger: MemoryLedger) -> None:
    ledger.accepted(DefineTemplate("sale", SALE))
    buyer, seller = ledger.account(100_00), ledger.account()
    made = ledger.decide(post("sale", buyer=buyer, seller=seller, gross="33.33"))
    [posted, detailed, *entries] = made.events  # type: ignore[union-attr]
    assert isinstance(posted, TransactionPosted)
    same = ledger.decide(PostTransaction(posted.originator_id, "payment", posted.entries, TODAY))
    assert isinstance(detailed, TransactionDetailed)
    assert (detailed.template, detailed.template_version) == ("sale", 1)
    assert same.events[1:] == tuple(entries)  # type: ignore[union-attr]


def test_a_posting_above_the_amount_of_four_eyes_waits(ledger: MemoryLedger) -> None:
    """A template, or a fee by a schedule, is no way around the second person."""
    ledger.accepted(DefineTemplate("sale", SALE))
    buyer, seller = ledger.account(100_00), ledger.account()
    ledger.accepted(ChangePostingPolicy(None, None, {"EUR": 20_00}))
    done = ledger.accepted(post("sale", buyer=buyer, seller=seller, gross="20.01"))
    assert done.result["awaits"] == "approval"
    assert ledger[seller].balance == 0
    assert "awaits" not in ledger.accepted(post("sale", buyer=buyer, seller=seller, gross="20.00")).result
