"""The settings of a session that folds: where its tables are, and how the planner treats them."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

_SETTINGS = {
    # Plans must not depend on statistics of an empty table: always use the index.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",  # else a table that was empty is scanned for each row, also when it is full
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # A commit that is lost in a crash loses its checkpoint too, and is folded again. So no commit waits for the disk.
    "synchronous_commit": "off",
}


def fold_into(connection: Connection[Any], schema: str, *, local: bool = False) -> None:
    """Make the session, or with `local` the transaction, fold into the tables of this schema."""
    settings = {"search_path": schema, **_SETTINGS}
    connection.execute(
        "SELECT set_config(name, setting, %s) FROM unnest(%s::text[], %s::text[]) AS s(name, setting)",
        (local, list(settings), list(settings.values())),
    )


def plan_freely(connection: Connection[Any]) -> None:
    """For the rest of the transaction the planner chooses freely, and statements have no time limit."""
    connection.execute(
        "SELECT set_config(name, 'on', true) FROM unnest(%s::text[]) AS s(name)",
        ([name for name in _SETTINGS if name.startswith("enable_")],),
    )
    connection.execute("SET LOCAL plan_cache_mode = auto")
    connection.execute("SET LOCAL statement_timeout = 0")
