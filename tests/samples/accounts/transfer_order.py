"""Samples of transfer orders."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.owners import AddOwner, RemoveOwner
from domain.accounts.account.state import Account
from domain.accounts.allocation import Fee
from domain.accounts.currencies.quotes import QuoteConversion
from domain.accounts.currencies.rates import SetRate
from domain.accounts.fee_schedule import DefineFeeSchedule
from domain.accounts.posting import internal_account, pair_account
from domain.accounts.transfer_order import (
    TRANSFER_ORDER,
    CancelTransferOrder,
    ExecuteTransferOrder,
    SubmitTransferOrder,
    Sum,
    TransferOrder,
)
from domain.codes import MOST_PAIRS
from domain.kernel import Principal
from domain.money import MAX_AMOUNT
from tests.samples.accounts.account import CURRENCIES, with_balance
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import NOW, By, MemoryLedger, by_person, opening

RUNNER = Principal("process:transfer_orders", ("command", "process"), "process")
"""The process manager that executes the orders."""
EXECUTE = By(RUNNER, ExecuteTransferOrder("tord_1"))

# Requests

RENT = {
    "amount": "8.50",
    "currency": "EUR",
    "execute_at": "2027-01-31T12:00:00Z",
    "expires_at": "2027-02-28T12:00:00Z",
    "notify": True,
    "reference": "rent-7",
    "description": "Rent",
    "metadata": {"k_symbol": "SIPO"},
}


def submission(world: World) -> dict[str, Any]:
    return {**RENT, "source": with_balance(world, "100.00"), "target": with_balance(world)}


def one(world: World) -> str:
    """An order that waits for its time."""
    id: str = world.do("transfer-orders", submission(world))["transfer_order"]
    return id


ROUTES = {
    "/v1/transfer-orders": lambda world: Request({}, submission(world)),
    "/v1/transfer-orders/{transfer_order}/cancel": lambda world: Request({"transfer_order": one(world)}, {}),
}

# Rules

PAYS, GETS = opening(account="acct_a", minimum=None), opening(account="acct_b", minimum=None)
DOLLARS = opening(account="acct_usd", currency="USD")
GIVEN = (PAYS, GETS)
CONVERTING = (
    *(
        opening("liquidity", account=pair_account("main", "liquidity", "EUR:USD", one), currency=one, minimum=None)
        for one in ("EUR", "USD")
    ),
    *(
        opening(role, account=internal_account("main", role, "USD"), currency="USD", minimum=None)
        for role in ("revenue", "rounding")
    ),
    PAYS,
    DOLLARS,
    SetRate("EUR", "USD", "1.100000", 0, "ECB"),
)
HOUR, MOMENT = timedelta(hours=1), timedelta(microseconds=1)
OWNER = by_person("prsn_owner", "customer")


def order(
    amount: int | None = 100, currency: str = "EUR", *, order: str = "tord_1", target: str = "acct_b", **more: Any
) -> SubmitTransferOrder:
    return SubmitTransferOrder(order, "acct_a", target, None if amount is None else Sum(amount, currency), **more)


def execute(at: datetime) -> By:
    return By(RUNNER, ExecuteTransferOrder("tord_1"), at)


CANCEL = CancelTransferOrder("tord_1")
QUOTE = QuoteConversion("qte_1", "EUR", "USD", "EUR", 100, 60)
RULES = {
    "transfer_order_exists": RuleSample(
        given=(*GIVEN, order()),
        broken=order(),
        sentence="Transfer order tord_1 exists already.",
        kept=(order(order="tord_2"),),
    ),
    "transfer_order_ended": RuleSample(
        given=(*GIVEN, order(), CANCEL),
        broken=CANCEL,
        sentence="Transfer order tord_1 is cancelled; only one that waits can be cancelled.",
        kept=(order(order="tord_2"), CancelTransferOrder("tord_2")),
    ),
    "same_account": RuleSample(
        given=GIVEN,
        broken=order(target="acct_a"),
        sentence="A transfer needs two different accounts; both are acct_a.",
        kept=(order(),),
    ),
    "amount_currency": RuleSample(
        given=CONVERTING,
        broken=order(100, "GBP", target="acct_usd"),
        sentence="The amount is in GBP; it is in EUR, which is paid, or in USD, which is got.",
        kept=(order(100, "USD", target="acct_usd", bound=Sum(100, "EUR")),),
    ),
    "transfer_order_what": RuleSample(
        given=(*CONVERTING, QUOTE),
        broken=order(target="acct_usd", quote="qte_1"),
        sentence="A transfer order names a quote, or an amount with its currency; this one names both.",
        kept=(order(None, target="acct_usd", quote="qte_1"),),
    ),
    "transfer_order_amount": RuleSample(
        given=GIVEN,
        broken=order(0),
        sentence="The amount of a transfer order is 0.01 to 9999999999999.99 EUR; this one is 0.00.",
        kept=(order(1), order(MAX_AMOUNT, order="tord_2")),
    ),
    "transfer_order_bound": RuleSample(
        given=CONVERTING,
        broken=order(100, "USD", target="acct_usd"),
        sentence=(
            "A bound is in the currency of the side that the amount is not in, and only where the rate at the execution "
            "decides. This order can have one in EUR; it has none."
        ),
        kept=(order(100, "USD", target="acct_usd", bound=Sum(100, "EUR")),),
    ),
    "transfer_order_outside_bound": RuleSample(
        given=(*CONVERTING, order(target="acct_usd", bound=Sum(111, "USD"))),
        broken=EXECUTE,
        sentence=(
            "At the rate of EUR:USD, 1.100000, the target gets 1.10 USD; transfer order tord_1 allows at least 1.11."
        ),
        kept=(SetRate("EUR", "USD", "1.110000", 0, "ECB"), EXECUTE),
    ),
    "transfer_order_start": RuleSample(
        given=GIVEN,
        broken=order(execute_at=NOW),
        sentence=(
            "The transfer order would be executed at 2026-11-21T12:00:00+00:00; one is executed after now, "
            "2026-11-21T12:00:00+00:00, and at most 366 days later."
        ),
        kept=(order(execute_at=NOW + MOMENT),),
    ),
    "transfer_order_end": RuleSample(
        given=GIVEN,
        broken=order(execute_at=NOW + HOUR, expires_at=NOW + HOUR),
        sentence=(
            "The transfer order would expire at 2026-11-21T13:00:00+00:00; one expires after its execution, "
            "2026-11-21T13:00:00+00:00, and at most 366 days after now, 2026-11-21T12:00:00+00:00."
        ),
        kept=(order(execute_at=NOW + HOUR, expires_at=NOW + HOUR + MOMENT),),
    ),
    "transfer_order_quote": RuleSample(
        given=(*CONVERTING, QUOTE),
        broken=order(None, target="acct_usd", quote="qte_1", execute_at=NOW + timedelta(seconds=60)),
        sentence=(
            "Quote qte_1 can be used before 2026-11-21T12:01:00+00:00; the transfer order would be executed at "
            "2026-11-21T12:01:00+00:00."
        ),
        kept=(order(None, target="acct_usd", quote="qte_1", execute_at=NOW + timedelta(seconds=60) - MOMENT),),
    ),
    "transfer_order_not_due": RuleSample(
        given=(*GIVEN, order(execute_at=NOW + HOUR)),
        broken=execute(NOW + HOUR - MOMENT),
        sentence=(
            "Transfer order tord_1 is executed at 2026-11-21T13:00:00+00:00; it is 2026-11-21T12:59:59.999999+00:00."
        ),
        kept=(execute(NOW + HOUR),),
    ),
    "transfer_order_not_permitted": RuleSample(
        given=(*GIVEN, AddOwner("acct_a", "prsn_owner"), By(OWNER, order()), RemoveOwner("acct_a", "prsn_owner")),
        broken=EXECUTE,
        sentence=(
            "prsn_owner, who submitted transfer order tord_1, may not take 1.00 EUR from account acct_a any more, or not "
            "convert to the account that gets it."
        ),
        kept=(AddOwner("acct_a", "prsn_owner"), execute(NOW + timedelta(minutes=1))),
    ),
    "not_a_code": no_code("reference", order(reference="for rent"), order(reference="rent"), given=GIVEN),
    "metadata_pairs": RuleSample(
        given=GIVEN,
        broken=order(metadata={f"key-{number}": "1" for number in range(MOST_PAIRS + 1)}),
        sentence="The metadata has 21 pairs; the most is 20.",
        kept=(order(metadata={f"key-{number}": "1" for number in range(MOST_PAIRS)}),),
    ),
}

# A life

FEW = 4
"""Orders that wait at the same time."""


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Orders are submitted and executed; some have no rate, some are cancelled, and some expire."""
    waiting = [one for one in ledger.of(TransferOrder) if one.status == "waiting"]
    if len(waiting) < FEW:
        return _submits(ledger, chance)
    order = chance.choice(waiting)
    if chance.random() < 0.1:
        return CancelTransferOrder(order.id)
    at = ledger.context.decided_at
    due_at = order.due_at or at
    if order.expires_at is not None and chance.random() < 0.3:
        due_at = order.expires_at
    ledger.context = replace(ledger.context, decided_at=max(at, due_at))
    return By(RUNNER, ExecuteTransferOrder(order.id))


def _submits(ledger: MemoryLedger, chance: Random) -> Any:
    accounts = [one for one in ledger.of(Account) if not one.profile.internal and one.status == "open"]
    rich = [one for one in accounts if one.available > 0]
    if len(accounts) < 2 or not rich:
        return opening(account=ledger.new_id("acct"), currency=chance.choice(CURRENCIES))
    source = chance.choice(rich)
    target = chance.choice([one for one in accounts if one is not source])
    currency, amount = source.profile.currency, chance.randint(1, max(1, source.available // 2))
    name = f"wire-{currency.lower()}"
    if f"fee-schedule:{name}" not in ledger.states:
        return DefineFeeSchedule(name, currency, Fee(1))
    now = ledger.context.decided_at
    execute_at = now + HOUR if chance.random() < 0.5 else None
    return SubmitTransferOrder(
        order=ledger.new_id(TRANSFER_ORDER),
        source=source.profile.id,
        target=target.profile.id,
        sum=Sum(amount, currency),
        fee_schedule=name if chance.random() < 0.5 else None,
        execute_at=execute_at,
        expires_at=now + 2 * HOUR if chance.random() < 0.5 else None,
        notify=chance.random() < 0.5,
        reference="rent-7",
        description="rent\tMay" if chance.random() < 0.5 else None,
        metadata={"k_symbol": "SIPO"} if chance.random() < 0.5 else {},
    )


# Events as they were stored

EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="transfer_order.submitted.v1",
        stream="tord_0000000000000000000000004m",
        version=1,
        payload='{"bound":null,"by_customer":false,"currency":"EUR","description":"2.QMpB1B-A4Sw41Oc8wWzTcYlFj4IRQCewv3_LjuebaT92vMaf","execute_at":"2026-11-21T13:00:00Z","expires_at":"2026-11-21T14:00:00Z","fee":null,"held":1,"initiator":null,"metadata":{"k_symbol":"SIPO"},"notify":false,"quote":null,"reference":"rent-7","source":"acct_00000000000000000000000040","subject":"owner-1","sum":{"amount":1,"currency":"EUR"},"target":"acct_0000000000000000000000001j","target_currency":"EUR"}',
        means={
            "source": "acct_00000000000000000000000040",
            "target": "acct_0000000000000000000000001j",
            "currency": "EUR",
            "target_currency": "EUR",
            "sum": {"amount": 1, "currency": "EUR"},
            "bound": None,
            "quote": None,
            "fee": None,
            "held": 1,
            "execute_at": "2026-11-21T13:00:00Z",
            "expires_at": "2026-11-21T14:00:00Z",
            "notify": False,
            "reference": "rent-7",
            "metadata": {"k_symbol": "SIPO"},
            "subject": "owner-1",
            "description": "rent\tMay",
            "initiator": None,
            "by_customer": False,
        },
    ),
    StoredEvent(
        type="transfer_order.executed.v1",
        stream="tord_000000000000000000000000cp",
        version=2,
        payload='{"conversion":null,"fee":null,"fee_transaction":null,"notify":["owner-1"],"paid":{"amount":2926,"currency":"EUR"},"received":{"amount":2926,"currency":"EUR"},"transaction":"txn_0xe0t8pr9jaa1bcdp0rfxhkwgf"}',
        means={
            "transaction": "txn_0xe0t8pr9jaa1bcdp0rfxhkwgf",
            "conversion": None,
            "fee_transaction": None,
            "paid": {"amount": 2926, "currency": "EUR"},
            "received": {"amount": 2926, "currency": "EUR"},
            "fee": None,
            "notify": ["owner-1"],
        },
    ),
    StoredEvent(
        type="transfer_order.expired.v1",
        stream="tord_000000000000000000000000ae",
        version=2,
        payload='{"currency":"EUR","notify":["owner-1"],"released":2}',
        means={"released": 2, "currency": "EUR", "notify": ["owner-1"]},
    ),
    StoredEvent(
        type="transfer_order.delayed.v1",
        stream="tord_000000000000000000000001be",
        version=2,
        payload='{"figures":{"source":"JPY","target":"EUR"},"retry_at":"2026-11-26T00:01:00Z","rule":"rate_missing","tries":1}',
        means={
            "tries": 1,
            "rule": "rate_missing",
            "figures": {"source": "JPY", "target": "EUR"},
            "retry_at": "2026-11-26T00:01:00Z",
        },
    ),
    StoredEvent(
        type="transfer_order.cancelled.v1",
        stream="tord_000000000000000000000001q9",
        version=2,
        payload='{"currency":"EUR","released":4}',
        means={"released": 4, "currency": "EUR"},
    ),
    StoredEvent(
        type="transfer_order.failed.v1",
        stream="tord_000000000000000000000001be",
        version=5,
        payload='{"currency":"JPY","figures":{"account":"acct_0000000000000000000000006y"},"notify":[],"released":219,"rule":"account_frozen","tries":4}',
        means={
            "tries": 4,
            "rule": "account_frozen",
            "figures": {"account": "acct_0000000000000000000000006y"},
            "released": 219,
            "currency": "JPY",
            "notify": [],
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
