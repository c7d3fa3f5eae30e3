"""Samples of quotes."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.currencies.quotes import QUOTE, QuoteConversion
from domain.codes import MOST_CODE
from domain.money import MAX_AMOUNT
from tests.samples.accounts.account import CURRENCIES
from tests.samples.accounts.rate import RATE, SET
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import MemoryLedger

# Requests

QUOTED = {
    "source_currency": "GBP",
    "target_currency": "CHF",
    "currency": "GBP",
    "amount": "100.00",
    "seconds": 60,
    "person": "owner-1",
}


def quotes(world: World) -> Request:
    world.do("rates", RATE)
    return Request({}, QUOTED)


def one(world: World) -> str:
    """A quote."""
    id: str = world.do("quotes", quotes(world).body)["quote"]
    return id


ROUTES = {"/v1/quotes": quotes}

# Rules

ASK = QuoteConversion("qte_1", "EUR", "USD", "EUR", 10_000, 60)
"""A quote of 100.00 EUR in USD, for a minute."""
LEAST = replace(ASK, currency="USD", amount=MAX_AMOUNT)

PRICING = {
    "pair_same_currency": RuleSample(
        given=(SET,),
        broken=replace(ASK, target_currency="EUR"),
        sentence="A conversion is between two currencies; both are EUR.",
        kept=(ASK,),
    ),
    "rate_missing": RuleSample(
        given=(),
        broken=ASK,
        sentence="There is no rate in force between EUR and USD.",
        kept=(SET, ASK),
    ),
    "amount_currency": RuleSample(
        given=(SET,),
        broken=replace(ASK, currency="JPY"),
        sentence="The amount is in JPY; it is in EUR, which is paid, or in USD, which is got.",
        kept=(replace(ASK, currency="USD"),),
    ),
    "conversion_too_small": RuleSample(
        given=(replace(SET, rate="0.5"),),
        broken=replace(ASK, amount=2),
        sentence="0.02 EUR come to less than 0.01 USD, the smallest amount.",
        kept=(replace(ASK, amount=3),),
    ),
    "conversion_too_large": RuleSample(
        given=(SET,),
        broken=replace(ASK, amount=MAX_AMOUNT),
        sentence="9999999999999.99 EUR are worth more than 9999999999999.99 USD, the largest amount.",
        kept=(replace(ASK, amount=920_386_562_356_189),),
    ),
}

RULES = {
    **PRICING,
    "quote_exists": RuleSample(
        given=(SET, ASK),
        broken=ASK,
        sentence="Quote qte_1 exists already.",
        kept=(replace(ASK, quote="qte_2"),),
    ),
    "quote_seconds": RuleSample(
        given=(SET,),
        broken=replace(ASK, seconds=3_601),
        sentence="A quote is for 1 to 3600 seconds; this one is for 3601.",
        kept=(replace(ASK, seconds=3_600), replace(ASK, quote="qte_2", seconds=1)),
    ),
    "not_a_code": no_code(
        "person", replace(ASK, person="p" * (MOST_CODE + 1)), replace(ASK, person="p" * MOST_CODE), given=(SET,)
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Quotes in both directions, of what is paid and of what is wanted."""
    source, target = chance.sample(CURRENCIES, 2)
    return QuoteConversion(
        quote=ledger.new_id(QUOTE),
        source_currency=source,
        target_currency=target,
        currency=chance.choice(CURRENCIES),
        amount=chance.randint(1, 900),
        seconds=chance.choice((1, 60, 3_600)),
        person=chance.choice((None, "owner-1")),
    )


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="quote.given.v1",
        stream="qte_00000000000000000000000019",
        version=1,
        payload='{"expires_at":"2026-11-21T12:00:01Z","person":"owner-1","price":{"liquidity_amount":358,"pair":"EUR:JPY","rate":168481929,"rate_number":2,"rate_source":"desk/4","remainder":0,"source_amount":604,"source_currency":"JPY","spread":25,"spread_amount":1,"target_amount":357,"target_currency":"EUR"}}',
        means={
            "person": "owner-1",
            "price": {
                "source_currency": "JPY",
                "target_currency": "EUR",
                "source_amount": 604,
                "target_amount": 357,
                "liquidity_amount": 358,
                "spread_amount": 1,
                "remainder": 0,
                "pair": "EUR:JPY",
                "rate": 168481929,
                "rate_number": 2,
                "rate_source": "desk/4",
                "spread": 25,
            },
            "expires_at": "2026-11-21T12:00:01Z",
        },
    ),
    StoredEvent(
        type="quote.used.v1",
        stream="qte_000000000000000000000000bb",
        version=2,
        payload='{"conversion":"cnv_000000000000000000000000be","price":{"liquidity_amount":620,"pair":"EUR:JPY","rate":148302791,"rate_number":28,"rate_source":"desk/4","remainder":0,"source_amount":920,"source_currency":"JPY","spread":0,"spread_amount":0,"target_amount":620,"target_currency":"EUR"}}',
        means={
            "conversion": "cnv_000000000000000000000000be",
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
