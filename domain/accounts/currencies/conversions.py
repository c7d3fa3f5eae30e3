"""The aggregate conversion: money of one currency becomes money of another one, in one transaction.

The source account pays the liquidity account of the pair in its currency. The liquidity account in the other currency
pays the target account; the spread goes to the revenue of the ledger, and what rounding leaves to its rounding account,
both in the target currency.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from msgspec import field
from msgspec.structs import replace

from domain.accounts.account.owners import for_customer, is_customer, knows, refuse_debit
from domain.accounts.account.state import Account
from domain.accounts.currencies.conversion_events import ConversionMade
from domain.accounts.currencies.pricing import RULES as PRICING_RULES
from domain.accounts.currencies.pricing import (
    Price,
    accounts_of,
    entries_of,
    priced,
    rate_between,
    shown_price,
    wrong_price,
)
from domain.accounts.currencies.quotes import USE_RULES, Quote, QuoteUsed, refuse_stranger
from domain.accounts.currencies.rates import FORM_RULES, parse_rate, rate_streams, show_rate
from domain.accounts.posting import RULES as POSTING_RULES
from domain.accounts.posting import (
    Post,
    Transaction,
    TransactionPosted,
    post,
    posting_decision,
    posting_streams,
)
from domain.accounts.transaction.described import transaction_of
from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.codes import Metadata
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    NeedsStreams,
    Personal,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.permissions import EVERYONE

CONVERSION = "cnv"
"""Prefix of the ids of conversions."""

# State


class Conversion(Value, frozen=True):
    """The state of the stream of a conversion, which has exactly one event."""

    version: int
    event: ConversionMade


def evolve(state: Conversion | None, event: ConversionMade) -> Conversion:
    """Return the state after the only event of the stream."""
    return Conversion(event.originator_version, event)


# Commands


class ConvertMoney(Value, frozen=True):
    """Convert money between two accounts: at a quote, or an amount at the rate that is in force.

    The amount is in the currency of the source account, or in that of the target account: the least that it shall get.
    """

    conversion: str
    transaction: str
    source: str
    target: str
    value_date: date
    quote: str | None = None
    amount: int | None = None
    currency: str | None = None  # of the amount
    at_least: str | None = None  # the rate of the pair that is accepted, as decimal text
    at_most: str | None = None
    reference: str | None = None
    description: Personal | None = None
    metadata: Metadata = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, ...]:
        quote = () if self.quote is None else (self.quote,)
        return posting_streams(self.source, self.target, *quote)


# Rules

RULES: dict[str, str] = {
    **PRICING_RULES,
    **FORM_RULES,
    **USE_RULES,
    "conversion_what": "A conversion names a quote, or an amount with its currency; this one names {what}.",
    "quote_currencies": (
        "Quote {quote} is from {source} to {target}; the accounts are in {source_currency} and {target_currency}."
    ),
    "rate_moved": "The rate of {pair} is {rate}; the conversion asks for {at_least} to {at_most}.",
    "liquidity_missing": (
        "The liquidity account of {pair} in {currency} is not open; an operator opens it with type 'liquidity' first."
    ),
    "internal_account_missing": POSTING_RULES["internal_account_missing"],
}

# Decisions


@posting_decision
def convert(command: ConvertMoney, states: States, context: Context) -> Decision:
    if (command.quote is None) is (command.amount is None):
        what = "neither" if command.quote is None else "both"
        return Refused("conversion_what", {"what": what})
    sides = _sides(command, states, context)
    if not isinstance(sides, tuple):
        return sides
    source, target = (side.profile.currency for side in sides)
    price = price_of(command.quote, command.amount, command.currency, source, target, states, context)
    if not isinstance(price, Price):
        return price
    refusal = _refuse_rate(command, price)
    if refusal is not None:
        return refusal
    if not is_customer(context):
        return _converted(command, price, states, context)
    no = refuse_debit(sides[0], command.source, price.source_amount, source, context)
    return no or for_customer(_converted(command, price, states, context), states, context)


def _sides(command: ConvertMoney, states: States, context: Context) -> tuple[Account, Account] | Unknown:
    """Return both accounts, or that one does not exist. To a customer only those exist that the customer may use."""
    sides: list[Account] = []
    for id in (command.source, command.target):
        account = found(states, id, Account)
        if account is None or (
            is_customer(context) and not knows(account, context.principal.person, context.decided_at)
        ):
            return Unknown("account", id)
        sides.append(account)
    source, target = sides
    return source, target


def _converted(command: ConvertMoney, price: Price, states: States, context: Context) -> Decision:
    transaction = transaction_of(command, "conversion", (), command.source, states)
    return converted(
        command.conversion, command.quote, price, transaction, command.source, command.target, states, context
    )


def converted(
    id: str,
    quote_id: str | None,
    price: Price,
    transaction: Transaction,
    source: str,
    target: str,
    states: States,
    context: Context,
    by: Post = post,
) -> Decision:
    """Return the events of a conversion with this id at the price: its figures, its entries, and that a quote is used.

    This function makes the entries of `transaction`, and `by` posts them.
    """
    internal = accounts_of(context.log, price)
    missing = tuple(id for id in internal if id not in states)
    if missing:
        return NeedsStreams(missing)
    refusal = _refuse_missing(price, internal, states)
    if refusal is not None:
        return refusal
    posted = by(replace(transaction, entries=entries_of(context.log, price, source, target)), states, context)
    if not isinstance(posted, Accepted):
        return posted
    facts: list[Event] = [ConversionMade(id, 1, source, target, transaction.id, quote_id, price)]
    quote = found(states, quote_id, Quote) if quote_id is not None else None
    if quote is not None:
        facts.append(QuoteUsed(quote.id, quote.version + 1, id, price))
    unlimited = [id for id in internal if (one := found(states, id, Account)) is not None and one.unlimited]
    return replace(
        posted,
        events=(*facts, *posted.events),
        result={"conversion": id, "quote": quote_id, **shown_price(price), **posted.result},
        # An account that gets no entry was still read: newer entries of others change nothing.
        commuting=posted.commuting.union(unlimited),
    )


def price_of(
    quote: str | None,
    amount: int | None,
    currency: str | None,
    source: str,
    target: str,
    states: States,
    context: Context,
) -> Price | Decision:
    """Return the price of the quote, or of the amount at the rate in force, between these currencies."""
    if quote is not None:
        return quoted(quote, source, target, states, context)
    streams = rate_streams(source, target)
    if source != target and not states.keys() >= set(streams):
        return NeedsStreams(streams)
    rate = rate_between(source, target, states, context.decided_at)
    if isinstance(rate, Refused):
        return rate
    assert amount is not None, "there is an amount or a quote"
    return priced(rate[0].pair, rate[1], source, target, amount, currency)


def quoted(id: str, source: str, target: str, states: States, context: Context) -> Price | Refused | Unknown:
    """Return the price of a quote between these currencies, or why it cannot be used now."""
    quote = found(states, id, Quote)
    if quote is None:
        return Unknown("quote", id)
    no = refuse_stranger(quote, context) or quote.refuse_use(context.decided_at)
    if no is not None:
        return no
    price = quote.price
    if (price.source_currency, price.target_currency) != (source, target):
        figures = {"quote": id, "source": price.source_currency, "target": price.target_currency}
        return Refused("quote_currencies", {**figures, "source_currency": source, "target_currency": target})
    return price


def _refuse_rate(command: ConvertMoney, price: Price) -> Refused | None:
    """Return the refusal of a rate out of the bounds that the command names, or None."""
    bounds: list[int | None] = []
    for which, text in (("lower bound", command.at_least), ("upper bound", command.at_most)):
        bound = None if text is None else parse_rate(text, which)
        if isinstance(bound, Refused):
            return bound
        bounds.append(bound)
    least, most = bounds
    if (least is None or price.rate >= least) and (most is None or price.rate <= most):
        return None
    at_least, at_most = ("any" if bound is None else show_rate(bound) for bound in bounds)
    figures = {"pair": price.pair, "rate": show_rate(price.rate), "at_least": at_least, "at_most": at_most}
    return Refused("rate_moved", dict(figures))


def _refuse_missing(price: Price, internal: Sequence[str], states: States) -> Refused | None:
    """Return the refusal of a conversion for which an internal account is not open, or None.

    All are asked for, also where this conversion has no spread or remainder: the next one may.
    """
    taken_in, given_out, revenue, rounding = (found(states, id, Account) for id in internal)
    if taken_in is None or given_out is None:
        currency = price.source_currency if taken_in is None else price.target_currency
        return Refused("liquidity_missing", {"pair": price.pair, "currency": currency})
    if revenue is None or rounding is None:
        role = "revenue" if revenue is None else "rounding"
        return Refused("internal_account_missing", {"role": role, "currency": price.target_currency})
    return None


# What stored events are held to


def check(before: Conversion | None, events: Sequence[ConversionMade], decided: Decided) -> Iterator[Broken]:
    """Find a conversion that is made again, or whose figures are not those of its rate."""
    for event in events:
        if before is not None or event is not events[0]:
            yield Broken(event, f"{event.originator_id} is made again; a conversion is one event")
        if (wrong := wrong_price(event.price)) is not None:
            yield Broken(event, wrong)


def _is_posted(event: ConversionMade, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transaction of the unit has the entries that follow from the figures, and the quote is used."""
    id, transaction, quote = event.originator_id, event.transaction, event.quote
    posted = next((one for one in unit.get(transaction, ()) if isinstance(one, TransactionPosted)), None)
    if posted is None:
        return f"{id} is posted by {transaction}, which its unit does not post"
    if (posted.kind, posted.entries) != (
        "conversion",
        entries_of(decided.log, event.price, event.source, event.target),
    ):
        return f"{id} is posted by {transaction}, whose entries are not those of its figures"
    used = quote is None or any(isinstance(one, QuoteUsed) and one.conversion == id for one in unit.get(quote, ()))
    return None if used else f"{id} is made at {quote}, which its unit does not use"


def _is_made(event: TransactionPosted, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """A transaction of the kind conversion has its conversion in the same unit."""
    if event.kind != "conversion":
        return None
    id = event.originator_id
    made = (one for events in unit.values() for one in events if isinstance(one, ConversionMade))
    if any(one.transaction == id for one in made):
        return None
    return f"{id} is posted as a conversion, and its unit makes none with it"


AGGREGATE = Aggregate(
    name="conversion",
    prefix=f"{CONVERSION}_",
    events=(EventType("conversion.made.v1", ConversionMade),),
    evolve=evolve,
    decisions={ConvertMoney: convert},
    rules=RULES,
    written_once=True,
    may={ConvertMoney: EVERYONE},
    check=check,
    unit_rules={ConversionMade: _is_posted, TransactionPosted: _is_made},
)
