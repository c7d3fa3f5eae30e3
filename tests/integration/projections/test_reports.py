"""Reports about projections: lag, differences, and waits. Also the views for reporting tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import monotonic
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from projections.engine import waiting
from projections.engine.lag import lag
from projections.engine.runner import Runner
from projections.engine.verify import CheckpointFinding, TableFinding
from projections.engine.waiting import BehindError, Checkpoints
from projections.registry import PROJECTIONS, UnknownProjectionError, chosen, named
from tests.integration.projections.filling import LOG, Filler, a_life, projector, transfer
from tests.support.postgres import Database

NAMES = [projection.name for projection in PROJECTIONS]
PATIENCE_SECONDS = 60.0
"""A wait for what comes. A shared machine is slow now and then."""


@pytest.fixture
def folded(filler: Filler, connection: Connection[Any]) -> Connection[Any]:
    """A history that is folded to its end."""
    filler.write(*a_life(filler, seed=25, units=700))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    return connection


def test_lag_is_the_number_of_events_and_the_age_of_the_oldest_one_not_folded(
    filler: Filler, folded: Connection[Any]
) -> None:
    assert lag(folded, LOG, PROJECTIONS).events == 0
    assert lag(folded, LOG, PROJECTIONS).seconds == 0
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    filler.write([filler.opening()], at=hour_ago)
    filler.write([filler.opening()], [filler.opening()], at=hour_ago + timedelta(minutes=30))
    now = lag(folded, LOG, PROJECTIONS)
    assert now.head == filler.position
    assert {one.events for one in now.projections} == {3}
    assert 3_600 <= now.seconds < 3_660
    Runner(folded, LOG, filler.codec, named(["posts"]), page=1).step()
    state = {one.projection: one for one in lag(folded, LOG, PROJECTIONS).projections}
    assert (state["posts"].events, state["accounts"].events) == (2, 3)
    assert 1_800 <= state["posts"].seconds < 1_860
    assert state["accounts"].seconds >= 3_600


def test_unchanged_tables_match_the_log(filler: Filler, folded: Connection[Any]) -> None:
    answered: list[tuple[int, int]] = []
    report = filler.verify(progress=lambda *at: answered.append(at))
    assert report.ok
    assert report.findings == ()
    assert set(report.tables) == {table for projection in PROJECTIONS for table in projection.tables}
    assert [table for table, rows in report.tables.items() if not rows] == []
    assert answered[-1] == (filler.position, filler.position)
    with pytest.raises(psycopg.errors.UndefinedTable):
        folded.execute("SELECT FROM pg_temp.accounts")
    assert folded.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
    assert folded.execute("SHOW search_path").fetchone() == ("read",), "the session is unchanged"


CHANGES = {
    "changed": ("UPDATE read.accounts SET balance = balance + 1 WHERE type = 'cash'", "accounts", 2, 2),
    "missing": ("DELETE FROM read.entries WHERE number = 2", "entries", None, 0),
    "too many": (
        "INSERT INTO read.trial_balance (currency, type, debits, credits, last_position)"
        " VALUES ('USD', 'cash', 0, 0, 1)",
        "trial_balance",
        0,
        1,
    ),
    "other text": ("UPDATE read.posts SET title = NULL", "posts", None, None),
    "null": ("UPDATE read.transactions SET reference = '' WHERE reference IS NULL", "transactions", None, None),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_tables_that_differ_are_found(filler: Filler, folded: Connection[Any], change: str) -> None:
    sql, table, missing, unexpected = CHANGES[change]
    changed = folded.execute(sql.encode()).rowcount
    assert changed > 0
    report = filler.verify()
    assert not report.ok
    [finding] = report.findings
    assert isinstance(finding, TableFinding)
    assert (finding.projection, finding.table) == (table, table)
    assert finding.missing == (changed if missing is None else missing)
    assert finding.unexpected == (changed if unexpected is None else unexpected)
    assert 0 < len(finding.sample) <= 5


def test_each_projection_is_compared_at_its_own_checkpoint(filler: Filler, folded: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=2, units=200))
    behind = Runner(folded, LOG, filler.codec, named(["entries", "orders"]), page=50)
    behind.step()
    report = filler.verify(patience_seconds=0)
    assert report.rows_ok
    assert len(set(report.positions.values())) == 2
    assert {finding.projection for finding in report.findings} == set(NAMES), "all of them end before the head"


def test_text_that_remains_after_its_key_was_erased_is_found(filler: Filler, folded: Connection[Any]) -> None:
    filler.destroy_key("author-1")
    findings = filler.verify().findings
    assert {finding.table for finding in findings if isinstance(finding, TableFinding)} == {"posts", "post_revisions"}


def test_a_checkpoint_within_a_unit_is_found(filler: Filler, connection: Connection[Any]) -> None:
    one, other = filler.opening(), filler.opening()
    filler.write([one], [other], transfer("txn_1", one.originator_id, other.originator_id, 5))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    connection.execute(
        "UPDATE read.checkpoints c SET position = 4, digest = sha256(convert_to(concat_ws(E'\\x1f', e.position,"
        " e.stream, e.version, e.type, extract(epoch FROM e.recorded_at)), 'UTF8') || e.payload || e.metadata)"
        " FROM log.events e WHERE e.position = 4 AND projection = 'entries'"
    )
    [finding] = filler.verify().findings
    message = "entries stands at 4, within a unit that ends at 5; rebuild it: daybook rebuild entries"
    assert finding == CheckpointFinding("entries", message)


def test_a_checkpoint_on_another_event_is_found(filler: Filler, folded: Connection[Any]) -> None:
    folded.execute("UPDATE read.checkpoints SET position = position + 1000 WHERE projection = 'posts'")
    [finding] = filler.verify().findings
    assert isinstance(finding, CheckpointFinding)
    assert "its history was replaced" in finding.message


def test_a_projection_must_be_known() -> None:
    assert [projection.name for projection in named(["posts", "accounts"])] == ["accounts", "posts"]
    with pytest.raises(UnknownProjectionError, match="there is no projection poems; there are accounts, movements"):
        named(["accounts", "poems"])


def test_projections_are_chosen_by_name_and_by_area() -> None:
    def names(*given: str) -> list[str]:
        return [projection.name for projection in chosen(given)]

    of_accounts = [projection.name for projection in PROJECTIONS if projection.area == "accounts"]
    assert names("accounts") == of_accounts, "a name of both a projection and an area means the area"
    assert names("accounts/accounts") == ["accounts"]
    assert names("posts", "entries") == ["posts", "entries"]
    assert chosen([]) == PROJECTIONS
    with pytest.raises(UnknownProjectionError) as refused:
        chosen(["accounts", "poems"])
    known = ", ".join(projection.name for projection in PROJECTIONS)
    assert str(refused.value) == (
        "there is no projection and no area poems; the areas are accounts, orders, posts, commands, processes, people, "
        f"webhooks, the projections {known}"
    )


# Waiting.


@pytest.fixture
def checkpoints(database: Database) -> Iterator[Checkpoints]:
    """Checkpoints as the API has them."""
    with projector(database) as checking:
        checking.execute("SELECT 1")
    made = Checkpoints(lambda: psycopg.connect(database.query_url, autocommit=True), LOG)
    yield made
    made.close()


def test_a_reader_waits_for_its_write(filler: Filler, folded: Connection[Any], checkpoints: Checkpoints) -> None:
    asyncio.run(checkpoints.wait(NAMES, filler.position, timeout=PATIENCE_SECONDS))
    assert checkpoints.reached(NAMES) == filler.position
    head = filler.write(*a_life(filler, seed=2, units=30))

    waited: list[str] = []

    async def wait(name: str) -> None:
        await checkpoints.wait([name], head, timeout=PATIENCE_SECONDS)
        waited.append(name)

    async def wait_for_each() -> None:
        await asyncio.gather(*map(wait, NAMES))

    threads = [Thread(target=lambda: asyncio.run(wait_for_each())) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waited == []
    Runner(folded, LOG, filler.codec, PROJECTIONS).run_to_head()
    for thread in threads:
        thread.join()
    assert sorted(waited) == sorted([*NAMES, *NAMES])


def test_a_visible_position_needs_no_wait(
    filler: Filler, folded: Connection[Any], checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found by the first look, which a slow machine may need longer for than the usual quarter of a second."""
    monkeypatch.setattr(waiting, "FIRST_LOOK_SECONDS", PATIENCE_SECONDS)
    asyncio.run(checkpoints.wait(NAMES, filler.position, timeout=0))


def test_rows_of_another_epoch_are_not_visible(
    filler: Filler, folded: Connection[Any], checkpoints: Checkpoints
) -> None:
    """The log was restored and the read tables were not, so their positions belong to another history."""
    folded.execute("UPDATE read.checkpoints SET epoch = epoch + 1 WHERE projection = 'entries'")
    with pytest.raises(BehindError, match="entries has folded the log up to position 0"):
        asyncio.run(checkpoints.wait(NAMES, filler.position, timeout=0.5))


def test_the_wait_is_bounded_and_names_the_projection_that_is_behind(
    filler: Filler, folded: Connection[Any], checkpoints: Checkpoints
) -> None:
    at = filler.position
    head = filler.write(*a_life(filler, seed=2, units=30))
    Runner(folded, LOG, filler.codec, named(["accounts"])).run_to_head()
    asyncio.run(checkpoints.wait(["accounts"], head, timeout=PATIENCE_SECONDS))
    began = monotonic()
    with pytest.raises(BehindError, match=f"entries has folded the log up to position {at}, not yet {head}") as raised:
        asyncio.run(checkpoints.wait(["accounts", "entries"], head, timeout=0.1))
    assert 0.1 <= monotonic() - began < PATIENCE_SECONDS
    assert (raised.value.projection, raised.value.reached, raised.value.position) == ("entries", at, head)


def test_the_wait_survives_a_lost_connection(
    filler: Filler, folded: Connection[Any], checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(checkpoints.wait(NAMES, filler.position, timeout=PATIENCE_SECONDS))
    filler.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid NOT IN (pg_backend_pid(), %s)",
        (folded.info.backend_pid,),
    )
    head = filler.write(*a_life(filler, seed=2, units=30))
    Runner(folded, LOG, filler.codec, named(["accounts"])).run_to_head()
    asyncio.run(checkpoints.wait(["accounts"], head, timeout=PATIENCE_SECONDS))


# Reporting.


def test_reporting_tools_see_major_units_and_comments(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    accounts = [
        filler.opening(currency=currency, name="Ada") for currency in ("EUR", "EUR", "JPY", "JPY", "KWD", "KWD")
    ]
    filler.write(*[[opened] for opened in accounts])
    for one, other in zip(accounts[::2], accounts[1::2], strict=True):
        filler.write(transfer(filler.id("txn"), one.originator_id, other.originator_id, 12_345, one.currency))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    with psycopg.connect(database.reader_url) as reader:
        shown = [
            (currency, str(balance))
            for currency, balance in reader.execute(
                "SELECT currency, balance FROM reporting.accounts WHERE balance > 0 ORDER BY currency"
            )
        ]
        assert shown == [("EUR", "123.45"), ("JPY", "12345"), ("KWD", "12.345")]
        for table in ("entries", "movements", "trial_balance"):
            sums = reader.execute(
                f"SELECT DISTINCT {'amount' if table == 'entries' else 'credits'}::text FROM reporting.{table}"
            ).fetchall()
            assert {"123.45", "12345", "12.345"} <= {value for (value,) in sums}
        uncommented = reader.execute(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
            " WHERE c.relnamespace = 'reporting'::regnamespace AND (col_description(c.oid, a.attnum) IS NULL"
            " OR obj_description(c.oid) IS NULL)"
        ).fetchall()
        assert uncommented == []
        views = reader.execute("SELECT count(*) FROM pg_views WHERE schemaname = 'reporting'").fetchone()
        assert views is not None
        assert views[0] >= len(PROJECTIONS)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM read.accounts")
