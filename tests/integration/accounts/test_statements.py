"""Balances, histories and statements over HTTP: as JSON, CSV, PDF and camt.053, and what is refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.metadata import distribution
from io import StringIO
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from xmlschema import XMLSchema

from api.accounts.statement_files import writing
from api.accounts.statement_files.camt053 import NAMESPACE
from api.accounts.statement_files.content import FORMS, MOST_LINES
from api.queries.positions import cursor, token
from projections.accounts.statements.balances import MOST_STEPS
from tests.support.answers import accepted, eur, found
from tests.support.ledger import TODAY
from tests.support.service import Service
from tests.support.waiting import stay_within_the_day

WIDE: dict[str, Any] = {"from": "2020-01-01", "to": "2099-12-31"}
TEXT = '=SUM(A1) "Żółć", <b>café</b> & Ж\u0001中'
"""A description with what CSV, XML, markup and spreadsheets take for something else, and what no font or XML has."""


@cache
def schema() -> XMLSchema:
    """The schema of the standard, from the package camt053."""
    found = distribution("camt053").locate_file("camt053/xsd/camt.053.001.08.xsd")
    return XMLSchema(str(found))


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def statement(service: Service, account: str, role: str = "report", **asked: Any) -> Any:
    return found(service.get(f"accounts/{account}/statement", role=role, **{**WIDE, **asked}))


def of(service: Service, path: str, since: str, until: str, **more: Any) -> Any:
    """The answer to a report of a period."""
    return service.get(path, **{"from": since, "to": until, **more})


def file(service: Service, account: str, format: str, **asked: Any) -> bytes:
    response = service.get(f"accounts/{account}/statement", **{**WIDE, **asked}, format=format)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].partition(";")[0] == writing.WRITERS[format][1]  # type: ignore[index]
    name = re.fullmatch(
        r'attachment; filename="statement-CHK\d{12}-[\d-]+\.(csv|pdf|xml)"', response.headers["Content-Disposition"]
    )
    assert name is not None, response.headers
    return response.content


@pytest.fixture
def account(service: Service) -> str:
    """An account with a deposit, a payment with a text, and a fee that was reversed."""
    account, other = service.account("100.00"), service.account()
    paid = eur("30.25", source=account, target=other, reference="inv-1", description=TEXT)
    accepted(service.post("transfers", paid))
    fee = accepted(service.post(f"accounts/{account}/fees", eur("1.50")))
    reversal = {"reason": "charged twice", "value_date": "original"}
    accepted(service.post(f"transactions/{fee['transaction']}/reverse", reversal, role="operator"))
    return account


def test_a_statement_has_every_entry_also_the_reversed_one(service: Service, account: str) -> None:
    read = statement(service, account)
    assert (read["opening"], read["closing"], read["debits"], read["credits"]) == ("0.00", "69.75", "31.75", "101.50")
    assert (read["net"], read["entries"], read["next"]) == ("69.75", 4, None)
    assert [(line["kind"], line["amount"], line["balance"]) for line in read["items"]] == [
        ("deposit", "100.00", "100.00"),
        ("transfer", "-30.25", "69.75"),
        ("fee", "-1.50", "68.25"),
        ("reversal", "1.50", "69.75"),
    ]
    _, transfer, fee, reversal = read["items"]
    assert (reversal["parent"], reversal["relation"]) == (fee["transaction"], "reversal")
    assert (transfer["reference"], transfer["description"]) == ("inv-1", TEXT)
    moved = found(service.get(f"transactions/{transfer['transaction']}"))
    assert transfer["counterparties"] == [e["account"] for e in moved["entries"] if e["account"] != account]
    assert transfer["counterparties_in_all"] == 1
    row = found(service.get(f"accounts/{account}"))
    assert (read["number"], read["owner"], read["name"]) == (row["number"], row["owner"], row["name"])
    assert statement(service, account, **{"from": "2020-01-01", "to": "2020-01-31"})["items"] == []


@pytest.mark.parametrize("by", ["booking", "value"])
def test_pages_are_of_one_position(service: Service, account: str, by: str) -> None:
    whole = statement(service, account, by=by)
    first = statement(service, account, by=by, limit=1)
    assert first["items"] == whole["items"][:1]
    accepted(service.post(f"accounts/{account}/deposits", eur("5.00")))
    items, following = first["items"], first["next"]
    while following is not None:
        page = statement(service, account, by=by, limit=1, cursor=following)
        assert {name: page[name] for name in ("as_of", "opening", "closing", "entries")} == {
            name: whole[name] for name in ("as_of", "opening", "closing", "entries")
        }
        items, following = items + page["items"], page["next"]
    assert items == whole["items"]
    assert statement(service, account, by=by, as_of=whole["as_of"]) == whole
    assert statement(service, account, by=by)["closing"] == "74.75"


def test_a_csv_begins_with_the_opening_and_ends_with_the_closing(service: Service, account: str) -> None:
    read = statement(service, account)
    rows = list(csv.DictReader(StringIO(file(service, account, "csv", as_of=read["as_of"]).decode(), newline="")))
    opening, *lines, closing = rows
    assert [(row["row"], row["value_date"], row["balance"], row["currency"]) for row in (opening, closing)] == [
        ("opening", WIDE["from"], "0.00", "EUR"),
        ("closing", WIDE["to"], "69.75", "EUR"),
    ]
    for row, line in zip(lines, read["items"], strict=True):
        text = line["description"] or ""
        assert row["row"] == "line"
        assert row["description"] == (f"'{text}" if text.startswith("=") else text)
        assert row["counterparties"] == " ".join(line["counterparties"])
        for name in ("number", "transaction", "kind", "value_date", "amount", "balance", "position"):
            assert row[name] == str(line[name])


def test_a_camt053_is_valid_and_its_entries_explain_its_balances(service: Service, account: str) -> None:
    content = file(service, account, "camt053")
    schema().validate(content.decode())
    root = ElementTree.fromstring(content)  # noqa: S314 - an answer of the service

    def texts(path: str, within: Element = root) -> list[str]:
        return [one.text or "" for one in within.iterfind(path, {"": NAMESPACE})]

    def signed(element: Element) -> Decimal:
        [amount], [side] = texts("Amt", element), texts("CdtDbtInd", element)
        return Decimal(amount) if side == "CRDT" else -Decimal(amount)

    balances = {texts("Tp/CdOrPrtry/Cd", one)[0]: signed(one) for one in root.iterfind(".//Bal", {"": NAMESPACE})}
    entries = root.findall(".//Ntry", {"": NAMESPACE})
    assert balances == {"OPBD": Decimal(0), "CLBD": Decimal("69.75")}
    assert sum(map(signed, entries)) == Decimal("69.75")
    assert [texts("RvslInd", one) for one in entries] == [[], [], [], ["true"]]
    payment = entries[1]
    assert texts(".//EndToEndId", payment) == ["inv-1"]
    assert texts(".//Ustrd", payment) == [TEXT.replace("\u0001", "\ufffd")]
    assert texts(".//CdtrAcct/Id/Othr/Id", payment) == statement(service, account)["items"][1]["counterparties"]
    assert texts(".//Acct/Id/Othr/Id") == [found(service.get(f"accounts/{account}"))["number"]]
    assert texts(".//TxsSummry/TtlNtries/NbOfNtries") == ["4"]


def test_the_schema_refuses_what_is_not_a_camt053(service: Service, account: str) -> None:
    content = file(service, account, "camt053").decode()
    assert not schema().is_valid(content.replace("<Cd>BOOK</Cd>", "<Cd>BOOKED</Cd>"))
    assert not schema().is_valid(content.replace("<CdtDbtInd>", "<Side>").replace("</CdtDbtInd>", "</Side>"))


def test_a_camt053_of_the_widest_period_and_of_no_entry_is_valid(service: Service) -> None:
    empty = service.account(name="N" * 100)
    schema().validate(file(service, empty, "camt053", **{"from": "0001-01-01", "to": "9999-12-31"}).decode())


def test_the_same_position_gives_the_same_bytes(service: Service, account: str) -> None:
    at = statement(service, account)["as_of"]
    before = {form: file(service, account, form, as_of=at) for form in FORMS}
    accepted(service.post(f"accounts/{account}/deposits", eur("5.00")))
    assert {form: file(service, account, form, as_of=at) for form in FORMS} == before
    assert all(file(service, account, form) != content for form, content in before.items())


def test_a_pdf_is_one(service: Service, account: str) -> None:
    content = file(service, account, "pdf")
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")


def test_a_balance_is_of_a_position_a_time_and_a_value_date(service: Service) -> None:
    yesterday = (TODAY - timedelta(days=1)).isoformat()
    account = service.account(opened_on=yesterday)
    first = service.post(f"accounts/{account}/deposits", eur("10.00"))
    second = service.post(f"accounts/{account}/deposits", eur("5.00", value_date=yesterday))

    def balance(**asked: Any) -> str:
        return str(found(service.get(f"accounts/{account}/balance", **asked))["balance"])

    at_first, at_second = (answer.headers["Daybook-Position"] for answer in (first, second))
    assert (balance(), balance(as_of=at_first), balance(as_of=at_second)) == ("15.00", "10.00", "15.00")
    assert (balance(value_date=yesterday), balance(value_date=yesterday, as_of=at_first)) == ("5.00", "0.00")
    assert balance(as_of=at_first.rpartition(".")[2]) == "10.00", "a position alone is one of this log"
    entries = found(service.get(f"accounts/{account}/entries"))["items"]
    recorded = [datetime.fromisoformat(entry["recorded_at"]) for entry in entries]
    moment = timedelta(microseconds=1)
    for at, wanted in (
        (recorded[0] - moment, "0.00"),
        (recorded[0], "10.00"),
        (recorded[1] - moment, "10.00"),
        (recorded[1], "15.00"),
    ):
        assert balance(as_of=at.isoformat()) == wanted
    assert (
        balance(as_of=recorded[0].astimezone(datetime.fromisoformat("2020-01-01T00:00:00+05:30").tzinfo).isoformat())
        == "10.00"
    )
    read = found(service.get(f"accounts/{account}/balance", as_of=at_first, value_date=yesterday))
    assert (read["as_of"], read["value_date"], read["currency"]) == (at_first, yesterday, "EUR")


@pytest.fixture
def one_day() -> None:
    """The entries that come next, and what is asked of them, are of one day."""
    stay_within_the_day()


@pytest.mark.usefixtures("one_day")
def test_daily_balances_have_the_lowest_and_the_highest_of_the_day(service: Service, account: str) -> None:
    path = f"accounts/{account}/daily-balances"
    days = [datetime.now(UTC).date() - timedelta(days=ago) for ago in range(30, -1, -1)]  # by the clock of the database
    month_ago = days[0].isoformat()
    read = found(of(service, path, month_ago, WIDE["to"]))
    assert len(read["items"]) == 31
    *gaps, last = read["items"]
    assert {(day["opening"], day["closing"], day["lowest"], day["highest"], day["entries"]) for day in gaps} == {
        ("0.00", "0.00", "0.00", "0.00", 0)
    }
    assert last == {
        "day": today(),
        "opening": "0.00",
        "debits": "31.75",
        "credits": "101.50",
        "closing": "69.75",
        "lowest": "0.00",
        "highest": "100.00",
        "entries": 4,
    }
    summary = {name: last[name] for name in ("opening", "closing", "debits", "credits", "lowest", "highest", "entries")}
    assert read["summary"] == {**summary, "net": "69.75"}
    months = found(of(service, path, month_ago, today(), every="month"))
    assert months["summary"] == read["summary"]
    assert len(months["items"]) == len({(day.year, day.month) for day in days}), "on 1 March they are of three months"
    future = found(of(service, path, "2099-01-01", "2099-01-02"))
    assert (future["items"], future["summary"]) == ([], None)


REPORTS = ("statement", "daily-balances", "movements")


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_that_ends_before_it_begins_is_refused(service: Service, account: str, report: str) -> None:
    assert refusal(service, f"accounts/{account}/{report}", {"from": "2026-02-01", "to": "2026-01-31"}) == (
        "to: the period ends on 2026-01-31, before it begins on 2026-02-01."
    )
    assert of(service, f"accounts/{account}/{report}", "2026-02-01", "2026-02-01").status_code == 200


def refusal(service: Service, path: str, asked: Mapping[str, Any], code: str = "malformed", status: int = 400) -> str:
    response = service.get(path, **asked)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return str(response.json()["detail"])


def test_what_a_report_does_not_take_is_refused(service: Service, account: str) -> None:
    days, reading = f"accounts/{account}/daily-balances", f"accounts/{account}/statement"
    long = {"from": "2024-01-01", "to": "2025-02-05", "as_of": today() + "T00:00:00Z"}
    assert f"more than {MOST_STEPS} days" in refusal(service, days, {**long, "to": "2025-12-31"})
    bounded: dict[str, Any] = {**long, "to": "2025-02-03"}
    assert found(service.get(days, **bounded))["summary"]["entries"] == 0
    assert "is not one of day, week, month" in refusal(service, days, {**WIDE, "every": "year"})
    assert "from" in refusal(service, reading, {"to": "2026-01-01"})
    assert "json, csv, pdf, camt053" in refusal(service, reading, {**WIDE, "format": "xls"})
    assert "is by booking" in refusal(service, reading, {**WIDE, "format": "camt053", "by": "value"})
    following = statement(service, account, limit=1)["next"]
    assert "only pages in JSON" in refusal(service, reading, {**WIDE, "format": "csv", "cursor": following})
    for wrong in (cursor("1"), cursor("1\n2\n2026-01-01"), cursor("a\n2"), cursor(1)):
        assert "not" in refusal(service, reading, {**WIDE, "cursor": wrong})
    by_value = {**WIDE, "by": "value"}
    for wrong in (following, cursor("1\n2\n2026-13-01")):
        assert "not one of this list" in refusal(service, reading, {**by_value, "cursor": wrong})
    assert "There is no account" in refusal(service, "accounts/acct_none/balance", {}, "unknown", 404)


def test_what_as_of_does_not_take_is_refused(service: Service, account: str) -> None:
    path = f"accounts/{account}/balance"
    beyond = token("main", 1, 10**15)
    assert "beyond the head" in refusal(service, path, {"as_of": beyond}, "position")
    assert "beyond the head" in refusal(service, path, {"as_of": 10**15}, "position")
    assert "is of the log 'other'" in refusal(service, path, {"as_of": "other.1.1"}, "position")
    for wrong in ("yesterday", "1.5", "-1", "main.1.x"):
        assert "not a position" in refusal(service, path, {"as_of": wrong}, "position")
    for wrong in (
        "2026-01-31T12:00:00",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:00:00 01:00",
        "0001-01-01T00:00:00+09:00",
    ):
        assert "not a time with its offset" in refusal(service, path, {"as_of": wrong})
    [found_by] = [found(service.get(path, as_of="2020-01-01T00:00:00Z"))]
    assert (found_by["balance"], found_by["as_of"]) == ("0.00", "main.1.0")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_bounded(service: Service, account: str, form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST_LINES, form, 4)
    file(service, account, form)
    monkeypatch.setitem(MOST_LINES, form, 3)
    detail = refusal(service, f"accounts/{account}/statement", {**WIDE, "format": form})
    assert detail.startswith(f"The statement has 4 lines; a file in the form {form} takes at most 3.")


def test_an_erased_description_is_gone_from_the_statement(service: Service) -> None:
    account, other = service.account("9.00", owner="owner-erased"), service.account()
    paid = eur("1.00", source=account, target=other, description="Rent")
    accepted(service.post("transfers", paid))
    assert statement(service, account)["items"][1]["description"] == "Rent"
    service.erased("owner-erased")
    read = statement(service, account)
    assert (read["name"], read["items"][1]["description"], read["items"][1]["description_erased"]) == (None, None, True)
    assert b"Rent" not in file(service, account, "csv")
    file(service, account, "pdf")
    schema().validate(file(service, account, "camt053").decode())
