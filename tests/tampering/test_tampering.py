"""Each case is found by the checks that the table names, and changes the digest if the table says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from domain.registry import CATALOGUE
from eventstore.log.read import read_head
from eventstore.proof.checkpoints import Checkpoint, open_checkpoint
from eventstore.proof.evidence import Evidence, EvidenceError
from eventstore.proof.merkle import ProofError, consistency_proof, verify_consistency
from eventstore.proof.notes import NoteError, Verifier, parse_verifier
from eventstore.proof.store import last_checkpoint, read_keys, tile_reader
from eventstore.proof.tiles import reader_of
from projections.engine.verify import CheckpointFinding, StatusFinding, TableFinding
from projections.registry import PROJECTIONS
from tests.support.ledger import ledger_on, opening
from tests.support.postgres import Database
from tests.support.sealing import ORIGIN
from tests.tampering.books import NEXT_KEY, seal, verified
from tests.tampering.conftest import Books
from tests.tampering.table import (
    CASES,
    CHANGES,
    CHECKPOINTS,
    KEPT_HEAD,
    NO_TREE,
    SAME,
    STATUS,
    TABLES,
    Case,
)
from workers import daybook_verify
from workers.verify import sum_of
from workers.verify.codes import CODES_FIT, OLD_TEXTS
from workers.verify.commands import UNITS_KEEP_RULES
from workers.verify.heads import HEADS
from workers.verify.log import NAMED, OLD_BATCHES, OLD_REFUSALS, QUESTIONS, REFUSALS, Question, ask, open_log
from workers.verify.parts import divide, examine
from workers.verify.report import VerifyReport, checked
from workers.verify.streams import STREAMS_KEEP_RULES
from workers.verify.tree import NOT_YET, SEALED, SIGNED, UNSEALED

KINDS = {TableFinding: TABLES, CheckpointFinding: CHECKPOINTS, StatusFinding: STATUS}
ON_15_TOO = (
    "events.payload: no JSON",
    "events.metadata: no key",
    "events.payload: a value of metadata that is an e-mail address",
    "commands.result: another version",
    "checkpoints.position: 0, and the tables emptied",
    "tiles.hashes: a leaf",
    "proof: made anew with the key, after an answer was changed",
    "currencies.exponent: another",
    "view: over one table, shows another column",
    "grant: of a column",
)


def found(report: VerifyReport) -> set[str]:
    """The names of the checks with findings, and the kinds of findings about the read tables."""
    checks = {check.name for check in report.checks if not check.ok}
    return checks | {KINDS[type(finding)] for finding in report.tables.findings}


@contextmanager
def tampered(books: Books, *cases: Case) -> Iterator[Database]:
    """A copy of the books with the changes of these cases."""
    with books.server.database(like=books.database) as copy:
        try:
            with psycopg.connect(copy.url, autocommit=True) as superuser:
                for case in cases:
                    done = superuser.execute(case.sql.encode())
                    assert done.rowcount != 0, f"{case.name} changed nothing"
            for case in cases:
                if case.sealed_by is not None:
                    seal(copy, case.sealed_by)
            yield copy
        finally:
            with psycopg.connect(copy.url, autocommit=True) as superuser:
                for case in cases:
                    superuser.execute((case.undo or "SELECT").encode())


def judge(books: Books, case: Case) -> None:
    with tampered(books, case) as copy:
        report = verified(copy)
    names = found(report)
    if SEALED in names:
        names -= {HEADS}  # an event that was changed may have been the last one of its stream
    assert names == case.found_by
    assert report.ok == (not case.found_by)
    findings = [finding for check in report.checks for finding in check.findings if finding.position is not None]
    assert case.says is None or any(case.says in finding.what for finding in findings)
    assert (CHANGES if report.digest != books.sound.digest else SAME) == case.digest


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_tampering_is_found_by_the_checks_that_the_table_names(books18: Books, case: Case) -> None:
    judge(books18, case)


@pytest.mark.parametrize("name", ON_15_TOO)
def test_some_cases_on_the_oldest_server(books15: Books, name: str) -> None:
    judge(books15, next(case for case in CASES if case.name == name))


@pytest.mark.parametrize("case", [case for case in CASES if case.why_not == KEPT_HEAD], ids=lambda case: case.name)
def test_what_is_rewritten_with_its_tree_is_found_by_a_kept_head(books18: Books, case: Case) -> None:
    with books18.server.database(like=books18.database) as copy:
        kept, known = kept_head(copy)
        assert disagrees(copy, kept, known) is None
    with tampered(books18, case) as copy:
        assert disagrees(copy, kept, known) is not None


@pytest.mark.parametrize("case", [case for case in CASES if case.why_not == KEPT_HEAD], ids=lambda case: case.name)
def test_a_stranger_with_a_kept_head_finds_it_in_the_bundle(books18: Books, case: Case, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with books18.server.database(like=books18.database) as copy:
        with psycopg.connect(copy.url) as connection:
            last = last_checkpoint(connection, 1)
            assert last is not None
            kept.write_text(last.note)
            keys = [f"--key={key.verifier}" for key in read_keys(connection, 1)]
        assert stranger(copy, tmp_path, f"--kept={kept}", *keys) == 0, "the books hold, all of their events"
    with tampered(books18, case) as copy:
        if case.sealed_by is None and "newest deleted" not in case.name:
            with pytest.raises(EvidenceError, match="daybook seal"):
                stranger(copy, tmp_path)
            return
        assert stranger(copy, tmp_path) == 0, "without a kept head and a key it is a ledger as any other"
        assert stranger(copy, tmp_path, f"--kept={kept}") == 1
        newest = case.sealed_by == NEXT_KEY
        assert stranger(copy, tmp_path, *keys) == (0 if newest else 1), "who knows the keys sees one of before"


def stranger(database: Database, folder: Path, *options: str) -> int:
    """The exit code of `daybook-verify` about the whole log."""
    bundle = folder / "log.bundle"
    with psycopg.connect(database.url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        bundle.write_bytes(b"".join(Evidence(connection, 1).of_log()))
    return daybook_verify.main([str(bundle), "--now=2100-01-01T00:00:00Z", *options])  # sealed by the clock of a test


def kept_head(database: Database) -> tuple[Checkpoint, list[Verifier]]:
    """The newest head and the keys, as somebody outside has them."""
    with psycopg.connect(database.url) as connection:
        last = last_checkpoint(connection, 1)
        assert last is not None
        known = [parse_verifier(key.verifier) for key in read_keys(connection, 1)]
        return open_checkpoint(last.note.encode(), ORIGIN, known).checkpoint, known


def disagrees(database: Database, kept: Checkpoint, known: list[Verifier]) -> str | None:
    """Why what the log shows now cannot come after a head that was kept; None if it does."""
    with psycopg.connect(database.url) as connection:
        last = last_checkpoint(connection, 1)
        if last is None or last.size < kept.size:
            return "the log was rolled back"
        try:
            new = open_checkpoint(last.note.encode(), ORIGIN, known).checkpoint
            proof = consistency_proof(kept.size, new.size, reader_of(new.size, tile_reader(connection, 1)))
            verify_consistency(kept.size, new.size, kept.root, new.root, proof)
        except (NoteError, ProofError) as error:
            return str(error)
    return None


def test_a_log_that_is_not_sealed_is_sound_and_the_report_says_so(books18: Books) -> None:
    with books18.server.database(like=books18.database) as copy:
        with psycopg.connect(copy.url, autocommit=True) as superuser:
            superuser.execute(NO_TREE)
        report = verified(copy)
    assert report.ok
    assert report.check(SEALED).not_covered == {UNSEALED: report.head}
    assert report.check(SIGNED).covered == report.check(HEADS).covered == 0


def test_what_is_not_sealed_yet_is_counted(books18: Books) -> None:
    assert books18.sound.check(SEALED).covered == books18.sound.head
    with books18.server.database(like=books18.database) as copy:
        with ledger_on(copy) as ledger:
            ledger.accepted(opening())
        report = verified(copy)
    later = report.head - books18.sound.head
    assert later > 0
    assert report.check(SEALED).covered == books18.sound.head
    assert report.check(SEALED).not_covered == {NOT_YET: later}
    assert report.check(SEALED).ok


def test_the_books_are_sound_and_have_every_kind_of_content(books18: Books) -> None:
    report = books18.sound
    assert found(report) == set()
    assert all(check.covered > 0 for check in report.checks), "a check covered nothing"
    assert report.check(NAMED).not_covered == {OLD_BATCHES: 2}
    assert report.check(REFUSALS).not_covered == {OLD_REFUSALS: 1}
    assert report.check(CODES_FIT).not_covered == {OLD_TEXTS: 2}
    assert set(report.tables.tables) == {table for projection in PROJECTIONS for table in projection.tables}
    with books18.server.database(like=books18.database) as copy, psycopg.connect(copy.url) as superuser:
        types = {type for (type,) in superuser.execute("SELECT DISTINCT type FROM log.events")}
        assert types == {entry.name for entry in CATALOGUE}
        outcomes = superuser.execute("SELECT array_agg(DISTINCT outcome ORDER BY outcome) FROM log.commands").fetchone()
        assert outcomes == ([1, 2, 3],)
        empty = [
            table
            for (table,) in superuser.execute(
                "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('log', 'read')"
            )
            if superuser.execute(f"SELECT EXISTS (SELECT FROM {table})".encode()).fetchone() == (False,)
        ]
        assert set(empty) == {"read.projection_errors", *EMPTY}, "an empty table cannot be tampered with"


def test_every_column_of_the_log_and_every_read_table_is_in_the_table(books18: Books) -> None:
    names = {case.name.partition(":")[0] for case in CASES}
    with books18.server.database(like=books18.database) as copy, psycopg.connect(copy.url) as superuser:
        columns = superuser.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns"
            " WHERE table_schema IN ('log', 'read', 'proof') AND table_name <> 'events_as_json'"
        ).fetchall()
    wanted = {f"{table}.{column}" for schema, table, column in columns if schema != "read"}
    wanted |= {table for schema, table, _ in columns if schema == "read"}
    missing = {one for one in wanted if one not in names and not any(name.startswith(f"{one}.") for name in names)}
    assert {one for one in missing - IMMUTABLE if f"log.{one.partition('.')[0]}" not in EMPTY} == set()


EMPTY = {
    "log.publications",  # what lag shows; where publishing goes on is decided by the topic
    "log.copies",  # of a replica: tests/integration/kafka/test_replica.py
    "log.command_hashes",  # of a replica; they change its digest
    "read.partitions",  # where there is no log: tests/integration/kafka/test_partitions.py
}


IMMUTABLE = {
    "logs.log",  # an identity: the server refuses to change it
    "logs.name",  # the log is not found: the command ends with a message
    "master_keys.fingerprint",  # every process is refused with a message: tests/integration/workers/test_keys.py
    "master_keys.status",
    "master_keys.retired_at",  # a constraint ties it to the status
    "eras.log",
    "eras.name",
    "eras.position",  # covered by the cases of the whole table
}


@pytest.mark.parametrize(
    "check", [*(question.name for question in QUESTIONS), STREAMS_KEEP_RULES, UNITS_KEEP_RULES, SEALED, SIGNED, HEADS]
)
def test_every_query_of_verify_finds_something_in_some_case(check: str) -> None:
    assert any(check in case.found_by for case in CASES)


def test_a_check_that_covers_less_than_the_total_reports_that() -> None:
    assert checked("a check", "events", 3, 3, []).ok
    assert checked("a check", "events", 2, 3, [], not_covered={"with a reason": 1}).ok
    short = checked("a check", "events", 2, 3, [])
    assert (short.offences, [str(finding) for finding in short.findings]) == (
        1,
        ["this check could look at only 2 of 3 events"],
    )


@pytest.mark.parametrize("question", QUESTIONS, ids=[question.name for question in QUESTIONS])
def test_a_query_that_covers_nothing_reports_that(books18: Books, question: Question) -> None:
    """Each query gets a filter that removes all its rows."""
    with books18.server.database(like=books18.database) as copy, psycopg.connect(copy.url) as superuser:
        log = open_log(superuser, read_head(superuser, "main"))
        empty = replace(question, queries=tuple(f"SELECT * FROM ({query}) q WHERE false" for query in question.queries))
        assert ask(log, question).ok
        assert not ask(log, empty).ok


def test_units_that_cross_windows_are_checked_like_others(books18: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("part.WINDOW", "commands.FIRST_WINDOW", "streams.FIRST_WINDOW", "tree.PAGE"):
        monkeypatch.setattr(f"workers.verify.{name}", 2)
    monkeypatch.setattr("eventstore.log.leaf.WINDOW", 2)
    with books18.server.database(like=books18.database) as copy:
        assert verified(copy) == books18.sound
    case = next(case for case in CASES if case.name == "commands.result: another version")
    judge(books18, case)


SEVERAL = (
    "rules: an overdraft below the minimum",
    "rules: a slug that another post takes",
    "rules: an event on a stream of another aggregate",
    "rules: a payment without its transaction",
    "commands.result: another version",
    "events.payload: JSON that is not of its type",
    "events.unit_end: beyond the last event of the unit",
)


@pytest.mark.parametrize("number", [2, 3, 7, 40])
def test_parts_find_together_what_one_part_finds(books18: Books, number: int) -> None:
    cases = [case for case in CASES if case.name in SEVERAL]
    with tampered(books18, *cases) as copy, psycopg.connect(copy.url) as superuser:
        log = open_log(superuser, read_head(superuser, "main"))
        whole, parts = (divide(log, "main", n) for n in (1, number))
        assert len(parts) == number
        one, several = (sum_of(log, [examine(superuser, part) for part in these]) for these in (whole, parts))
    assert several == one
    assert sum(check.offences for check in one) >= len(SEVERAL)


def test_a_sound_log_is_sound_in_processes_too(books18: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.verify.processes.EVENTS_OF_A_PROCESS", 20)
    with books18.server.database(like=books18.database) as copy:
        assert verified(copy, processes=2) == books18.sound


def test_what_processes_find_is_reported(books18: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.verify.processes.EVENTS_OF_A_PROCESS", 20)
    with tampered(books18, *(case for case in CASES if case.name in SEVERAL)) as copy:
        assert verified(copy, processes=3) == verified(copy)
