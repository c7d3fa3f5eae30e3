"""Derived from the declared tables: committed SQL, comments, shapes, and columns of every view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Table, Text

from domain.posts.post import PostRevised
from projections.engine import ddl
from projections.engine.columns import amount, code, day, flag, index, number, read_table
from projections.engine.declared import declared
from projections.engine.erasure import personal_text, without_text
from projections.engine.projection import Projection
from projections.engine.reporting import View
from projections.engine.writing import copy_target
from projections.generated import file_of, sql_of
from projections.posts import posts
from projections.registry import PROJECTIONS

VIEWS = [view for projection in PROJECTIONS for view in projection.reports]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
def test_the_committed_sql_matches_the_declarations(projection: Projection) -> None:
    assert file_of(projection).read_text(encoding="utf-8") == sql_of(projection), "run make sql"


def test_every_table_and_column_has_a_comment() -> None:
    for table in (table for projection in PROJECTIONS for table in projection.read_tables):
        assert table.comment
        assert [column.name for column in table.columns if not column.comment] == []


def test_names_are_unique_and_unqualified() -> None:
    names = [projection.name for projection in PROJECTIONS]
    tables = [table for projection in PROJECTIONS for table in projection.tables]
    assert len(set(names)) == len(names)
    assert len(set(tables)) == len(tables)
    for projection in PROJECTIONS:
        assert "read." not in projection.schema, "the engine determines the schema of its tables"


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_has_the_position_of_its_row_s_last_change(view: View) -> None:
    names = [column if isinstance(column, str) else column.name for column in view.columns]
    assert "last_position" in names


def made(*, customer: bool = True, wide: bool = False) -> Table:
    return read_table(
        "things",
        "Things.",
        code("thing", "Its id.", key=True),
        code("customer", "Whose.") if customer else code("customer", "Whose.", optional=True),
        number("count", "A number.", bits=64 if wide else 32),
        index("things_by_customer", "customer"),
    )


@pytest.mark.parametrize(
    "other",
    [
        lambda: made(customer=False),
        lambda: made(wide=True),
        lambda: read_table("things", "Things.", code("thing", "Its id.", key=True)),
    ],
    ids=["nullability", "type", "columns"],
)
def test_a_shape_changes_with_the_columns(other: Callable[[], Table]) -> None:
    assert ddl.normalised([made()]) != ddl.normalised([other()])


def test_a_shape_does_not_change_with_comments_order_or_indexes() -> None:
    other = read_table(
        "things",
        "Other things.",
        number("count", "Another comment.", bits=32),
        code("customer", "Whose it is."),
        code("thing", "Its id.", key=True),
        storage="fillfactor = 50",
    )
    assert ddl.normalised([made()]) == ddl.normalised([other])
    assert ddl.create_tables([made()]) != ddl.create_tables([other])


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)
def test_every_free_text_is_declared_as_text_of_a_person(projection: Projection) -> None:
    """Text that anybody wrote may be about a person, so an erasure has to reach it."""
    for table in projection.read_tables:
        free = {one.name for one in table.columns if isinstance(one.type, Text) and one.type.collation is None}
        personal = personal_text(table)
        assert free == (set() if personal is None else set(personal.texts)), table.name


def test_an_erased_row_keeps_what_it_never_had() -> None:
    row = {"title": "T", "body": "B", "reason": None, "text_erased": False, "reason_erased": False}
    erased = without_text(posts.TABLE, row, 7, "t7")
    assert erased == {
        **dict.fromkeys(("title", "body", "reason")),
        "text_erased": True,
        "reason_erased": False,
        "last_position": 7,
        "last_at": "t7",
    }
    assert without_text(posts.REVISIONS, {**row, "summary": None}, 7, "t7")["erasure"] == 7


def test_ddl_is_readable() -> None:
    table = read_table(
        "order_days",
        "One row a day of an order's customer.",
        code("order", "The order's id.", key=True),
        day("day", "The day.", key=True),
        flag("late", "Whether it is late."),
        amount("limit", "NULL: none.", optional=True),
        number("count", "How many."),
        index("order_days_late", "day", where="late"),
        storage="fillfactor = 80",
    )
    assert ddl.create_tables([table]) == (
        "CREATE TABLE order_days (\n"
        "    count   bigint NOT NULL,\n"
        "    day     date NOT NULL,\n"
        "    late    boolean NOT NULL,\n"
        '    "limit" bigint,\n'
        '    "order" text COLLATE "C" NOT NULL,\n'
        '    PRIMARY KEY ("order", day)\n'
        ") WITH (fillfactor = 80);\n"
        "\n"
        "CREATE INDEX order_days_late ON order_days (day) WHERE late;\n"
        "\n"
        "COMMENT ON TABLE order_days IS 'One row a day of an order''s customer.';\n"
        "COMMENT ON COLUMN order_days.\"order\" IS 'The order''s id.';\n"
        "COMMENT ON COLUMN order_days.day IS 'The day.';\n"
        "COMMENT ON COLUMN order_days.late IS 'Whether it is late.';\n"
        "COMMENT ON COLUMN order_days.\"limit\" IS 'NULL: none.';\n"
        "COMMENT ON COLUMN order_days.count IS 'How many.';\n"
    )


def test_copy_names_every_column() -> None:
    assert copy_target(made()) == "things (thing, customer, count)"
    assert copy_target(made(), ("count", "thing", "customer")) == "things (count, thing, customer)"
    with pytest.raises(ValueError, match="things has the columns thing, customer, count, not thing, count"):
        copy_target(made(), ("thing", "count"))


def test_details_of_a_change_cannot_be_declared_where_rows_are_loaded_first() -> None:
    reading = replace(posts.FOLD, reads=("revision",))
    details = {posts.REVISIONS: {PostRevised: posts.revision_of}}
    with pytest.raises(ValueError, match="cannot make details while functions read columns"):
        declared("posts", reading, area="posts", details=details, reports=())
