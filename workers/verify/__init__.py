"""Proves from the database alone that a log is sound, and that the read tables are the fold of it.

`verify` runs every check and reports what each covered and found. The modules: `log` (set-based questions about events
and commands), `commands` (every event decoded, every recorded answer), `codes`, `snapshots`, `keys`, `schema`,
`report`, `printing`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import Connection, IsolationLevel

from eventstore.log import leaf
from eventstore.log.codec import Codec
from eventstore.log.read import read_head
from projections.engine.verify import PATIENCE_SECONDS, verify_tables
from projections.registry import PROJECTIONS
from workers.verify.codes import CODES_FIT, check_codes
from workers.verify.commands import check_commands
from workers.verify.keys import KEYS_OPEN, check_keys
from workers.verify.log import QUESTIONS, READABLE, ask, open_log
from workers.verify.report import Check, VerifyReport
from workers.verify.schema import SCHEMA, check_schema
from workers.verify.snapshots import SNAPSHOTS_HOLD, check_snapshots


def verify(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    progress: Callable[[str], None] = lambda name: None,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> VerifyReport:
    """Run every check. The connection may read the log and the read tables, and make temporary tables.

    The log and the schema are checked in one snapshot, which does not see later appends. The read tables are checked
    in another snapshot after it. Projections get `patience_seconds` to reach the head of the first one.
    Raises `UnknownLogError`.
    """
    before = connection.isolation_level
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction(force_rollback=True):  # the temporary functions and views end with it
            connection.execute("SET LOCAL row_security = on")  # a policy that hides rows is a finding, not an error
            head = read_head(connection, log)
            checks: list[Check] = []
            progress(READABLE)
            opened = open_log(connection, head)
            checks += check_commands(opened, codec)
            for question in QUESTIONS:
                progress(question.name)
                checks.append(ask(opened, question))
            progress(CODES_FIT)
            checks.append(check_codes(opened))
            progress(SNAPSHOTS_HOLD)
            checks.append(check_snapshots(connection, head, codec))
            progress(KEYS_OPEN)
            checks.append(check_keys(connection, head.log_number, codec))
            progress(SCHEMA)
            checks.append(check_schema(connection, PROJECTIONS))
            progress(leaf.DIGEST)
            digest = leaf.digest(connection, head.log_number, head.position)
    finally:
        connection.isolation_level = before
    progress("read tables equal a fresh fold")
    tables = verify_tables(connection, log, codec, PROJECTIONS, due=head.position, patience_seconds=patience_seconds)
    return VerifyReport(
        log=log,
        epoch=head.epoch,
        head=head.position,
        digest_version=leaf.DIGEST,
        digest=digest,
        checks=tuple(checks),
        tables=tables,
    )
