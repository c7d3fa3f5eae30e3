"""Samples of fee schedules."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.allocation import MOST_PERCENTAGE, MOST_TIERS, PER_CENT, Fee, Tier
from domain.accounts.fee_schedule import MOST_NAME, DefineFeeSchedule, FeeSchedule, RetireFeeSchedule
from domain.money import MAX_AMOUNT
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import MemoryLedger

# Requests

_numbers = count(1)


def defined() -> dict[str, Any]:
    """The body of a new schedule."""
    return {
        "name": f"sample-{next(_numbers)}",
        "currency": "EUR",
        "fixed": "0.25",
        "tiers": [{"up_to": "1000.00", "percentage": "1.4"}, {"percentage": "0.9"}],
        "minimum": "0.50",
        "maximum": "25.00",
    }


def schedule(world: World) -> str:
    """The name of a new schedule."""
    name: str = world.do("fee-schedules", defined())["fee_schedule"]
    return name


def one(world: World) -> str:
    """A schedule."""
    return f"fee-schedule:{schedule(world)}"


ROUTES = {
    "/v1/fee-schedules": lambda world: Request({}, defined()),
    "/v1/fee-schedules/{schedule}/retire": lambda world: Request({"schedule": schedule(world)}, {}),
}

# Rules

PLAIN = Fee(tiers=(Tier(None, 2_500_000),))


def define(fee: Fee = PLAIN, name: str = "card") -> DefineFeeSchedule:
    return DefineFeeSchedule(name, "EUR", fee)


def tiers(*ends: int | None) -> Fee:
    return Fee(tiers=tuple(Tier(end, PER_CENT) for end in ends))


RULES = {
    "name_form": RuleSample(
        given=(),
        broken=define(name="x" * (MOST_NAME + 1)),
        sentence=(
            "The name of the fee schedule is not one: a name has 1 to 60 characters, small letters and digits in words "
            "that single hyphens join, such as 'card-fee'."
        ),
        kept=(define(name="x" * MOST_NAME),),
    ),
    "fee_empty": RuleSample(
        given=(),
        broken=define(tiers(*range(1, MOST_TIERS + 1), None)),
        sentence="A fee has a fixed amount, or one to 20 tiers, or both; this one has 21 tiers and no amount.",
        kept=(define(tiers(*range(1, MOST_TIERS), None)),),
    ),
    "fee_tiers": RuleSample(
        given=(),
        broken=define(tiers(100, 100, None)),
        sentence=(
            "The tiers of a fee end at rising amounts, and only the last one has no end; tier 2 of 3 breaks that."
        ),
        kept=(define(tiers(100, 101, None)),),
    ),
    "fee_percentage": RuleSample(
        given=(),
        broken=define(Fee(tiers=(Tier(None, MOST_PERCENTAGE + 1),))),
        sentence="A percentage is from 0 to 1000; tier 1 has 1000.000001.",
        kept=(define(Fee(tiers=(Tier(None, MOST_PERCENTAGE),))),),
    ),
    "fee_amount": RuleSample(
        given=(),
        broken=define(Fee(fixed=MAX_AMOUNT + 1)),
        sentence="The fixed amount of a fee is from 0.00 to 9999999999999.99 EUR; this one is 10000000000000.00.",
        kept=(define(Fee(fixed=MAX_AMOUNT)),),
    ),
    "fee_bounds": RuleSample(
        given=(),
        broken=define(replace(PLAIN, minimum=2, maximum=1)),
        sentence="A fee of at least 0.02 EUR cannot be at most 0.01.",
        kept=(define(replace(PLAIN, minimum=2, maximum=2)),),
    ),
    "fee_account": RuleSample(
        given=(),
        broken=replace(define(), role=None),
        sentence="A fee goes to an account, or to the internal account for a role: give one of both.",
        kept=(define(),),
    ),
    "fee_schedule_retired": RuleSample(
        given=(define(), RetireFeeSchedule("card")),
        broken=RetireFeeSchedule("card"),
        sentence="Fee schedule card is retired; define it again to charge by it.",
        kept=(define(), RetireFeeSchedule("card")),
    ),
    "fee_schedule_unchanged": RuleSample(
        given=(define(),),
        broken=define(),
        sentence="Version 1 of fee schedule card already is what this would define.",
        kept=(define(Fee(fixed=1)),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """A few schedules are defined, revised and sometimes retired."""
    name, currency = chance.choice((("card", "EUR"), ("wire", "EUR"), ("paper", "JPY")))
    known = [one for one in ledger.of(FeeSchedule) if one.name == name and one.active]
    if known and chance.random() < 0.2:
        return RetireFeeSchedule(name)
    split = Tier(chance.randint(1, 10_000), chance.randint(0, 5 * PER_CENT))
    fee = Fee(chance.randint(0, 50), (split, Tier(None, chance.randint(0, PER_CENT))), None, chance.choice((None, 900)))
    return DefineFeeSchedule(name, currency, fee)


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="fee_schedule.defined.v1",
        stream="fee-schedule:wire",
        version=1,
        payload='{"account":null,"currency":"EUR","fee":{"fixed":14,"maximum":null,"minimum":null,"tiers":[{"percentage":4637722,"up_to":8124},{"percentage":362493,"up_to":null}]},"name":"wire","number":1,"role":"fees"}',
        means={
            "name": "wire",
            "number": 1,
            "currency": "EUR",
            "fee": {
                "fixed": 14,
                "tiers": [{"up_to": 8124, "percentage": 4637722}, {"up_to": None, "percentage": 362493}],
                "minimum": None,
                "maximum": None,
            },
            "account": None,
            "role": "fees",
        },
    ),
    StoredEvent(
        type="fee_schedule.revised.v1",
        stream="fee-schedule:wire",
        version=2,
        payload='{"account":null,"currency":"EUR","fee":{"fixed":35,"maximum":null,"minimum":null,"tiers":[{"percentage":3491170,"up_to":353},{"percentage":966984,"up_to":null}]},"name":"wire","number":2,"role":"fees"}',
        means={
            "name": "wire",
            "number": 2,
            "currency": "EUR",
            "fee": {
                "fixed": 35,
                "tiers": [{"up_to": 353, "percentage": 3491170}, {"up_to": None, "percentage": 966984}],
                "minimum": None,
                "maximum": None,
            },
            "account": None,
            "role": "fees",
        },
    ),
    StoredEvent(
        type="fee_schedule.retired.v1",
        stream="fee-schedule:wire",
        version=4,
        payload='{"name":"wire"}',
        means={"name": "wire"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
