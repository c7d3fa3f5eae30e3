"""Read tables forget the text of people who were erased, wherever the log is cut into pages."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from psycopg import Connection

from domain.accounts.account.events import AccountDetailsChanged, AccountFrozen
from domain.accounts.periods.state import PERIODS, PeriodClosed, PeriodReopeningAsked
from domain.accounts.reconciliation.events import Line, ReconciliationOpened, StatementPartListed
from domain.accounts.recurring import Schedule
from domain.accounts.recurring.state import RecurringPaymentCreated
from domain.accounts.transfer_order.events import Sum, TransferOrderSubmitted
from domain.orders.order import OrderPlaced, PlacedLine
from domain.people.person.events import PersonProfileChanged, PersonRegistered, PersonSuspended
from domain.posts.post import PostDeleted, PostDrafted, PostRevised
from domain.subjects import SubjectErased, subject_stream
from projections.engine.ddl import quoted
from projections.engine.erasure import erase_statement, personal_text
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, a_life, transfer

TABLES = [table for projection in PROJECTIONS for table in projection.personal]
LINES = (PlacedLine("tea", 2, 3),)


def everything_about(filler: Filler, person: str, suffix: str, *, again: bool = False) -> list[Any]:
    """A unit for each kind of text that a person can have. A person is registered once, not `again`."""
    first = (
        []
        if again
        else [[PersonRegistered(person, 1, person, "ada", "ada@example.com", "Ada", f"u{suffix}", f"e{suffix}")]]
    )
    version = 4 if again else 2
    account = filler.opening(owner=person)
    id, post, session = account.originator_id, f"post_{suffix}", f"recon_{suffix}"
    return [
        *first,
        [PersonProfileChanged(person, version, person, "Ada King", "Counts", None, None, None)],
        [PersonSuspended(person, version + 1, person, "spam")],
        [account],
        [AccountDetailsChanged(id, 0, person, "another name")],
        [AccountFrozen(id, 0, person, "a reason")],
        transfer(f"txn_{suffix}", id, id, 1, subject=person, description="to myself"),
        [PostDrafted(post, 1, person, "Title", "Body")],
        [PostRevised(post, 2, person, 2, "Title", "Body", "why")],
        [PostDeleted(post, 3, person, "spam")],
        [
            PeriodClosed(f"{PERIODS}-{suffix}", 1, f"per_{suffix}", suffix, date.min, date.min, "an operator"),
            PeriodReopeningAsked(f"{PERIODS}-{suffix}", 2, f"per_{suffix}", f"appr_{suffix}", person, "a mistake"),
        ],
        [OrderPlaced(f"ord_{suffix}", 1, person, "EUR", LINES, ("Tea",), 6, None, {})],
        [
            RecurringPaymentCreated(
                originator_id=f"recur_{suffix}",
                originator_version=1,
                payer=id,
                payee=id,
                amount=1,
                currency="EUR",
                schedule=Schedule("days", 1, date.min),
                due_on=date.min,
                reference=None,
                metadata={},
                subject=person,
                description="to myself",
                initiator=None,
                by_customer=False,
            )
        ],
        [
            TransferOrderSubmitted(
                originator_id=f"tord_{suffix}",
                originator_version=1,
                source=id,
                target=id,
                currency="EUR",
                target_currency="EUR",
                sum=Sum(1, "EUR"),
                bound=None,
                quote=None,
                fee=None,
                held=1,
                execute_at=None,
                expires_at=None,
                notify=False,
                reference=None,
                metadata={},
                subject=person,
                description="to myself",
                initiator=None,
                by_customer=False,
            )
        ],
        [
            ReconciliationOpened(
                originator_id=session,
                originator_version=1,
                account=id,
                currency="EUR",
                statement="S-1",
                mirrored=False,
                since=date.min,
                until=date.min,
                opening=0,
                closing=1,
                lines=1,
                skipped=0,
                days_apart=3,
                digest="",
                operator="tester",
                subject=person,
                outside_account="DE89370400440532013000",
            ),
            StatementPartListed(
                originator_id=f"reconprt_{suffix}",
                originator_version=1,
                reconciliation=session,
                currency="EUR",
                mirrored=False,
                first=1,
                lines=(Line(date.min, date.min, 1, (), None),),
                subject=person,
                counterparties=("Ada King",),
                texts=("for the engine",),
            ),
        ],
    ]


def tables(connection: Connection[Any]) -> dict[str, list[str]]:
    """The rows of each table with text of people."""
    rows = {}
    for table in TABLES:
        names = ", ".join(f"t.{quoted(column.name)}" for column in table.columns)
        found = connection.execute(f"SELECT ROW({names})::text FROM {quoted(table.name)} t ORDER BY 1".encode())
        rows[str(table.name)] = [row for (row,) in found]
    return rows


def fold(connection: Connection[Any], filler: Filler, page: int) -> None:
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=page)
    runner.run_to_head()
    assert not runner.stopped


def test_every_text_of_a_person_is_gone_and_that_of_others_stays(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*everything_about(filler, "ada", "1"), *everything_about(filler, "bob", "2"))
    fold(connection, filler, 64_000)
    before = tables(connection)
    filler.erase("ada")
    fold(connection, filler, 64_000)
    after = tables(connection)
    for table in TABLES:
        gone = [row for row in before[str(table.name)] if row not in after[str(table.name)]]
        assert gone, f"{table.name} has text of a person"
        assert len(gone) * 2 == len(before[str(table.name)]), "half of the rows are about the other person"
    assert "to myself" in str(after["transactions"])
    assert filler.verify().findings == ()


@pytest.mark.parametrize("first", [1, 3, 64_000])
@pytest.mark.parametrize("then", [1, 64_000])
def test_the_tables_do_not_depend_on_where_the_log_is_cut(
    filler: Filler, connection: Connection[Any], first: int, then: int
) -> None:
    """People are erased between events about them. Some of these were sealed before, and came later."""
    filler.write(*a_life(filler, seed=first, units=100), *everything_about(filler, "ada", "1"))
    fold(connection, filler, first)  # the tables have the text
    late = everything_about(filler, "ada", "2", again=True)
    erased = [SubjectErased(subject_stream("ada"), 1, "ada")]
    filler.write(*everything_about(filler, "bob", "3"), erased, *late, *a_life(filler, seed=then, units=50))
    filler.erase("bob")
    filler.erase("nobody")
    fold(connection, filler, then)
    cut = tables(connection)
    assert "to myself" not in str(cut)
    assert filler.verify().findings == ()
    filler.rebuild(connection)
    assert tables(connection) == cut


def test_what_cannot_be_opened_is_erased_too(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*everything_about(filler, "ada", "1"))
    filler.connection.execute("UPDATE log.subject_keys SET sealed_key = 'junk'")
    filler.sealer.forget()
    fold(connection, filler, 10)
    assert "[unreadable]" in str(tables(connection))
    filler.erase("ada")
    fold(connection, filler, 10)
    assert "[unreadable]" not in str(tables(connection))
    assert filler.verify().findings == ()


def test_a_failed_erasure_stops_the_projection_at_its_event(
    filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    filler.write(*everything_about(filler, "ada", "1"))
    filler.erase("ada")
    filler.write(*everything_about(filler, "bob", "2"))

    def fail(*arguments: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr("projections.engine.pages.erase", fail)
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    erasing = {projection.name for projection in PROJECTIONS if projection.personal}
    assert set(runner.stopped) == erasing
    assert all("subject.erased.v1 on subject:ada" in why for why in runner.stopped.values())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_rows_are_found_by_an_index(filler: Filler, connection: Connection[Any], table: Any) -> None:
    Runner(connection, LOG, filler.codec, PROJECTIONS)  # makes the session fold into the tables
    rows = connection.execute(f"EXPLAIN {erase_statement(table)}".encode(), (["ada"], [1], ["2026-01-01"])).fetchall()
    plan = "\n".join(line for (line,) in rows)
    personal = personal_text(table)
    assert personal is not None
    assert "Seq Scan" not in plan, plan
    assert f"({personal.subject} = " in plan, plan
