"""The read models of policies: a row as the policy is now, and a row for each version of it, which never changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from psycopg import Connection
from sqlalchemy import Column, Table

from projections.engine.columns import code, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.projection import Projection
from projections.engine.reporting import View, last_position
from projections.engine.writing import Row

N = TypeVar("N")
V = TypeVar("V")

_STREAM = "The name of its stream in the log."


@dataclass(frozen=True)
class PolicyModel(Generic[N, V]):
    """The tables of a policy, their fold, and their queries. `N` is a row of it as it is now, `V` one of a version."""

    fold: RowFold
    versions: Table
    projection: Projection
    rows: Listing[N]
    version_rows: Listing[V]

    def now(self, connection: Connection[Any], policy: str) -> N | None:
        """The policy as it is now; None if its stream is not in the log."""
        return self.rows.one(connection, policy=policy)

    def all_versions(
        self,
        connection: Connection[Any],
        policy: str,
        *,
        after: int | None = None,
        cursor: int | None = None,
        limit: int = 100,
    ) -> Listed[V, int]:
        """The versions of the policy, oldest first; `after` is a position, `cursor` a version."""
        return self.version_rows.read(connection, {"policy": policy, "after": after}, limit, cursor=cursor)


def policy_model(
    name: str,
    what: str,
    counts: str,
    *,
    columns: Callable[[], tuple[Column[Any], ...]],
    values: Callable[[Any], tuple[Any, ...]],
    begins: type[Any],
    changes: type[Any],
    row: type[N],
    version: type[V],
    added: tuple[str, ...] = (),
) -> PolicyModel[N, V]:
    """The read model of a policy, which is called `name` and in sentences `what`.

    `columns` are what it says, and `values` are those of an event, in their order. `counts` says what a version counts
    for. `begins` is the event that creates the stream. `added` are columns of a later release: they stand last in the
    views, because PostgreSQL extends a view only at its end.
    """
    names = tuple(column.name for column in columns())
    shown = tuple(column for column in names if column not in added)
    table = read_table(
        name,
        f"{what} now: one row.",
        code("policy", _STREAM, key=True),
        *columns(),
        number("version", "Version of the stream at the last change."),
        number("last_position", "Position in the log of the last change."),
        moment("last_at", "When the last change was recorded, UTC."),
    )
    versions = read_table(
        f"{name}_versions",
        f"One row a version: {what[0].lower()}{what[1:]} then. Rows are never changed.",
        code("policy", _STREAM, key=True),
        number("version", "Version of the stream.", key=True),
        *columns(),
        number("position", f"Position in the log: it counts for {counts} after it."),
        moment("recorded_at", "When it was recorded, UTC."),
    )

    def changed(row: Row, event: Any) -> Row:
        return {**row, **dict(zip(names, values(event), strict=True))}

    def version_of(row: Row, event: Any) -> list[tuple[Any, ...]]:
        """The version that the event makes."""
        of_stream = (event.originator_id, event.originator_version)
        return [(*of_stream, *values(event), row["last_position"], row["last_at"])]

    fold = RowFold(table, starts={begins: changed}, changes={changes: changed})
    projection = declared(
        name,
        fold,
        area="accounts",
        details={versions: {begins: version_of, changes: version_of}},
        reports=(
            View(table, f"{what} now: one row.", ("policy", *shown, "version", "last_position", "last_at", *added)),
            View(
                versions,
                f"One row a version: {what[0].lower()}{what[1:]} then.",
                ("policy", "version", *shown, "position", "recorded_at", last_position("t.position"), *added),
            ),
        ),
    )
    return PolicyModel(
        fold,
        versions,
        projection,
        Listing(readable(table), row, key="policy", filters=("policy",)),
        Listing(readable(versions), version, key="version", filters=("policy",)),
    )
