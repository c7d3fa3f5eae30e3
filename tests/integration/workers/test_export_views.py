"""Reporting views as files: every row at one position, what changed since, and no texts of people."""

from __future__ import annotations

import csv
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Text

from projections.engine.reporting import View
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, a_life, projector, transfer
from tests.integration.workers.running import daybook, environment
from tests.support.postgres import Database, Server
from workers.exporters import views
from workers.exporters.views import all_views, personal_columns

NAME, TEXT = "Grace Brewster Hopper", "for the nanoseconds"


@dataclass(frozen=True)
class Books:
    """A folded history that tests only read, and a position before its last changes."""

    database: Database
    middle: int
    head: int


@pytest.fixture(scope="module")
def books(postgres18: Server) -> Iterator[Books]:
    with postgres18.database() as database:
        filler = Filler(database)
        filler.write(*a_life(filler, seed=8, units=400))
        one, two = (filler.opening(name=name) for name in (NAME, "Bob"))
        filler.write([one], [two])
        middle = filler.position
        more = {"description": TEXT, "subject": "owner_1"}
        filler.write(transfer(filler.id("txn"), one.originator_id, two.originator_id, 1_234, **more))
        filler.begin()
        with projector(database) as connection:
            Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
        filler.close()
        yield Books(database, middle, filler.position)


def exported(books: Books, folder: Path, *options: str) -> dict[str, Any]:
    """Export into the folder. Returns the report."""
    done = daybook("export", "views", "--output", str(folder), "--json", *options, env=environment(books.database))
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = orjson.loads(done.stdout)
    assert orjson.loads((folder / "manifest.json").read_bytes()) == report
    return report


def rows_of(books: Books, view: str, columns: list[str], where: str = "true") -> list[tuple[Any, ...]]:
    """The rows of a view. JSON is text, as in the files."""
    with psycopg.connect(books.database.url, options="-c TimeZone=UTC") as connection:
        for name in ("json", "jsonb"):
            connection.adapters.register_loader(name, _Text)
        chosen = ", ".join(f'"{column}"' for column in columns)
        return connection.execute(f"SELECT {chosen} FROM reporting.{view} WHERE {where}".encode()).fetchall()


class _Text(psycopg.adapt.Loader):
    def load(self, data: Any) -> str:
        return bytes(data).decode()


def in_order(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(map(repr, rows))


def test_parquet_has_every_row_of_every_view_with_exact_types(books: Books, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    report = exported(books, folder, "--format", "parquet")
    assert report["position"] == report["head"] == books.head
    assert {view["view"] for view in report["views"]} == set(all_views())
    found = 0
    for view in report["views"]:
        table = pq.read_table(folder / view["file"])
        written = [tuple(row.values()) for row in table.to_pylist()]
        assert table.column_names == view["columns"]
        assert len(written) == view["rows"]
        stored = rows_of(books, view["view"], view["columns"])
        assert in_order(list(map(_normal, written))) == in_order(list(map(_normal, stored)))
        assert not any(isinstance(value, float) for row in written for value in row)
        found += len(written)
    assert found > 500
    types = {field.name: str(field.type) for field in pq.read_schema(folder / "entries.parquet")}
    assert types["amount"] == "decimal128(38, 6)"
    assert types["recorded_at"] == "timestamp[us, tz=UTC]"
    assert types["value_date"] == "date32[day]"


def _normal(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row with one way to write each value."""
    return tuple(
        value.normalize() + 0 if isinstance(value, Decimal)
        else value.astimezone(UTC).isoformat() if isinstance(value, datetime)
        else value
        for value in row
    )  # fmt: skip


def test_csv_has_every_row_of_every_view(books: Books, tmp_path: Path) -> None:
    report = exported(books, tmp_path)
    for view in report["views"]:
        with (tmp_path / view["file"]).open(newline="", encoding="utf-8") as file:
            header, *written = csv.reader(file)
        assert header == view["columns"]
        assert len(written) == view["rows"] == len(rows_of(books, view["view"], header))
    with (tmp_path / "entries.csv").open(newline="", encoding="utf-8") as file:
        [row] = [row for row in csv.DictReader(file) if row["amount"] == "12.34" and row["side"] == "debit"]
    assert row["recorded_at"].endswith("+00")
    assert date.fromisoformat(row["value_date"]) == date(2024, 1, 2)
    assert stat.S_IMODE((tmp_path / "entries.csv").stat().st_mode) == 0o600


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_later_export_has_what_changed_since(books: Books, format: str, tmp_path: Path) -> None:
    report = exported(books, tmp_path, "--format", format, "--after", str(books.middle))
    assert report["after"] == books.middle
    rows = {view["view"]: view["rows"] for view in report["views"]}
    assert (rows["entries"], rows["transactions"], rows["accounts"]) == (2, 1, 2)
    for view in report["views"]:
        changed = rows_of(books, view["view"], view["columns"], f"last_position > {books.middle}")
        assert view["rows"] == len(changed)


def test_texts_of_people_are_left_out_unless_they_are_asked_for(books: Books, tmp_path: Path) -> None:
    plain, personal = tmp_path / "plain", tmp_path / "personal"
    exported(books, plain)
    everything = b"".join(file.read_bytes() for file in plain.iterdir())
    assert NAME.encode() not in everything
    assert TEXT.encode() not in everything
    exported(books, personal, "--personal", "accounts", "transactions")
    assert {file.name for file in personal.iterdir()} == {"accounts.csv", "transactions.csv", "manifest.json"}
    assert NAME in (personal / "accounts.csv").read_text()
    assert TEXT in (personal / "transactions.csv").read_text()


def test_each_column_of_free_text_counts_as_personal() -> None:
    """So a new one is left out without being named here."""
    for _, view in all_views().values():
        tables = [view.table] if view.joined is None else [view.table, view.joined]
        texts = {c.name for table in tables for c in table.columns if _is_free(c.type)}
        shown = {column.name for column in view.shown if any(column.sql.endswith(f".{text}") for text in texts)}
        assert shown <= personal_columns(view), view.name
    assert personal_columns(_view("accounts")) == {"name", "status_reason"}


def _is_free(of: Any) -> bool:
    """Whether it is the type of free text, which has the usual collation, and not that of codes."""
    return isinstance(of, Text) and of.collation is None


def _view(name: str) -> View:
    return all_views()[name][1]


def test_what_cannot_be_exported_is_one_sentence(books: Books, tmp_path: Path) -> None:
    env = environment(books.database)
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").touch()
    for options, sentence in (
        (("--output", str(full)), "is not empty: choose another folder"),
        (("--output", str(tmp_path / "a"), "acounts"), "there is no view acounts; there are account_persons, accounts"),
        (("--output", str(tmp_path / "b"), "--after", "999999999"), "is after the head of the log"),
    ):
        done = daybook("export", "views", *options, env=env)
        assert done.returncode == 3
        assert sentence in " ".join(done.stderr.split())
    assert [*full.iterdir()] == [full / "something"]


def test_a_projection_that_is_not_what_the_log_says_is_not_exported(
    postgres18: Server, books: Books, tmp_path: Path
) -> None:
    with postgres18.database(like=books.database) as copy:
        with psycopg.connect(copy.url) as connection:
            connection.execute("UPDATE log.logs SET epoch = 2")
        done = daybook("export", "views", "accounts", "--output", str(tmp_path), env=environment(copy))
        assert done.returncode == 3
        assert "rebuild it: daybook rebuild accounts" in " ".join(done.stderr.split())
        assert not (tmp_path / "manifest.json").exists()


def test_parquet_without_pyarrow_is_one_sentence(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with (
        psycopg.connect(books.database.url) as connection,
        pytest.raises(views.ViewsError, match=r"pip install 'daybook\[parquet\]', or use --format csv"),
    ):
        views.export_views(connection, LOG, tmp_path, "parquet", datetime.now(UTC))
    assert os.listdir(tmp_path) == []
