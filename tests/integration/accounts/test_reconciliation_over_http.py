"""Reconciliation as clients see it: over HTTP and by the command, with real processes, and each bad input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from domain.accounts.posting import internal_account
from tests.integration.workers.running import daybook, environment, read_until, started
from tests.samples.accounts.reconciliation import FILE, body
from tests.samples.accounts.reconciliation_match import matches
from tests.samples.sample import Request
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from tests.support.waiting import wait_until
from workers.clock_and_ids import now

IBAN = "DE89370400440532013000"


def file_body(account: str, file: str = FILE, **more: Any) -> dict[str, Any]:
    return {
        "account": account,
        "format": "camt053",
        "outside_account": IBAN,
        "mirrored": False,
        "file": file,
        **more,
    }


def problem(service: Service, path: str, body: Any) -> str:
    """The sentence about a bad request, which leaves nothing behind."""
    before = service.log_digest()
    response = service.post(path, body, role="operator")
    assert response.status_code in (400, 422), response.text
    assert service.log_digest().events == before.events, "nothing is half done"
    assert service.get("reconciliations", account=body["account"], role="operator").json()["items"] == []
    detail: str = response.json()["detail"]
    return detail


LAUGHS = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><Document>&b;</Document>'


OF_ENTRY = "12.30</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>"
"""Where the amount of the entry is in the file."""
NOT_WHOLE = "The statement opens with 0.00 EUR, its lines sum to 12.31, and it closes with 12.30 and not with 12.31"
BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "cut": (FILE[:-200], {}, "line 7: the file is no XML, or is cut: unclosed token."),
    "xml bomb": (LAUGHS, {}, "line 1: the file declares a document type or an entity; a statement needs none"),
    "another account": (
        FILE,
        {"outside_account": "GB29NWBK60161331926819"},
        "outside_account: the file is a statement of …3000, not of …6819.",
    ),
    "another currency of an entry": (
        FILE.replace(f'"EUR">{OF_ENTRY}', f'"USD">{OF_ENTRY}'),
        {},
        "line 8: Ntry is in USD, and the statement in EUR.",
    ),
    "another currency": (FILE.replace("EUR", "USD"), {}, "Account {account} is kept in EUR; the amount is in USD."),
    "other balances": (FILE.replace(OF_ENTRY, OF_ENTRY.replace("30", "31")), {}, NOT_WHOLE),
    "no mapping": (FILE, {"format": "csv"}, "csv: a CSV file needs it, and only a CSV file has it."),
    "days": (FILE, {"days_apart": 32}, "days_apart: Input should be less than or equal to 31"),
}


@pytest.mark.parametrize(("file", "more", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_sentence_and_nothing_half_done(
    service18: Service, file: str, more: dict[str, Any], sentence: str
) -> None:
    account = service18.account()
    found = problem(service18, "reconciliations/files", file_body(account, file, **more))
    assert found.startswith(sentence.format(account=account)), found


def test_a_statement_that_is_sent_twice_is_refused_in_any_format(service18: Service) -> None:
    account = service18.account()
    first = service18.post("reconciliations/files", file_body(account), role="operator")
    assert (first.status_code, first.json()["lines"], first.json()["status"]) == (201, 1, "open")
    id = first.json()["reconciliation"]
    again = service18.post("reconciliations/files", file_body(account), role="operator").json()
    assert (again["code"], again["figures"]["reconciliation"]) == ("statement_known", id)
    csv = {
        "columns": {"booked_on": "day", "amount": "amount"},
        "statement": "another-id",
        "currency": "EUR",
        "opening": "0.00",
        "closing": "12.30",
    }
    rows = "day,amount\n2026-11-21,12.30\n"
    same = service18.post(
        "reconciliations/files", file_body(account, rows, format="csv", csv=csv), role="operator"
    ).json()
    assert (same["code"], same["figures"]["reconciliation"]) == ("statement_figures_known", id)
    other = service18.post("reconciliations/files", file_body(service18.account()), role="operator")
    assert other.status_code == 201, "another account has statements of its own"
    service18.do(f"reconciliations/{id}/abandon", {"reason": "the wrong account"})
    assert service18.post("reconciliations/files", file_body(account), role="operator").status_code == 201


def test_by_hand_undone_closed_and_reopened(service18: Service) -> None:
    request: Request = matches(service18)
    path = f"reconciliations/{request.names['reconciliation']}"

    def read(of: str = "", **filters: Any) -> Any:
        return service18.get(f"{path}{of}", role="audit", **filters).json()

    wrong = {**request.body, "difference": "0.01", "reason": "a fee"}
    assert service18.post(f"{path}/matches", wrong, role="operator").json()["code"] == "match_difference"
    for role in ("command", "report", "audit", "customer"):
        assert service18.post(f"{path}/matches", request.body, role=role).status_code == 403
    made = service18.do(f"{path}/matches", request.body)
    [line] = read("/lines")["items"]
    assert (line["state"], line["match"], line["rule"]) == ("matched", made["match"], "by_hand")
    assert read("/entries")["items"] == []
    shown = read()
    assert (shown["difference"], shown["matched_lines"]) == ("0.00", {"count": 1, "amount": "100.00"})
    service18.do(f"{path}/close")
    assert service18.post(f"{path}/matches/{made['match']}/undo", {"reason": "why"}, role="operator").status_code == 422
    service18.do(f"{path}/reopen", {"reason": "it is of another invoice"})
    service18.do(f"{path}/matches/{made['match']}/undo", {"reason": "it is of another invoice"})
    [entry] = read("/entries")["items"]
    assert (entry["amount"], entry["transaction"]) == ("100.00", request.body["entries"][0]["transaction"])
    [match] = read("/matches")["items"]
    assert (match["status"], match["lines"], match["entries"][0]["amount"]) == ("undone", [1], "100.00")
    assert read("/lines", state="matched")["items"] == []
    assert service18.post(f"{path}/close", {}, role="operator").json()["code"] == "reconciliation_lines_left"
    closed = service18.do(f"{path}/close", {"reason": "carried over"})
    assert (closed["lines_left"], closed["left"]) == (1, "100.00")
    assert service18.get(path, role="customer").status_code == 403


def test_reads_of_what_does_not_exist(service18: Service) -> None:
    for of in ("", "/lines", "/entries"):
        assert service18.get(f"reconciliations/recon_x{of}", role="audit").status_code == 404
    assert service18.get("reconciliations/recon_x/matches", role="audit").json()["items"] == []
    id = service18.do("reconciliations", body(service18.account(), "1.00"))["reconciliation"]
    for cursor in ("x", "MQ", "IjFcbjIi", "IngsMSI"):
        assert service18.get(f"reconciliations/{id}/entries", role="audit", cursor=cursor).status_code == 400


@pytest.fixture
def working(postgres18: Server) -> Iterator[Service]:
    """A service beside a real worker of processes."""
    with (
        postgres18.database() as database,
        service_on(database, now=now()) as service,
        started("work", "--processes", env=environment(database)) as worker,
    ):
        read_until(worker, "carrying on the processes of log main")
        yield service


def finished(service: Service, id: str) -> Any:
    """A session once the rules match nothing more."""

    def read() -> Any:
        return service.get(f"reconciliations/{id}", role="audit").json()

    wait_until(lambda: not read().get("running", True), "the end of the run")
    return read()


def test_what_we_write_is_matched_whole_when_it_is_brought_back(working: Service, tmp_path: Path) -> None:
    """The camt.053 of an account, brought by the command as if a bank had written it, and refused the second time."""
    account = working.account("100.00")
    working.do("transfers", {"source": account, "target": working.account(), "currency": "EUR", "amount": "2.50"})
    working.do(f"accounts/{account}/deposits", {"amount": "7.00", "currency": "EUR", "reference": "INV-1"})
    number = working.get(f"accounts/{account}", role="audit").json()["number"]
    day = working.services.clock().date().isoformat()
    period: dict[str, Any] = {"from": day, "to": day, "format": "camt053"}
    written = working.get(f"accounts/{account}/statement", role="audit", **period)
    file = tmp_path / "statement.xml"
    file.write_bytes(written.content)
    arguments = ("--account", account, "--outside-account", number, "--same-side", "--json")
    env = environment(working.database)
    [row] = orjson.loads(daybook("reconcile", str(file), *arguments, env=env).stdout)
    shown = finished(working, row["reconciliation"])
    assert (shown["matched_lines"], shown["unmatched_lines"]["count"]) == ({"count": 3, "amount": "104.50"}, 0)
    assert (shown["difference"], shown["closing"], shown["our_closing"]) == ("0.00", "104.50", "104.50")
    again = daybook("reconcile", str(file), *arguments, env=env)
    assert again.returncode == 1
    assert "was brought before: it is that of " + row["reconciliation"] in orjson.loads(again.stdout)[0]["because"]


def test_a_csv_file_of_our_account_at_a_bank(working: Service, tmp_path: Path) -> None:
    """Money comes to the bank: their credit is a debit of our account for it."""
    cash = internal_account("main", "cash", "EUR")
    working.do(f"accounts/{working.account()}/deposits", {"amount": "12.30", "currency": "EUR", "reference": "INV-1"})
    day = working.services.clock().date().isoformat()
    file, columns = tmp_path / "bank.csv", tmp_path / "columns.toml"
    file.write_text(f"Tag;Betrag;Saldo;Zweck\n{day};12,30;1.012,30;INV-1\n{day};-4,00;1.008,30;Gebühr\n", "latin-1")
    columns.write_text(
        'booked_on = "Tag"\namount = "Betrag"\nbalance = "Saldo"\nreferences = ["Zweck"]\ntext = "Zweck"\n'
        'delimiter = ";"\ndecimal_mark = ","\n'
    )
    env = environment(working.database)
    usual = ("reconcile", str(file), "--account", cash, "--outside-account", IBAN, "--mirrored", "--format", "csv")
    said = ("--statement", "2026-11", "--currency", "EUR", "--encoding", "latin-1")
    for arguments, sentence in (
        (usual, "a CSV file does not say whose statement it is"),
        ((*usual, *said), "a CSV file needs --columns"),
        ((*usual, *said[:-2], "--columns", str(columns)), "bank.csv: it is not in the encoding utf-8"),
        ((*usual, *said, "--columns", str(columns), "--closing", "9.00"), "it is not whole"),
        ((*usual, *said, "--columns", str(file)), "bank.csv is no TOML file"),
    ):
        failed = daybook(*arguments, env=env)
        assert failed.returncode == 3, failed.stdout + failed.stderr
        assert sentence in " ".join(failed.stderr.split())
    done = daybook(*usual, *said, "--columns", str(columns), "--json", env=env)
    [row] = orjson.loads(done.stdout)
    shown = finished(working, row["reconciliation"])
    assert (shown["matched_lines"]["amount"], shown["unmatched_lines"]["amount"]) == ("-12.30", "4.00")
    [left] = working.get(f"reconciliations/{row['reconciliation']}/lines", role="audit", state="unmatched").json()[
        "items"
    ]
    assert (left["amount"], left["text"]) == ("-4.00", "Gebühr")
    assert shown["explained"]["unmatched_lines"] == "4.00"
