"""Samples of exchange rates."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.currencies.rates import MOST_RATES, Rates, SetRate, WithdrawRate, rate_stream
from domain.codes import MOST_CODE
from tests.samples.accounts.account import CURRENCIES
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import NOW, MemoryLedger

# Requests

PAIR = "GBP:CHF"
RATE = {"base": "GBP", "counter": "CHF", "rate": "1.126400", "spread": 25, "source": "ECB"}
"""A rate from now on. It ends the one before, so it can be set again and again."""


def one(world: World) -> str:
    """The stream of a pair that has a rate."""
    world.do("rates", RATE)
    return rate_stream(PAIR)


ROUTES = {
    "/v1/rates": lambda world: Request({}, RATE),
    "/v1/rates/{pair}/withdraw": lambda world: Request({"pair": PAIR}, {"number": world.do("rates", RATE)["number"]}),
}

# Rules

SECOND = timedelta(seconds=1)
SET = SetRate("EUR", "USD", "1.0865", 25, "ECB")
UNTIL = replace(SET, valid_until=NOW + 5 * SECOND)
"""From now on for five seconds."""


def coming(number: int) -> SetRate:
    """A rate of a second in the future."""
    begin = NOW + (2 * number + 10) * SECOND
    return replace(SET, valid_from=begin, valid_until=begin + SECOND)


def at(seconds: int) -> str:
    return (NOW + seconds * SECOND).isoformat()


RULES = {
    "rate_decimals": RuleSample(
        given=(),
        broken=replace(SET, rate="1.0865001"),
        sentence="The rate 1.0865001 has 7 decimals; a rate has at most 6.",
        kept=(replace(SET, rate="1.086500"),),
    ),
    "rate_range": RuleSample(
        given=(),
        broken=replace(SET, rate="1000000000"),
        sentence="The rate 1000000000 is out of bounds; a rate is 0.000001 to 999999999.999999.",
        kept=(replace(SET, rate="0.000001"), replace(SET, rate="999999999.999999")),
    ),
    "pair_same_currency": RuleSample(
        given=(),
        broken=replace(SET, counter="EUR"),
        sentence="A conversion is between two currencies; both are EUR.",
        kept=(SET,),
    ),
    "pair_reversed": RuleSample(
        given=(SET,),
        broken=replace(SET, base="USD", counter="EUR"),
        sentence="The pair of USD and EUR has its rates as EUR:USD; set the rate of EUR:USD instead.",
        kept=(SET,),
    ),
    "rate_spread": RuleSample(
        given=(),
        broken=replace(SET, spread=1_001),
        sentence="The spread is 0 to 1000 basis points; this one is 1001.",
        kept=(replace(SET, spread=0), replace(SET, spread=1_000)),
    ),
    "rate_in_past": RuleSample(
        given=(),
        broken=replace(SET, valid_from=NOW - timedelta(microseconds=1)),
        sentence=(
            f"The rate would be valid from {(NOW - timedelta(microseconds=1)).isoformat()}, which is before now, "
            f"{NOW.isoformat()}."
        ),
        kept=(replace(SET, valid_from=NOW),),
    ),
    "rate_period": RuleSample(
        given=(),
        broken=replace(SET, valid_from=NOW + SECOND, valid_until=NOW + SECOND),
        sentence=f"The rate would end at {at(1)}, which is not after it begins, {at(1)}.",
        kept=(replace(SET, valid_from=NOW + SECOND, valid_until=NOW + SECOND + timedelta(microseconds=1)),),
    ),
    "rate_overlaps": RuleSample(
        given=(UNTIL,),
        broken=replace(SET, valid_from=NOW + 5 * SECOND - timedelta(microseconds=1)),
        sentence=(
            f"The rate would be valid from {(NOW + 5 * SECOND - timedelta(microseconds=1)).isoformat()} until another one "
            f"begins; rate 1 of EUR:USD is valid from {at(0)} until {at(5)}. Withdraw that one first."
        ),
        kept=(replace(SET, valid_from=NOW + 5 * SECOND),),
    ),
    "rate_count": RuleSample(
        given=tuple(coming(number) for number in range(MOST_RATES)),
        broken=SET,
        sentence="EUR:USD has 100 rates in force or to come; the most is 100. Withdraw some first.",
        kept=(WithdrawRate("EUR:USD", 7), SET),
    ),
    "rate_over": RuleSample(
        given=(SET, WithdrawRate("EUR:USD", 1)),
        broken=WithdrawRate("EUR:USD", 1),
        sentence="Rate 1 of EUR:USD is neither in force nor to come.",
        kept=(SET, WithdrawRate("EUR:USD", 3)),
    ),
    "not_a_code": no_code("source", replace(SET, source="s" * (MOST_CODE + 1)), replace(SET, source="s" * MOST_CODE)),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """The rate of one pair changes, now or later, and is sometimes withdrawn."""
    base, counter = CURRENCIES
    rates = [one for pair in ledger.of(Rates) for one in pair.rates]
    if rates and chance.random() < 0.3:
        return WithdrawRate(f"{base}:{counter}", chance.choice(rates).number)
    rate, spread = f"{chance.randint(120, 170)}.{chance.randint(0, 999_999):06d}", chance.choice((0, 25, 150))
    begin = ledger.context.decided_at + timedelta(seconds=chance.randint(1, 9)) if chance.random() < 0.2 else None
    until = None if begin is None or chance.random() < 0.5 else begin + timedelta(seconds=5)
    return SetRate(base, counter, rate, spread, "desk/4", begin, until)


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="rate.set.v1",
        stream="rate:EUR:JPY",
        version=1,
        payload='{"base":"EUR","counter":"JPY","ends":null,"rate":168459158,"set_at":"2026-11-21T12:00:00Z","source":"desk/4","spread":25,"valid_from":"2026-11-21T12:00:00Z","valid_until":null}',
        means={
            "base": "EUR",
            "counter": "JPY",
            "rate": 168459158,
            "spread": 25,
            "source": "desk/4",
            "valid_from": "2026-11-21T12:00:00Z",
            "valid_until": None,
            "ends": None,
            "set_at": "2026-11-21T12:00:00Z",
        },
    ),
    StoredEvent(
        type="rate.withdrawn.v1",
        stream="rate:EUR:JPY",
        version=4,
        payload='{"number":2,"withdrawn_at":"2026-11-21T12:00:00Z"}',
        means={"number": 2, "withdrawn_at": "2026-11-21T12:00:00Z"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
