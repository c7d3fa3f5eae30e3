"""Samples of conversions."""

from __future__ import annotations

from datetime import timedelta
from itertools import cycle
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.state import Account
from domain.accounts.currencies.conversions import CONVERSION, ConvertMoney
from domain.accounts.currencies.quotes import Quote
from domain.accounts.currencies.rates import pair_of
from domain.accounts.posting import internal_account, pair_account
from domain.accounts.transaction import TRANSACTION, Deposit
from domain.kernel import Principal
from domain.money import EXPONENTS, MAX_AMOUNT
from tests.samples.accounts.account import CURRENCIES, OPENING, with_balance
from tests.samples.accounts.quote import ASK, PRICING
from tests.samples.accounts.rate import SET
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import NOW, TODAY, By, MemoryLedger, opening

# Requests

_COMMON = {"EUR", "USD", "GBP", "CHF", "CZK", "JPY", "KWD"}
_others = cycle(sorted(EXPONENTS.keys() - _COMMON))
"""The ledger has one internal account a currency or pair, so each request has a currency of its own."""


def convertible(world: World) -> str:
    """Another currency, into which EUR can be converted."""
    currency = next(_others)
    pair = pair_of("EUR", currency)
    for role in ("revenue", "rounding"):
        world.do("accounts", {"type": role, "currency": currency, "name": role})
    for one in ("EUR", currency):
        world.do("accounts", {"type": "liquidity", "currency": one, "pair": pair, "name": "liquidity"})
    world.do("rates", {"base": "EUR", "counter": currency, "rate": "4.250000", "spread": 25, "source": "ECB"})
    return currency


def converts(world: World) -> Request:
    opening = {**OPENING, "currency": convertible(world), "minimum": "0"}
    target = world.do("accounts", opening)["account"]
    source = with_balance(world, "100.00")
    sum = {"currency": "EUR", "amount": "10.00", "at_least": "4.25", "at_most": "4.25"}
    told = {"reference": "sample-1", "description": "Holiday"}
    return Request({}, {"source": source, "target": target, **sum, **told})


def one(world: World) -> str:
    """A conversion."""
    id: str = world.do("conversions", converts(world).body)["conversion"]
    return id


ROUTES = {"/v1/conversions": converts}

# Rules


def liquidity(currency: str) -> Any:
    return opening("liquidity", account=pair_account("main", "liquidity", "EUR:USD", currency), currency=currency)


def internal(role: Any) -> Any:
    return opening(role, account=internal_account("main", role, "USD"), currency="USD", minimum=None)


A, B = opening(account="acct_a", minimum=None), opening(account="acct_b", currency="USD", minimum=None)
LIQUIDITY = tuple(replace(liquidity(currency), minimum=None) for currency in ("EUR", "USD"))
INTERNAL = (*LIQUIDITY, internal("revenue"), internal("rounding"))
READY = (A, B, *INTERNAL)
CONVERT = ConvertMoney("cnv_1", "txn_1", "acct_a", "acct_b", TODAY, amount=10_000, currency="EUR")
AT_QUOTE = replace(CONVERT, amount=None, currency=None, quote="qte_1")
OTHER = opening(account="acct_c", minimum=None)


def converted(sample: RuleSample) -> RuleSample:
    """The sample of a quote as that of a conversion of the same amount."""

    def command(one: Any) -> Any:
        target = "acct_c" if one.target_currency == "EUR" else "acct_b"
        return replace(CONVERT, target=target, amount=one.amount, currency=one.currency)

    *before, last = sample.kept
    given = (*READY, OTHER, *sample.given)
    return RuleSample(given, command(sample.broken), sample.sentence, (*before, command(last)))


RULES = {
    **{rule: converted(sample) for rule, sample in PRICING.items()},
    "conversion_what": RuleSample(
        given=(*READY, SET, ASK),
        broken=replace(CONVERT, quote="qte_1"),
        sentence="A conversion names a quote, or an amount with its currency; this one names both.",
        kept=(CONVERT, replace(AT_QUOTE, conversion="cnv_2", transaction="txn_2")),
    ),
    "rate_decimals": RuleSample(
        given=(*READY, SET),
        broken=replace(CONVERT, at_least="1.0000000"),
        sentence="The lower bound 1.0000000 has 7 decimals; a rate has at most 6.",
        kept=(replace(CONVERT, at_least="1.000000"),),
    ),
    "rate_range": RuleSample(
        given=(*READY, SET),
        broken=replace(CONVERT, at_most="-1"),
        sentence="The upper bound -1 is out of bounds; a rate is 0.000001 to 999999999.999999.",
        kept=(replace(CONVERT, at_most="999999999.999999"),),
    ),
    "rate_moved": RuleSample(
        given=(*READY, SET),
        broken=replace(CONVERT, at_least="1.086501"),
        sentence="The rate of EUR:USD is 1.086500; the conversion asks for 1.086501 to any.",
        kept=(replace(CONVERT, at_least="1.0865", at_most="1.0865"),),
    ),
    "quote_used": RuleSample(
        given=(*READY, SET, ASK, AT_QUOTE),
        broken=replace(AT_QUOTE, conversion="cnv_2", transaction="txn_2"),
        sentence="Quote qte_1 was used by cnv_1 already.",
        kept=(
            replace(ASK, quote="qte_2"),
            replace(AT_QUOTE, conversion="cnv_2", transaction="txn_2", quote="qte_2"),
        ),
    ),
    "quote_expired": RuleSample(
        given=(*READY, SET, ASK, By(Principal("later", ("operator",)), SET, NOW)),
        broken=By(Principal("later", ("operator",)), AT_QUOTE, NOW + timedelta(seconds=60)),
        sentence=(
            f"Quote qte_1 could be used before {(NOW + timedelta(seconds=60)).isoformat()}; it is "
            f"{(NOW + timedelta(seconds=60)).isoformat()}. Ask for another one."
        ),
        kept=(By(Principal("later", ("operator",)), AT_QUOTE, NOW + timedelta(seconds=60, microseconds=-1)),),
    ),
    "quote_currencies": RuleSample(
        given=(*READY, OTHER, SET, ASK),
        broken=replace(AT_QUOTE, source="acct_b", target="acct_a"),
        sentence="Quote qte_1 is from EUR to USD; the accounts are in USD and EUR.",
        kept=(replace(AT_QUOTE, source="acct_c"),),
    ),
    "liquidity_missing": RuleSample(
        given=(A, B, *INTERNAL[1:], SET),
        broken=CONVERT,
        sentence=(
            "The liquidity account of EUR:USD in EUR is not open; an operator opens it with type 'liquidity' first."
        ),
        kept=(INTERNAL[0], CONVERT),
    ),
    "internal_account_missing": RuleSample(
        given=(A, B, *INTERNAL[:3], SET),
        broken=CONVERT,
        sentence=(
            "The internal account for rounding in USD is not open; an operator opens it with type 'rounding' first."
        ),
        kept=(INTERNAL[3], CONVERT),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Money goes both ways between the accounts of a pair, at quotes and at the rate in force."""
    pair = pair_of(*CURRENCIES)
    for currency in CURRENCIES:
        id = pair_account("main", "liquidity", pair, currency)
        if id not in ledger.states:
            return opening("liquidity", account=id, currency=currency, minimum=None)
    paid, got = chance.sample(CURRENCIES, 2)
    sides = [
        [
            one.profile.id
            for one in ledger.of(Account)
            if one.profile.currency == currency and not one.profile.internal and one.status == "open"
        ]
        for currency in (paid, got)
    ]
    if not all(sides):
        return Deposit(ledger.new_id(TRANSACTION), internal_account("main", "cash", paid), MAX_AMOUNT, paid, TODAY)
    source, target = map(chance.choice, sides)
    ids = ledger.new_id(CONVERSION), ledger.new_id(TRANSACTION)
    day = TODAY - timedelta(days=len(ledger.log) % 4)
    quotes = [one.id for one in ledger.of(Quote) if one.conversion is None and one.price.source_currency == paid]
    if quotes and chance.random() < 0.5:
        return ConvertMoney(*ids, source, target, day, quote=quotes[-1], reference="ref/1")
    description = "for the\tholidays" if chance.random() < 0.3 else None
    return ConvertMoney(
        *ids, source, target, day, amount=chance.randint(1, 900), currency=paid, description=description
    )


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="conversion.made.v1",
        stream="cnv_000000000000000000000000be",
        version=1,
        payload='{"price":{"liquidity_amount":620,"pair":"EUR:JPY","rate":148302791,"rate_number":28,"rate_source":"desk/4","remainder":0,"source_amount":920,"source_currency":"JPY","spread":0,"spread_amount":0,"target_amount":620,"target_currency":"EUR"},"quote":"qte_000000000000000000000000bb","source":"acct_0000000000000000000000007f","target":"acct_000000000000000000000000ag","transaction":"txn_000000000000000000000000bf"}',
        means={
            "source": "acct_0000000000000000000000007f",
            "target": "acct_000000000000000000000000ag",
            "transaction": "txn_000000000000000000000000bf",
            "quote": "qte_000000000000000000000000bb",
            "price": {
                "source_currency": "JPY",
                "target_currency": "EUR",
                "source_amount": 920,
                "target_amount": 620,
                "liquidity_amount": 620,
                "spread_amount": 0,
                "remainder": 0,
                "pair": "EUR:JPY",
                "rate": 148302791,
                "rate_number": 28,
                "rate_source": "desk/4",
                "spread": 0,
            },
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
