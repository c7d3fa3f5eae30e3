"""How a session folds: where tables are found, and how the planner treats them."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

_SETTINGS = {
    # Plans must not depend on what statistics happened to say when a table was empty: always the index.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",  # else a table that was empty is gone through for each row, also when it is not any more
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # A commit lost in a crash of the server takes its checkpoint with it and is folded again: nothing to wait for.
    "synchronous_commit": "off",
}


def fold_into(connection: Connection[Any], schema: str, *, local: bool = False) -> None:
    """Let the session (`local`: the transaction) fold into the tables of this schema."""
    settings = {"search_path": schema, **_SETTINGS}
    connection.execute(
        "SELECT set_config(name, setting, %s) FROM unnest(%s::text[], %s::text[]) AS s(name, setting)",
        (local, list(settings), list(settings.values())),
    )


def plan_freely(connection: Connection[Any]) -> None:
    """For the rest of the transaction, let the planner choose again and statements take their time."""
    connection.execute(
        "SELECT set_config(name, 'on', true) FROM unnest(%s::text[]) AS s(name)",
        ([name for name in _SETTINGS if name.startswith("enable_")],),
    )
    connection.execute("SET LOCAL plan_cache_mode = auto")
    connection.execute("SET LOCAL statement_timeout = 0")
