"""The aggregate quote: it locks the price of a conversion for a while, and is used once.

A quote expires by the time of the decision that would use it, without an event. It may outlive its rate: that is what
it is for. It reserves nothing: whether the money is there is decided when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from domain.accounts.account.owners import is_customer
from domain.accounts.currencies.conversion_events import ConversionMade
from domain.accounts.currencies.pricing import RULES as PRICING_RULES
from domain.accounts.currencies.pricing import Price, priced, rate_between, shown_price, wrong_price
from domain.accounts.currencies.rates import rate_streams
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.codes import RULES as CODE_RULES
from domain.codes import refuse_other_than_code
from domain.kernel import Accepted, Context, Decision, Event, Figure, Forbidden, Refused, States, Unknown, Value
from domain.permissions import EVERYONE

QUOTE = "qte"
"""Prefix of the ids of quotes."""
LEAST_SECONDS, MOST_SECONDS = 1, 3_600
"""How long a quote can be used."""

# Events


class QuoteGiven(Event, frozen=True):
    """A price was locked. It is the first event of its stream."""

    person: str | None  # the person for whom it is; None: for programs and staff
    price: Price
    expires_at: datetime  # aware, UTC: the first instant at which it cannot be used


class QuoteUsed(Event, frozen=True):
    """A conversion used the quote, in the same unit. No other one can."""

    conversion: str
    price: Price


QuoteEvent = QuoteGiven | QuoteUsed

# State


class Quote(Value, frozen=True):
    """A quote at a version of its stream."""

    version: int
    id: str
    person: str | None
    price: Price
    expires_at: datetime
    conversion: str | None = None  # that used it

    def refuse_use(self, now: datetime) -> Refused | None:
        """Return why no conversion can use the quote at this time, or None."""
        if self.conversion is not None:
            return Refused("quote_used", {"quote": self.id, "conversion": self.conversion})
        if now >= self.expires_at:
            figures = {"quote": self.id, "expires_at": self.expires_at.isoformat(), "now": now.isoformat()}
            return Refused("quote_expired", dict(figures))
        return None


def evolve(state: Quote | None, event: QuoteEvent) -> Quote:
    """Return the quote after the event. Raises ValueError if the stream does not begin with `QuoteGiven`."""
    version = event.originator_version
    if isinstance(event, QuoteGiven):
        return Quote(version, event.originator_id, event.person, event.price, event.expires_at)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with QuoteUsed, not with QuoteGiven")
    return replace(state, version=version, conversion=event.conversion)


# Commands


class QuoteConversion(Value, frozen=True):
    """Lock the price of a conversion. The amount is in the currency that is paid, or in the one that is wanted."""

    quote: str
    source_currency: str
    target_currency: str
    currency: str
    amount: int
    seconds: int
    person: str | None = None  # None: the customer who asks, or nobody

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.quote, *rate_streams(self.source_currency, self.target_currency))


# Rules

USE_RULES: dict[str, str] = {
    "quote_used": "Quote {quote} was used by {conversion} already.",
    "quote_expired": "Quote {quote} could be used before {expires_at}; it is {now}. Ask for another one.",
}
"""The rules of using a quote."""
RULES: dict[str, str] = {
    **PRICING_RULES,
    "quote_exists": "Quote {quote} exists already.",
    "quote_seconds": "A quote is for {least} to {most} seconds; this one is for {seconds}.",
}

# Decisions


def quote_conversion(command: QuoteConversion, states: States, context: Context) -> Decision:
    person = command.person
    if is_customer(context):
        if person not in (None, context.principal.person):
            return Forbidden(f"A customer asks for quotes of their own; {context.principal.id} asks for another's.")
        person = context.principal.person
    if states[command.quote] is not None:
        return Refused("quote_exists", {"quote": command.quote})
    refusal = refuse_other_than_code("person", person) or _refuse_seconds(command.seconds)
    if refusal is not None:
        return refusal
    source, target = command.source_currency, command.target_currency
    found = rate_between(source, target, states, context.decided_at)
    if isinstance(found, Refused):
        return found
    rates, rate = found
    price = priced(rates.pair, rate, source, target, command.amount, command.currency)
    if isinstance(price, Refused):
        return price
    expires_at = context.decided_at + timedelta(seconds=command.seconds)
    event = QuoteGiven(command.quote, 1, person, price, expires_at)
    result: dict[str, Figure] = {"quote": command.quote, "expires_at": expires_at.isoformat(), **shown_price(price)}
    return Accepted((event,), result)


def _refuse_seconds(seconds: float) -> Refused | None:
    if LEAST_SECONDS <= seconds <= MOST_SECONDS:
        return None
    return Refused("quote_seconds", {"least": LEAST_SECONDS, "most": MOST_SECONDS, "seconds": int(seconds)})


def refuse_stranger(quote: Quote, context: Context) -> Unknown | None:
    """Return why a customer may not use the quote, or None. Nothing tells them that another one's quote exists."""
    if is_customer(context) and (quote.person is None or quote.person != context.principal.person):
        return Unknown("quote", quote.id)
    return None


# What stored events are held to


def check(before: Quote | None, events: Sequence[QuoteEvent], decided: Decided) -> Iterator[Broken]:
    """Find a quote with wrong figures or for too long, and one that is used twice, too late, or for another price."""
    quote = before
    for event in events:
        if isinstance(event, QuoteGiven):
            if quote is not None:
                yield Broken(event, f"{quote.id} is given again")
            if (wrong := wrong_price(event.price)) is not None:
                yield Broken(event, wrong)
            seconds = (event.expires_at - decided.decided_at).total_seconds()
            if (refusal := _refuse_seconds(seconds)) is not None:
                yield refused(event, refusal, RULES)
        elif quote is not None:
            if (refusal := quote.refuse_use(decided.decided_at)) is not None:
                yield refused(event, refusal, USE_RULES)
            if event.price != quote.price:
                yield Broken(event, f"{quote.id} is used for another price than it was given for")
        quote = evolve(quote, event)


def _is_used(event: QuoteUsed, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The conversion that used it is in the unit."""
    made = (one for one in unit.get(event.conversion, ()) if isinstance(one, ConversionMade))
    if any((one.quote, one.price) == (event.originator_id, event.price) for one in made):
        return None
    return f"{event.originator_id} is used by {event.conversion}, which its unit does not make at that price"


AGGREGATE = Aggregate(
    name="quote",
    prefix=f"{QUOTE}_",
    events=(
        EventType("quote.given.v1", QuoteGiven, codes=("person",)),
        EventType("quote.used.v1", QuoteUsed),
    ),
    evolve=evolve,
    decisions={QuoteConversion: quote_conversion},
    rules={**RULES, **CODE_RULES},
    may={QuoteConversion: EVERYONE},
    check=check,
    unit_rules={QuoteUsed: _is_used},
)
