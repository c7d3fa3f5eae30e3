"""Exchange rates: one stream a pair of currencies, such as ``rate:EUR:USD``, with the rates in force and those to come.

A rate says how much of the counter currency one unit of the base currency is worth, in millionths. It serves both
directions: from the base currency it multiplies, to the base currency it divides. So a pair has one stream, whichever
of its currencies is converted, and nobody can set a second one the other way round.

The clock of a pair never goes back: a decision on it uses the time of its command, or that of the pair's last event if
that is later. So what follows a new rate in the log uses the new rate, whatever the clocks of the processes say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.codes import RULES as CODE_RULES
from domain.codes import refuse_other_than_code
from domain.kernel import Accepted, Context, Decision, Event, Figure, Refused, States, Unknown, Value, found
from domain.money import EXPONENTS
from domain.permissions import OPERATORS

RATE = "rate:"
"""Beginning of the names of the streams of rates."""
DECIMALS = 6
MILLION = 10**DECIMALS
"""Rates are whole numbers of millionths."""
MOST_RATE = 10**15 - 1
"""The largest rate, in millionths: 999,999,999.999999."""
BASIS_POINTS = 10_000
"""A spread is a number of basis points: hundredths of a per cent."""
MOST_SPREAD = 1_000
MOST_RATES = 100
"""Most rates of a pair that are in force or to come, so that its state fits a snapshot."""

_DECIMAL = re.compile(r"(-?)(\d{1,20})(?:\.(\d{1,20}))?", re.ASCII)
_PAIR = re.compile(r"[A-Z]{3}:[A-Z]{3}", re.ASCII)

# Events


class RateSet(Event, frozen=True):
    """A rate of the pair was set. Its number is the version of this event."""

    base: str
    counter: str
    rate: int  # millionths of the counter currency for one unit of the base currency
    spread: int  # basis points that a conversion keeps
    source: str  # where the rate is from
    valid_from: datetime  # aware, UTC
    valid_until: datetime | None  # the first instant without it; None: until another one begins
    ends: int | None  # the number of the rate without an end that ends when this one begins
    set_at: datetime  # the time of the pair at this event


class RateWithdrawn(Event, frozen=True):
    """A rate was withdrawn. If it was in force it ended; if it was to come it never begins."""

    number: int
    withdrawn_at: datetime  # the time of the pair at this event


RateEvent = RateSet | RateWithdrawn

# State


class Rate(Value, frozen=True):
    """One rate of a pair."""

    number: int  # the version of the event that set it
    rate: int
    spread: int
    source: str
    valid_from: datetime
    valid_until: datetime | None


class Rates(Value, frozen=True):
    """The rates of a pair that were in force at `as_of` or came later. None overlaps another one."""

    version: int
    base: str
    counter: str
    as_of: datetime  # the time of the last event
    rates: tuple[Rate, ...] = ()

    @property
    def pair(self) -> str:
        """The name of the pair."""
        return pair_of(self.base, self.counter)

    def now(self, decided_at: datetime) -> datetime:
        """Return the time at which a command is decided on this pair: never before its last event."""
        return max(decided_at, self.as_of)

    def in_force(self, decided_at: datetime) -> Rate | None:
        """Return the rate that a command uses, or None if no rate is in force."""
        at = self.now(decided_at)
        return next(
            (one for one in self.rates if one.valid_from <= at and (one.valid_until is None or at < one.valid_until)),
            None,
        )


def evolve(state: Rates | None, event: RateEvent) -> Rates:
    """Return the rates after the event, without those that are over. Raises ValueError if none was ever set."""
    version = event.originator_version
    match event:
        case RateSet():
            ended = [
                replace(one, valid_until=event.valid_from) if one.number == event.ends else one
                for one in (state.rates if state else ())
            ]
            kept = [
                one for one in ended if one.valid_until is None or one.valid_until > max(one.valid_from, event.set_at)
            ]
            new = Rate(version, event.rate, event.spread, event.source, event.valid_from, event.valid_until)
            return Rates(version, event.base, event.counter, event.set_at, (*kept, new))
        case RateWithdrawn():
            if state is None:
                raise ValueError(f"{event.originator_id} begins with RateWithdrawn, not with RateSet")
            left = tuple(one for one in state.rates if one.number != event.number)
            return replace(state, version=version, as_of=event.withdrawn_at, rates=left)


def _lasts(rate: Rate, at: datetime) -> bool:
    """Whether the rate is in force at this time or later."""
    return rate.valid_until is None or rate.valid_until > max(rate.valid_from, at)


# Pairs


def pair_of(base: str, counter: str) -> str:
    """Return the name of a pair: ``pair_of("EUR", "USD") == "EUR:USD"``."""
    return f"{base}:{counter}"


def currencies_of(pair: str) -> tuple[str, str] | None:
    """Return the base and the counter currency of a pair, or None if the text names no pair."""
    if _PAIR.fullmatch(pair) is None:
        return None
    base, counter = pair.split(":")
    return (base, counter) if base != counter and {base, counter} <= EXPONENTS.keys() else None


def rate_stream(pair: str) -> str:
    """Return the name of the stream of a pair."""
    return f"{RATE}{pair}"


def rate_streams(one: str, other: str) -> tuple[str, str]:
    """Return the streams of which one has the rates between two currencies: the pair has either order."""
    return rate_stream(pair_of(one, other)), rate_stream(pair_of(other, one))


def rates_between(one: str, other: str, states: States) -> Rates | None:
    """Return the rates between two currencies, or None if none was ever set. `states` has both `rate_streams`."""
    first, second = rate_streams(one, other)
    return found(states, first, Rates) or found(states, second, Rates)


# Commands


class SetRate(Value, frozen=True):
    """Set a rate of a pair. The rate is a decimal text, so that its refusal is recorded like any other."""

    base: str
    counter: str
    rate: str
    spread: int
    source: str
    valid_from: datetime | None = None  # None: from now on
    valid_until: datetime | None = None  # None: until another one begins

    @property
    def streams(self) -> tuple[str, ...]:
        return rate_streams(self.base, self.counter)


class WithdrawRate(Value, frozen=True):
    """End a rate that is in force now, or take back one that is to come."""

    pair: str
    number: int

    @property
    def streams(self) -> tuple[str, ...]:
        return (rate_stream(self.pair),)


# Rules

FORM_RULES: dict[str, str] = {
    "rate_decimals": "The {field} {rate} has {decimals} decimals; a rate has at most {most}.",
    "rate_range": "The {field} {rate} is out of bounds; a rate is {least} to {most}.",
}
"""The rules of every rate that a client sends."""
PAIR_RULES: dict[str, str] = {
    "pair_same_currency": "A conversion is between two currencies; both are {currency}.",
}
RULES: dict[str, str] = {
    **FORM_RULES,
    **PAIR_RULES,
    "pair_reversed": "The pair of {base} and {counter} has its rates as {pair}; set the rate of {pair} instead.",
    "rate_spread": "The spread is {least} to {most} basis points; this one is {spread}.",
    "rate_in_past": "The rate would be valid from {valid_from}, which is before now, {now}.",
    "rate_period": "The rate would end at {valid_until}, which is not after it begins, {valid_from}.",
    "rate_overlaps": (
        "The rate would be valid from {valid_from} until {valid_until}; rate {number} of {pair} is valid from "
        "{other_from} until {other_until}. Withdraw that one first."
    ),
    "rate_count": "{pair} has {count} rates in force or to come; the most is {most}. Withdraw some first.",
    "rate_over": "Rate {number} of {pair} is neither in force nor to come.",
}

_OPEN = "another one begins"
"""The end of a rate without an end, in sentences."""

# Decisions


def set_rate(command: SetRate, states: States, context: Context) -> Decision:
    base, counter, pair = command.base, command.counter, pair_of(command.base, command.counter)
    if base == counter:
        return Refused("pair_same_currency", {"currency": base})
    here, there = rate_streams(base, counter)
    before, reverse = found(states, here, Rates), found(states, there, Rates)
    if reverse is not None:
        return Refused("pair_reversed", {"base": base, "counter": counter, "pair": reverse.pair})
    rate = parse_rate(command.rate)
    if isinstance(rate, Refused):
        return rate
    now = context.decided_at if before is None else before.now(context.decided_at)
    valid_from, others = command.valid_from or now, before.rates if before else ()
    event = RateSet(
        originator_id=here,
        originator_version=(before.version if before else 0) + 1,
        base=base,
        counter=counter,
        rate=rate,
        spread=command.spread,
        source=command.source,
        valid_from=valid_from,
        valid_until=command.valid_until or _next_begin(others, valid_from),
        ends=_open_before(others, valid_from),
        set_at=now,
    )
    refusal = refuse_other_than_code("source", command.source) or refuse_rate(before, event)
    if refusal is not None:
        return refusal
    result: dict[str, Figure] = {
        "pair": pair,
        "number": event.originator_version,
        "rate": show_rate(rate),
        "spread": event.spread,
        "source": event.source,
        "valid_from": event.valid_from.isoformat(),
        "valid_until": _shown(event.valid_until),
    }
    return Accepted((event,), result)


def withdraw_rate(command: WithdrawRate, states: States, context: Context) -> Decision:
    stream = rate_stream(command.pair)
    before = found(states, stream, Rates)
    if before is None:
        return Unknown("rate", command.pair)
    event = RateWithdrawn(stream, before.version + 1, command.number, before.now(context.decided_at))
    refusal = refuse_withdrawal(before, event)
    if refusal is not None:
        return refusal
    return Accepted((event,), {"pair": command.pair, "number": command.number})


def _next_begin(rates: Sequence[Rate], valid_from: datetime) -> datetime | None:
    """Return when the first of the rates begins after this time, or None: a rate without an end lasts until then."""
    return min((one.valid_from for one in rates if one.valid_from > valid_from), default=None)


def _open_before(rates: Sequence[Rate], valid_from: datetime) -> int | None:
    """Return the number of the rate without an end that began by this time, or None. There is at most one."""
    open = (one.number for one in rates if one.valid_until is None and one.valid_from <= valid_from)
    return next(open, None)


def refuse_rate(before: Rates | None, event: RateSet) -> Refused | None:
    """Return the refusal of a rate by its figures or by the other rates of the pair, or None."""
    now, valid_from, valid_until = event.set_at, event.valid_from, event.valid_until
    if not 0 < event.rate <= MOST_RATE:
        return _out_of_range("rate", show_rate(event.rate))
    if not 0 <= event.spread <= MOST_SPREAD:
        return Refused("rate_spread", {"least": 0, "most": MOST_SPREAD, "spread": event.spread})
    if valid_from < now:
        return Refused("rate_in_past", {"valid_from": valid_from.isoformat(), "now": now.isoformat()})
    if valid_until is not None and valid_until <= valid_from:
        figures = {"valid_from": valid_from.isoformat(), "valid_until": valid_until.isoformat()}
        return Refused("rate_period", figures)
    if before is None:
        return None
    for one in before.rates:
        if one.number != event.ends and _overlap(one, valid_from, valid_until):
            return Refused(
                "rate_overlaps",
                {
                    "pair": before.pair,
                    "number": one.number,
                    "valid_from": valid_from.isoformat(),
                    "valid_until": _shown(valid_until) or _OPEN,
                    "other_from": one.valid_from.isoformat(),
                    "other_until": _shown(one.valid_until) or _OPEN,
                },
            )
    left = [one for one in evolve(before, event).rates if one.number != event.originator_version]
    if len(left) >= MOST_RATES:
        return Refused("rate_count", {"pair": before.pair, "count": len(left), "most": MOST_RATES})
    return None


def _overlap(one: Rate, valid_from: datetime, valid_until: datetime | None) -> bool:
    begins_before_the_end = valid_until is None or one.valid_from < valid_until
    return begins_before_the_end and (one.valid_until is None or valid_from < one.valid_until)


def refuse_withdrawal(before: Rates, event: RateWithdrawn) -> Refused | None:
    """Return the refusal to withdraw a rate that is over or never was, or None."""
    rate = next((one for one in before.rates if one.number == event.number), None)
    if rate is None or (rate.valid_until is not None and rate.valid_until <= event.withdrawn_at):
        return Refused("rate_over", {"pair": before.pair, "number": event.number})
    return None


# Rates as text


def parse_rate(text: str, field: str = "rate") -> int | Refused:
    """Return the millionths of a decimal text such as ``1.0865``, or why it is no rate.

    Raises ValueError for what is no decimal number. `field` names it in the sentence.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a decimal number such as '1.0865'.")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > DECIMALS:
        return Refused("rate_decimals", {"field": field, "rate": text, "decimals": len(fraction), "most": DECIMALS})
    millionths = int(f"{sign}{whole}{fraction.ljust(DECIMALS, '0')}")
    return millionths if 0 < millionths <= MOST_RATE else _out_of_range(field, text)


def _out_of_range(field: str, rate: str) -> Refused:
    figures = {"field": field, "rate": rate, "least": show_rate(1), "most": show_rate(MOST_RATE)}
    return Refused("rate_range", figures)


def show_rate(millionths: int) -> str:
    """Return the decimal text of a rate: ``show_rate(1086500) == "1.086500"``."""
    whole, fraction = divmod(abs(millionths), MILLION)
    return f"{'-' if millionths < 0 else ''}{whole}.{fraction:0{DECIMALS}d}"


def _shown(end: datetime | None) -> str | None:
    return None if end is None else end.isoformat()


# What stored events are held to


def check(before: Rates | None, events: Sequence[RateEvent], decided: Decided) -> Iterator[Broken]:
    """Find a rate that a decision would have refused, one on another pair's stream, and one at another time."""
    rates = before
    for event in events:
        now = decided.decided_at if rates is None else rates.now(decided.decided_at)
        match event:
            case RateSet():
                yield from _wrongly_set(rates, event, now)
            case RateWithdrawn() if rates is not None:
                refusal = refuse_withdrawal(rates, event)
                if refusal is not None:
                    yield refused(event, refusal, RULES)
                if event.withdrawn_at != now:
                    yield Broken(event, f"a rate is withdrawn at {event.withdrawn_at}, and the pair was at {now}")
        rates = evolve(rates, event)


def _wrongly_set(before: Rates | None, event: RateSet, now: datetime) -> Iterator[Broken]:
    pair = pair_of(event.base, event.counter)
    if currencies_of(pair) is None or event.originator_id != rate_stream(pair):
        yield Broken(event, f"{event.originator_id} has a rate of {pair!r}")
        return
    if event.set_at != now:
        yield Broken(event, f"a rate of {pair} is set at {event.set_at}, and the pair was at {now}")
    if event.ends != (ended := _open_before(before.rates if before else (), event.valid_from)):
        yield Broken(event, f"a rate of {pair} ends rate {event.ends}; the one without an end before it is {ended}")
    elif (refusal := refuse_rate(before, event)) is not None:
        yield refused(event, refusal, RULES)


AGGREGATE = Aggregate(
    name="rate",
    prefix=RATE,
    events=(
        EventType("rate.set.v1", RateSet, codes=("source",)),
        EventType("rate.withdrawn.v1", RateWithdrawn),
    ),
    evolve=evolve,
    decisions={SetRate: set_rate, WithdrawRate: withdraw_rate},
    rules={**RULES, **CODE_RULES},
    may={SetRate: OPERATORS, WithdrawRate: OPERATORS},
    snapshot=(Rates, 1),
    check=check,
)
