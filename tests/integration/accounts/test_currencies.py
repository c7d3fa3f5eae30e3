"""Currencies over HTTP: rates, quotes and conversions, with clients that race, bad input, and what customers read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest

from domain.accounts.posting import internal_account, pair_account
from eventstore.postgres.connect import connect
from tests.support.answers import accepted, found
from tests.support.ledger import codec_of
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from workers.verify import verify

CLIENTS = 20
RATE = {"base": "EUR", "counter": "USD", "rate": "1.086500", "spread": 25, "source": "ECB"}
MISSING = "qte_01h455vb4pex5vsknk084sn02q"


@pytest.fixture(scope="module")
def bank(postgres18: Server) -> Iterator[Service]:
    """A service that converts between EUR, USD, JPY and KWD. Its clock goes on by a millisecond whenever it is read."""
    ticks = count()
    began = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def clock() -> datetime:
        return began + timedelta(milliseconds=next(ticks))

    with postgres18.database() as database, service_on(database, clock=clock) as running:
        for currency in ("EUR", "USD", "JPY", "KWD"):
            for role in ("cash", "revenue", "rounding"):
                if (role, currency) not in (("cash", "EUR"), ("revenue", "EUR")):
                    running.do("accounts", {"type": role, "currency": currency, "name": role})
        for pair, rate in (("EUR:USD", "1.086500"), ("EUR:JPY", "162.345678"), ("KWD:JPY", "487.654321")):
            base, counter = pair.split(":")
            for currency in (base, counter):
                body = {"type": "liquidity", "currency": currency, "pair": pair, "name": f"liquidity {pair}"}
                opened = running.do("accounts", body)
                assert opened["account"] == pair_account("main", "liquidity", pair, currency)
            running.do("rates", {**RATE, "base": base, "counter": counter, "rate": rate})
        yield running


def refused(response: Any) -> str:
    assert response.status_code == 422, response.text
    code: str = response.json()["code"]
    return code


def balance(bank: Service, account: str) -> str:
    read: str = found(bank.get(f"accounts/{account}"))["balance"]
    return read


def test_a_conversion_is_booked_and_listed(bank: Service) -> None:
    eur, usd = bank.account("100.00"), bank.account(currency="USD")
    body = {"source": eur, "target": usd, "currency": "EUR", "amount": "33.33", "reference": "inv-1"}
    done = accepted(bank.post("conversions", {**body, "at_least": "1.08", "at_most": "1.09"}))
    assert (done["source_amount"], done["target_amount"], done["spread_amount"]) == ("33.33", "36.12", "0.09")
    assert (done["pair"], done["rate"], done["rate_source"], done["quote"]) == ("EUR:USD", "1.086500", "ECB", None)
    assert (balance(bank, eur), balance(bank, usd)) == ("66.67", "36.12")
    transaction = found(bank.get(f"transactions/{done['transaction']}"))
    assert (transaction["kind"], transaction["reference"]) == ("conversion", "inv-1")
    liquidity = [pair_account("main", "liquidity", "EUR:USD", currency) for currency in ("EUR", "USD")]
    assert [(one["account"], one["side"], one["amount"]) for one in transaction["entries"]] == [
        (eur, "debit", "33.33"),
        (liquidity[0], "credit", "33.33"),
        (liquidity[1], "debit", "36.21"),
        (usd, "credit", "36.12"),
        (internal_account("main", "revenue", "USD"), "credit", "0.09"),
    ]
    for filters in ({"account": eur}, {"account": usd}, {"transaction": done["transaction"]}):
        [listed] = found(bank.get("conversions", **filters))["items"]
        assert {name: listed[name] for name in ("conversion", "source", "target", "rate")} == {
            "conversion": done["conversion"],
            "source": eur,
            "target": usd,
            "rate": "1.086500",
        }
    assert found(bank.get("conversions", pair="KWD:JPY", account=eur))["items"] == []


@pytest.mark.parametrize(
    ("sides", "amount", "gets"),
    [
        (("KWD", "JPY"), ("KWD", "1.234"), "600"),
        (("JPY", "KWD"), ("JPY", "1"), "0.002"),
        (("JPY", "EUR"), ("JPY", "1000"), "6.14"),
        (("EUR", "JPY"), ("JPY", "1000"), "1000"),
    ],
)
def test_yen_without_and_dinars_with_three_decimals(
    bank: Service, sides: tuple[str, str], amount: tuple[str, str], gets: str
) -> None:
    source = bank.account({"KWD": "100.000", "JPY": "2000", "EUR": "100.00"}[sides[0]], currency=sides[0])
    target = bank.account(currency=sides[1])
    body = {"source": source, "target": target, "currency": amount[0], "amount": amount[1]}
    assert accepted(bank.post("conversions", body))["target_amount"] == gets
    assert balance(bank, target) == gets


def test_a_quote_is_used_once_by_twenty_clients(bank: Service) -> None:
    eur, usd = bank.account("1000.00"), bank.account(currency="USD")
    asked = {"source_currency": "EUR", "target_currency": "USD", "currency": "USD", "amount": "10.00", "seconds": 3600}
    quote = accepted(bank.post("quotes", asked))
    assert (quote["source_amount"], quote["target_amount"]) == ("9.23", "10.00")
    body = {"source": eur, "target": usd, "quote": quote["quote"]}
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: bank.post("conversions", body), range(CLIENTS)))
    assert Counter(one.status_code for one in answers) == {201: 1, 422: CLIENTS - 1}
    assert {one.json()["code"] for one in answers if one.status_code == 422} == {"quote_used"}
    [done] = [one.json() for one in answers if one.status_code == 201]
    read = found(bank.get(f"quotes/{quote['quote']}", min_position=done["position"]))
    assert (read["conversion"], read["version"]) == (done["conversion"], 2)
    assert (balance(bank, eur), balance(bank, usd)) == ("990.77", "10.00")


def test_a_conversion_has_the_rate_that_is_in_force_at_its_position(bank: Service) -> None:
    """Clients convert while the rate changes: each uses the last rate that the log has before it."""
    eur, usd = bank.account("1000.00"), bank.account(currency="USD")
    body = {"source": eur, "target": usd, "currency": "EUR", "amount": "1.00"}

    def ask(number: int) -> Any:
        if number % 5:
            return bank.post("conversions", body)
        return bank.post("rates", {**RATE, "rate": f"1.{number:06d}"}, role="operator")

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(ask, range(100)))
    assert {one.status_code for one in answers} == {201}
    with psycopg.connect(bank.database.url) as superuser:
        rows = superuser.execute(
            "SELECT type, version, convert_from(payload, 'UTF8')::json->'price'->>'rate_number' FROM log.events"
            " WHERE stream = 'rate:EUR:USD' OR (type = 'conversion.made.v1'"
            " AND convert_from(payload, 'UTF8')::json->'price'->>'pair' = 'EUR:USD'"
            " AND convert_from(payload, 'UTF8')::json->>'quote' IS NULL) ORDER BY position"
        ).fetchall()
    in_force, used = 0, []
    for type, version, number in rows:
        if type == "rate.set.v1":
            in_force = version
        else:
            used.append((in_force, int(number)))
    assert all(wanted == number for wanted, number in used)
    assert len({number for _, number in used}) > 2, "the rate changed while clients converted"
    bank.do("rates", RATE)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"rate": "0"}, "rate_range"),
        ({"rate": "-1.5"}, "rate_range"),
        ({"rate": "1.0000001"}, "rate_decimals"),
        ({"rate": "1000000000"}, "rate_range"),
        ({"counter": "EUR"}, "pair_same_currency"),
        ({"base": "USD", "counter": "EUR"}, "pair_reversed"),
        ({"spread": 1_001}, "rate_spread"),
        ({"spread": -1}, "rate_spread"),
        ({"source": "the desk"}, "not_a_code"),
        ({"valid_from": "2020-01-01T00:00:00Z"}, "rate_in_past"),
        ({"valid_from": "2030-01-02T00:00:00Z", "valid_until": "2030-01-01T00:00:00Z"}, "rate_period"),
        ({"valid_from": "2029-06-01T00:00:00Z", "valid_until": "2031-01-01T00:00:00Z"}, "rate_overlaps"),
    ],
)
def test_a_wrong_rate_is_refused_and_changes_nothing(bank: Service, change: dict[str, Any], code: str) -> None:
    if code == "rate_overlaps":
        coming = {"valid_from": "2030-01-01T00:00:00Z", "valid_until": "2030-02-01T00:00:00Z"}
        bank.do("rates", {**RATE, **coming})
    before = bank.log_digest()
    assert refused(bank.post("rates", {**RATE, **change}, role="operator")) == code
    after = bank.log_digest()
    assert (after.events, after.recorded) == (before.events, before.recorded + 1)


@pytest.mark.parametrize("rate", ["1,5", "1e3", "", "one", 1.5, None])
def test_what_is_no_number_is_malformed(bank: Service, rate: Any) -> None:
    answer = bank.post("rates", {**RATE, "rate": rate}, role="operator")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


def test_rates_are_listed_with_their_times(bank: Service) -> None:
    pair = {"base": "GBP", "counter": "CHF"}
    first = bank.do("rates", {**RATE, **pair, "rate": "1.1"})
    second = bank.do("rates", {**RATE, **pair, "rate": "1.2"})
    coming = bank.do("rates", {**RATE, **pair, "rate": "1.3", "valid_from": "2030-01-01T00:00:00Z"})
    assert [one["number"] for one in (first, second, coming)] == [1, 2, 3]
    listed = found(bank.get("rates", pair="GBP:CHF"))["items"]
    assert [one["rate"] for one in listed] == ["1.100000", "1.200000", "1.300000"]
    assert [one["valid_until"] for one in listed[:-1]] == [one["valid_from"] for one in listed[1:]]
    assert listed[-1]["valid_until"] is None
    [current] = found(bank.get("rates", pair="GBP:CHF", current=True))["items"]
    assert current["number"] == 2
    for number in (3, 2):
        assert bank.post("rates/GBP:CHF/withdraw", {"number": number}, role="operator").status_code == 200
    assert found(bank.get("rates", pair="GBP:CHF", current=True))["items"] == []
    withdrawn = found(bank.get("rates", pair="GBP:CHF"))["items"]
    assert [one["withdrawn_at"] is not None for one in withdrawn] == [False, True, True]
    assert withdrawn[2]["valid_until"] == withdrawn[2]["valid_from"], "it never began"
    assert refused(bank.post("rates/GBP:CHF/withdraw", {"number": 2}, role="operator")) == "rate_over"
    for unknown in ("rates/GBP:JPY/withdraw", "rates/EUR:EUR/withdraw", "rates/x/withdraw"):
        assert bank.post(unknown, {"number": 1}, role="operator").status_code == 404


@pytest.mark.parametrize("pair", [None, "EUR:CHF", "EUR:EUR", "USD", "eur:usd"])
def test_an_account_for_liquidity_needs_a_pair_of_its_currency(bank: Service, pair: str | None) -> None:
    body = {"type": "liquidity", "currency": "USD", "name": "liquidity", "pair": pair}
    answer = bank.post("accounts", body, role="operator")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


def test_what_a_customer_converts_and_reads(bank: Service) -> None:
    ada, eve = bank.customer("prsn_ada"), bank.customer("prsn_eve")
    eur, usd = bank.account("100.00", owner="prsn_ada"), bank.account(currency="USD", owner="prsn_ada")
    foreign = bank.account(currency="USD", owner="prsn_eve")
    asked = {"source_currency": "EUR", "target_currency": "USD", "currency": "EUR", "amount": "10.00"}
    quote = accepted(bank.post("quotes", asked, token=ada))["quote"]
    assert found(bank.get(f"quotes/{quote}", token=ada))["person"] == "prsn_ada"
    for reader, id in ((eve, quote), (eve, MISSING)):
        answer = bank.get(f"quotes/{id}", token=reader)
        assert answer.status_code == 404
    body = {"source": eur, "target": usd, "quote": quote}
    unknown = bank.post("conversions", {**body, "source": foreign, "target": foreign}, token=eve)
    assert (unknown.status_code, unknown.json()["figures"]["kind"]) == (404, "quote")
    for target in (foreign, pair_account("main", "liquidity", "EUR:USD", "USD")):
        assert bank.post("conversions", {**body, "target": target}, token=ada).status_code == 404
    stolen = {"source": eur, "target": usd, "currency": "EUR", "amount": "1.00"}
    assert bank.post("conversions", stolen, token=eve).status_code == 404
    done = accepted(bank.post("conversions", body, token=ada))
    assert set(done["balances"]) == {eur, usd}
    assert {stream for stream in done["versions"] if stream.startswith("acct_")} == {eur, usd}
    assert [one["conversion"] for one in found(bank.get("conversions", token=ada))["items"]] == [done["conversion"]]
    assert found(bank.get("conversions", token=eve))["items"] == []
    assert found(bank.get("conversions", token=eve, account=eur))["items"] == []
    for path, sent in (("rates", RATE), ("rates/EUR:USD/withdraw", {"number": 1})):
        assert bank.post(path, sent, token=ada).status_code == 403
    assert bank.get("rates", token=ada).status_code == 403
    assert bank.post("rates", RATE).status_code == 403, "rates are for operators"


def test_verify_finds_nothing_after_all_of_this(bank: Service) -> None:
    bank.get("conversions")
    with (
        connect(bank.database.audit_url, application_name="verify") as connection,
        connect(bank.database.audit_url, application_name="keys") as keys,
    ):
        report = verify(connection, "main", codec_of(keys, 1), patience_seconds=10)
    assert report.ok, report
