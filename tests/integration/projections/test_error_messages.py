"""An error of the database can quote rows with names of persons. Such text is neither stored nor shown."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace as with_changes
from psycopg import Connection

from projections.engine.follow import follow
from projections.engine.lag import lag
from projections.engine.projection import FoldCache, Projection
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS, named
from tests.integration.projections.filling import LOG, Filler, projector
from tests.support.postgres import Database

NAME = "Ada Lovelace"
ACCOUNTS = named(["accounts"])[0]


def raising(sqlstate: str) -> Projection:
    """The projection of accounts with a server that refuses its rows and quotes them."""

    def write(connection: Connection[Any], result: Any, memory: FoldCache) -> None:
        connection.execute(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{sqlstate}', DETAIL = 'row of {NAME}'; END $$")

    return replace(ACCOUNTS, write=write)


def test_a_row_that_is_refused_is_not_quoted(
    filler: Filler, connection: Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    filler.connection.execute("ALTER TABLE read.accounts ADD CONSTRAINT nobody CHECK (name IS NULL)")
    filler.write([with_changes(filler.opening(), name=NAME)])
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    kept = connection.execute("SELECT message FROM read.projection_errors").fetchone()
    [stopped] = [one.stopped for one in lag(connection, LOG, PROJECTIONS).projections if one.stopped]
    for message in (runner.stopped["accounts"], str(kept), stopped, caplog.text):
        assert NAME not in message
        assert "CheckViolation: new row for relation" in message
        assert "(SQLSTATE 23514, constraint nobody)" in message


def test_a_fresh_fold_does_not_quote_it_either(filler: Filler, connection: Connection[Any]) -> None:
    filler.write([filler.opening()])
    Runner(connection, LOG, filler.codec, [ACCOUNTS]).run_to_head()
    [finding] = filler.verify([raising("23514")]).findings
    assert "cannot be folded afresh after position 0: CheckViolation: no (SQLSTATE 23514)" in str(finding)
    assert NAME not in str(finding)


def test_an_interruption_does_not_quote_it_either(
    database: Database, filler: Filler, caplog: pytest.LogCaptureFixture
) -> None:
    filler.begin()
    filler.write([filler.opening()])
    stop, full = Event(), raising("53100")

    def write(connection: Connection[Any], result: Any, memory: FoldCache) -> None:
        stop.set()
        full.write(connection, result, memory)

    interrupted = replace(full, write=write)
    follow(lambda: projector(database), lambda connection, log_number: filler.codec, LOG, [interrupted], stop)
    assert "the database cannot be used" in caplog.text
    assert "DiskFull: no (SQLSTATE 53100)" in caplog.text
    assert NAME not in caplog.text


def test_an_internal_error_is_reported_with_its_place(filler: Filler, connection: Connection[Any]) -> None:
    filler.write([with_changes(filler.opening(), name=NAME)])

    def fold(events: Any) -> Any:
        return {}[events[0].event.name]

    runner = Runner(connection, LOG, filler.codec, [replace(ACCOUNTS, fold=fold)])
    runner.run_to_head()
    assert NAME not in runner.stopped["accounts"]
    assert "KeyError in tests.integration.projections.test_error_messages:" in runner.stopped["accounts"]
