"""Rates in time, quotes that expire, conversions, and what a customer may do with them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.lifecycle import FreezeAccount
from domain.accounts.account.owners import GiveMandate
from domain.accounts.currencies.conversion_events import ConversionMade
from domain.accounts.currencies.conversions import ConvertMoney
from domain.accounts.currencies.quotes import QuoteConversion
from domain.accounts.currencies.rates import Rate, Rates, SetRate, WithdrawRate, parse_rate, show_rate
from domain.accounts.posting import TransactionPosted, internal_account, pair_account
from domain.accounts.transaction import Deposit
from domain.kernel import Accepted, Event, Forbidden, Principal, Unknown
from tests.support.checking import broken
from tests.support.memory_ledger import NOW, PRINCIPAL, TODAY, By, MemoryLedger, new_id, opening

SECOND = timedelta(seconds=1)
PAIR, STREAM = "EUR:USD", "rate:EUR:USD"
SET = SetRate("EUR", "USD", "1.100000", 0, "ECB")
ADA = Principal("ada", ("customer",), "session", "prsn_ada")
EVE = Principal("eve", ("customer",), "session", "prsn_eve")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def later(seconds: float, command: Any, principal: Principal = PRINCIPAL) -> By:
    """The command of a principal, so many seconds later."""
    return By(principal, command, after(seconds))


def at(rate: str, valid_from: float | None = None, valid_until: float | None = None) -> SetRate:
    begin, end = (None if seconds is None else after(seconds) for seconds in (valid_from, valid_until))
    return replace(SET, rate=rate, valid_from=begin, valid_until=end)


def spans(ledger: MemoryLedger) -> list[tuple[str, datetime, datetime | None]]:
    """The rates of the state, each with its time."""
    rates: Rates = ledger[STREAM]
    return [(show_rate(one.rate)[:3], one.valid_from, one.valid_until) for one in rates.rates]


# Rates in time


def test_a_rate_without_an_end_ends_when_the_next_one_begins() -> None:
    ledger = MemoryLedger()
    ledger.accepted(at("1.1"))
    ledger.accepted(later(1, at("1.2", 10)))
    assert spans(ledger) == [("1.1", NOW, after(10)), ("1.2", after(10), None)]
    ledger.accepted(later(2, at("1.3", 20, 30)))
    assert spans(ledger)[1:] == [("1.2", after(10), after(20)), ("1.3", after(20), after(30))]


def test_a_rate_without_an_end_that_begins_before_another_one_lasts_until_then() -> None:
    ledger = MemoryLedger()
    ledger.accepted(at("1.2", 10))
    assert ledger.accepted(at("1.1")).result["valid_until"] == after(10).isoformat()
    assert spans(ledger) == [("1.2", after(10), None), ("1.1", NOW, after(10))]


def test_rates_that_are_over_leave_the_state() -> None:
    ledger = MemoryLedger()
    for number in range(5):
        ledger.accepted(later(number, at(f"1.{number}")))
    assert spans(ledger) == [("1.4", after(4), None)]
    ledger.accepted(later(4, at("1.5", 6, 7)))
    ledger.accepted(later(7, at("1.6")))
    assert spans(ledger) == [("1.6", after(7), None)]


def test_a_rate_that_begins_with_the_one_in_force_replaces_it() -> None:
    ledger = MemoryLedger()
    ledger.accepted(at("1.1"))
    ledger.accepted(at("1.2"))
    assert spans(ledger) == [("1.2", NOW, None)]


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "allowed"),
    [(5, 10, True), (5, 10.000001, False), (19.999999, 25, False), (20, 25, True), (12, 15, False), (5, 25, False)],
)
def test_which_times_overlap(valid_from: float, valid_until: float, allowed: bool) -> None:
    """The pair has a rate from second 10 to second 20."""
    ledger = MemoryLedger()
    ledger.accepted(at("1.1", 10, 20))
    command = at("1.2", valid_from, valid_until)
    if allowed:
        ledger.accepted(command)
    else:
        assert ledger.refused(command).rule == "rate_overlaps"


def test_a_withdrawn_rate_ends_or_never_begins() -> None:
    ledger = MemoryLedger()
    ledger.accepted(at("1.1"))
    ledger.accepted(at("1.2", 10))
    ledger.accepted(later(1, WithdrawRate(PAIR, 2)))
    assert spans(ledger) == [("1.1", NOW, after(10))]
    ledger.accepted(later(2, WithdrawRate(PAIR, 1)))
    assert spans(ledger) == []
    assert ledger[STREAM].in_force(after(3)) is None
    assert ledger.refused(later(3, WithdrawRate(PAIR, 1))).rule == "rate_over"


def test_the_clock_of_a_pair_never_goes_back() -> None:
    """A conversion that comes later in the log uses the rate before it, also if its process has a slower clock."""
    ledger = MemoryLedger()
    ledger.accepted(at("1.1"))
    ledger.accepted(later(5, at("1.2")))
    quote = QuoteConversion("qte_1", "EUR", "USD", "EUR", 100, 60)
    assert ledger.accepted(later(4, quote)).result["rate"] == "1.200000"
    assert ledger.accepted(later(4, at("1.3"))).result["valid_from"] == after(5).isoformat()


@pytest.mark.parametrize("text", ["0", "0.000000", "-1", "-0.000001", "1000000000", "9" * 20])
def test_a_rate_out_of_bounds_is_refused(text: str) -> None:
    assert MemoryLedger().refused(replace(SET, rate=text)).rule == "rate_range"


def test_rates_as_text() -> None:
    assert parse_rate("1.0865") == 1_086_500
    assert show_rate(1_086_500) == "1.086500"
    for text in ("1,5", "1e3", "", "NaN", "1.", ".5", "+1", " 1", "\u0661"):
        with pytest.raises(ValueError, match="not a decimal number"):
            parse_rate(text)


# Conversions


@pytest.fixture
def ledger() -> MemoryLedger:
    """A ledger with the pair EUR:USD at 1.1."""
    ledger = MemoryLedger()
    for currency in ("EUR", "USD"):
        ledger.open_internal(currency)
        account = pair_account("main", "liquidity", PAIR, currency)
        ledger.accepted(opening("liquidity", account=account, currency=currency, minimum=None))
    ledger.accepted(SET)
    return ledger


def owned(ledger: MemoryLedger, owner: str, currency: str, balance: int = 0) -> str:
    command = replace(opening(currency=currency), owner=owner)
    ledger.accepted(command)
    if balance:
        ledger.accepted(Deposit(new_id("txn"), command.account, balance, currency, TODAY))
    return command.account


def convert(source: str, target: str, amount: int = 1_000, currency: str = "EUR", **more: Any) -> ConvertMoney:
    return replace(
        ConvertMoney(new_id("cnv"), new_id("txn"), source, target, TODAY, amount=amount, currency=currency), **more
    )


def quoted(quote: str, source: str, target: str) -> ConvertMoney:
    return convert(source, target, amount=None, currency=None, quote=quote)  # type: ignore[arg-type]


def balance(ledger: MemoryLedger, account: str) -> int:
    found: int = ledger[account].balance
    return found


def test_a_conversion_books_spread_and_remainder(ledger: MemoryLedger) -> None:
    ledger.accepted(replace(SET, rate="1.086500", spread=150))
    eur, usd = owned(ledger, "prsn_ada", "EUR", 10_000), owned(ledger, "prsn_ada", "USD")
    done = ledger.accepted(convert(eur, usd, 777)).result
    assert (done["target_amount"], done["spread_amount"], done["remainder"]) == ("8.31", "0.13", "0.00")
    liquidity = [pair_account("main", "liquidity", PAIR, currency) for currency in ("EUR", "USD")]
    assert [balance(ledger, one) for one in (eur, usd, *liquidity)] == [9_223, 831, 777, -844]
    assert balance(ledger, internal_account("main", "revenue", "USD")) == 13
    ledger.check()


def test_a_conversion_takes_nothing_that_is_not_there(ledger: MemoryLedger) -> None:
    eur, usd = owned(ledger, "prsn_ada", "EUR", 100), owned(ledger, "prsn_ada", "USD")
    assert ledger.refused(convert(eur, usd, 101)).rule == "below_minimum"
    ledger.accepted(convert(eur, usd, 100))
    ledger.accepted(FreezeAccount(usd, "a question"))
    assert ledger.refused(convert(usd, eur, 100, "USD")).rule == "account_frozen"


def test_a_quote_keeps_its_price_until_it_expires(ledger: MemoryLedger) -> None:
    eur, usd = owned(ledger, "prsn_ada", "EUR", 10_000), owned(ledger, "prsn_ada", "USD")
    for number in (1, 2):
        ledger.accepted(QuoteConversion(f"qte_{number}", "EUR", "USD", "EUR", 1_000, 60))
    ledger.accepted(later(1, replace(SET, rate="0.900000")))
    assert ledger.accepted(later(59.999999, quoted("qte_1", eur, usd))).result["target_amount"] == "11.00"
    assert ledger.refused(later(60, quoted("qte_2", eur, usd))).rule == "quote_expired"
    assert ledger.refused(later(2, quoted("qte_1", eur, usd))).rule == "quote_used"


def test_an_account_that_gets_no_entry_is_read_as_commuting(ledger: MemoryLedger) -> None:
    """The rounding account is busy. A conversion without a remainder must not wait for its version."""
    eur, usd = owned(ledger, "prsn_ada", "EUR", 10_000), owned(ledger, "prsn_ada", "USD")
    accepted = ledger.accepted(convert(eur, usd, 1_000))
    rounding = internal_account("main", "rounding", "USD")
    assert rounding not in {event.originator_id for event in accepted.events}
    assert rounding in accepted.commuting


# Customers


def test_a_customer_converts_between_accounts_of_theirs(ledger: MemoryLedger) -> None:
    eur, usd = owned(ledger, "prsn_ada", "EUR", 10_000), owned(ledger, "prsn_ada", "USD")
    foreign = owned(ledger, "prsn_eve", "USD")
    done = ledger.accepted(By(ADA, convert(eur, usd)))
    assert set(done.result["balances"]) == {eur, usd}  # type: ignore[arg-type]
    assert {pair_account("main", "liquidity", PAIR, "EUR")} <= done.unseen
    cash = internal_account("main", "cash", "USD")
    for source, target, unknown in ((eur, foreign, foreign), (foreign, eur, foreign), (eur, cash, cash)):
        decision = ledger.execute_by(By(ADA, convert(source, target)))
        assert isinstance(decision, Unknown)
        assert (decision.kind, decision.id) == ("account", unknown)


def test_a_mandate_bounds_what_a_customer_converts(ledger: MemoryLedger) -> None:
    eur, usd = owned(ledger, "prsn_ada", "EUR", 10_000), owned(ledger, "prsn_eve", "USD")
    ledger.accepted(GiveMandate(eur, "prsn_eve", False, 500, "EUR"))
    assert ledger.refused(By(EVE, convert(eur, usd, 501))).rule == "mandate_exceeded"
    assert ledger.refused(By(EVE, convert(eur, usd, 551, "USD"))).rule == "mandate_exceeded"
    assert set(ledger.accepted(By(EVE, convert(eur, usd, 500))).result["balances"]) == {usd}  # type: ignore[arg-type]


def test_a_customer_uses_quotes_of_their_own(ledger: MemoryLedger) -> None:
    eur, usd = owned(ledger, "prsn_ada", "EUR", 10_000), owned(ledger, "prsn_ada", "USD")
    ask = QuoteConversion("qte_1", "EUR", "USD", "EUR", 1_000, 60)
    ledger.accepted(By(ADA, ask))
    assert ledger["qte_1"].person == "prsn_ada"
    ledger.accepted(By(EVE, replace(ask, quote="qte_2")))
    ledger.accepted(replace(ask, quote="qte_3"))
    for foreign in ("qte_2", "qte_3", "qte_4"):
        decision = ledger.execute_by(By(ADA, quoted(foreign, eur, usd)))
        assert isinstance(decision, Unknown)
        assert (decision.kind, decision.id) == ("quote", foreign)
    assert isinstance(ledger.execute_by(By(ADA, replace(ask, quote="qte_5", person="prsn_eve"))), Forbidden)
    ledger.accepted(By(ADA, quoted("qte_1", eur, usd)))


# What verify holds the events to


def unit_of(ledger: MemoryLedger) -> tuple[Event, ...]:
    """The events of a conversion at a quote."""
    eur, usd = owned(ledger, "prsn_ada", "EUR", 10_000), owned(ledger, "prsn_ada", "USD")
    ledger.accepted(QuoteConversion("qte_1", "EUR", "USD", "EUR", 1_000, 60))
    decision = ledger.decide(quoted("qte_1", eur, usd))
    assert isinstance(decision, Accepted)
    return decision.events


def findings(ledger: MemoryLedger, events: tuple[Event, ...]) -> list[str]:
    before = {event.originator_id: ledger.states.get(event.originator_id) for event in events}
    return [what for _, what in broken(before, events, ledger.decided)]


def test_a_forged_conversion_is_found(ledger: MemoryLedger) -> None:
    made, used, posted, *shares = unit_of(ledger)
    assert isinstance(made, ConversionMade)
    assert isinstance(posted, TransactionPosted)
    assert findings(ledger, (made, used, posted, *shares)) == []
    greedy = replace(made, price=replace(made.price, target_amount=made.price.target_amount + 1))
    assert any("do not come to" in one for one in findings(ledger, (greedy, used, posted, *shares)))
    assert any("entries are not those" in one for one in findings(ledger, (greedy, used, posted, *shares)))
    assert any("does not post" in one for one in findings(ledger, (made, used)))
    assert any("does not use" in one for one in findings(ledger, (made, posted, *shares)))
    assert any("does not make at that price" in one for one in findings(ledger, (used, posted, *shares)))
    alone = f"{posted.originator_id} is posted as a conversion, and its unit makes none with it"
    assert findings(ledger, (posted, *shares)) == [alone]
    elsewhere = replace(made, transaction="txn_9")
    assert any("makes none with it" in one for one in findings(ledger, (elsewhere, used, posted, *shares)))
    other_price = replace(used, price=greedy.price)
    assert any("another price" in one for one in findings(ledger, (made, other_price, posted, *shares)))


def test_a_forged_rate_is_found(ledger: MemoryLedger) -> None:
    ledger.context = replace(ledger.context, decided_at=after(1))
    decision = ledger.decide(at("1.2", 10))
    assert isinstance(decision, Accepted)
    [event] = decision.events
    assert findings(ledger, (event,)) == []
    for change, what in (
        ({"rate": 0}, "out of bounds"),
        ({"spread": 1_001}, "basis points"),
        ({"valid_from": after(0)}, "before now"),
        ({"valid_until": after(10)}, "not after it begins"),
        ({"ends": None}, "ends rate None"),
        ({"set_at": after(2)}, "the pair was at"),
        ({"counter": "CHF"}, "has a rate of"),
    ):
        assert any(what in one for one in findings(ledger, (replace(event, **change),))), (change, what)


def test_a_state_of_a_pair_is_a_fold_of_its_events(ledger: MemoryLedger) -> None:
    ledger.accepted(later(1, at("1.2", 10)))
    ledger.accepted(later(2, WithdrawRate(PAIR, 2)))
    assert ledger[STREAM].rates == (Rate(1, 1_100_000, 0, "ECB", NOW, after(10)),)
    ledger.check()


def test_refusals_come_before_the_money_moves(ledger: MemoryLedger) -> None:
    eur, usd = owned(ledger, "prsn_ada", "EUR", 10_000), owned(ledger, "prsn_ada", "USD")
    for least, most, rule in (
        ("1.100001", None, "rate_moved"),
        (None, "1.099999", "rate_moved"),
        ("0", None, "rate_range"),
        (None, "1.0000001", "rate_decimals"),
    ):
        assert ledger.refused(convert(eur, usd, at_least=least, at_most=most)).rule == rule
    ledger.accepted(convert(eur, usd, at_least="1.1", at_most="1.1"))
