"""Proves from the database alone that a log is sound, and that the read tables are the fold of it.

`verify` runs every check and reports what each covered and found. The modules: `log` (set-based questions about events
and commands), `commands` (every event decoded, every recorded answer, the rules beside other events of a unit),
`streams` (the rules of each aggregate), `parts` and `processes` (those two in several processes), `snapshots`, `keys`,
`schema`, `tree` and `heads` (of the transparency log), `report`, `printing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from psycopg import Connection, IsolationLevel

from eventstore.log import leaf
from eventstore.log.codec import Codec
from eventstore.log.read import read_head
from projections.engine.verify import PATIENCE_SECONDS, verify_tables
from projections.registry import PROJECTIONS
from workers.verify.codes import CODES_FIT, check_codes
from workers.verify.commands import Walk, checks_of
from workers.verify.heads import HEADS, check_heads
from workers.verify.keys import KEYS_OPEN, check_keys
from workers.verify.log import QUESTIONS, READABLE, Log, ask, open_log
from workers.verify.parts import Examined, divide, examine
from workers.verify.processes import Processes, examined
from workers.verify.report import Check, Tally, VerifyReport
from workers.verify.schema import SCHEMA, check_schema
from workers.verify.snapshots import SNAPSHOTS_HOLD, check_snapshots
from workers.verify.streams import STREAMS_KEEP_RULES
from workers.verify.tree import SIGNED, SealedLeaves, check_tree


def verify(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    progress: Callable[[str], None] = lambda name: None,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    processes: Processes | None = None,
) -> VerifyReport:
    """Run every check. The connection may read the log and the read tables, and make temporary tables.

    With `processes`, events are decoded and held to the rules by others, while this one asks its questions.

    The log and the schema are checked in one snapshot, which does not see later appends. The read tables are checked
    in another snapshot after it. Projections get `patience_seconds` to reach the head of the first one.
    Raises `UnknownLogError`, and `ProcessFailedError`.
    """
    before = connection.isolation_level
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction(force_rollback=True), ExitStack() as running:
            # The temporary functions and views end with the transaction, and so does the snapshot of the processes.
            connection.execute("SET LOCAL row_security = on")  # a policy that hides rows is a finding, not an error
            head = read_head(connection, log)
            checks: list[Check] = []
            progress(READABLE)
            opened = open_log(connection, head)
            results = running.enter_context(begin_examination(opened, log, processes))
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
            progress(STREAMS_KEEP_RULES)
            checks = [*sum_of(opened, results()), *checks]
            progress(SIGNED)
            checks.append(check_tree(connection, head.log_number))
            progress(HEADS)
            checks.append(check_heads(connection, head.log_number))
            progress(leaf.DIGEST)
            sealed = SealedLeaves(connection, head.log_number)
            digest = leaf.digest_of(sealed.passing(leaf.windows(connection, head.log_number, head.position)))
            checks.append(sealed.check(opened.totals.events))
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


@contextmanager
def begin_examination(
    opened: Log, name: str, processes: Processes | None
) -> Iterator[Callable[[], Sequence[Examined]]]:
    """Begin to decode events and hold them to the rules. Returns a function that waits for the results.

    A log that is small, or has no processes, is one part, which this process checks when its results are asked for.
    """
    number = 1 if processes is None else processes.number_for(opened.totals.events)
    parts = divide(opened, name, number)
    if processes is None or number == 1:
        yield lambda: [examine(opened.connection, part) for part in parts]
    else:
        with examined(opened.connection, processes.url, parts) as results:
            yield results


def sum_of(opened: Log, results: Iterable[Examined]) -> list[Check]:
    """The checks of all parts together."""
    walk, streams = Walk(), Tally(STREAMS_KEEP_RULES)
    for result in results:
        walk.add(result.walk)
        streams.add(result.streams)
    return [*checks_of(opened, walk), streams.check("events in JSON", opened.totals.json)]
