"""Divides a log into parts that can be checked at the same time, and checks a part.

A part is a range of positions, for what is checked a unit at a time, and a range of streams, for what is checked by
folding. The parts have about the same number of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from psycopg import Connection

from domain.kernel import ERASED, UNREADABLE
from domain.registry import CATALOGUE
from eventstore.keys.sealing import ClosedSealer
from eventstore.log.codec import Codec
from workers.verify.commands import Walk, walk
from workers.verify.log import Log
from workers.verify.part import Part
from workers.verify.report import Tally
from workers.verify.streams import check_streams

SAMPLED_EVENTS: Final = 50_000
"""Events that are sampled to find streams at which the log is divided."""

_QUANTILES = """
SELECT percentile_disc(%(fractions)s::float8[]) WITHIN GROUP (ORDER BY stream)
  FROM log.events TABLESAMPLE SYSTEM (%(percent)s) REPEATABLE (0)
 WHERE log = %(log)s AND encoding = 0
"""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was covered and found in a part."""

    walk: Walk
    streams: Tally


def divide(log: Log, log_name: str, number: int) -> list[Part]:
    """Divide the log into this many parts. Some may have no streams."""
    fractions = [n / number for n in range(1, number)]
    last = log.totals.last
    positions = [0, *(int(last * fraction) for fraction in fractions), last]
    streams = ["", *_streams(log, fractions)]
    befores: list[str | None] = [*streams[1:], None]
    return [
        Part(
            log_number=log.head.log_number,
            log_name=log_name,
            last=last,
            after=after,
            upto=upto,
            first_stream=first,
            before_stream=before,
        )
        for (after, upto), first, before in zip(pairwise(positions), streams, befores, strict=True)
    ]


def _streams(log: Log, fractions: Sequence[float]) -> list[str]:
    """The streams at these fractions of the events, in their order."""
    if not fractions:
        return []
    percent = min(100.0, 100.0 * SAMPLED_EVENTS / max(1, log.totals.events))
    parameters = {"log": log.head.log_number, "fractions": list(fractions), "percent": percent}
    row = log.connection.execute(_QUANTILES, parameters).fetchone()
    found = row[0] if row is not None else None
    return found if found is not None else [""] * len(fractions)  # no event was sampled: the last part has all streams


def examine(connection: Connection[Any], part: Part) -> Examined:
    """Check a part. The transaction of the connection has the snapshot of the verification."""
    codec = Codec(catalogue=CATALOGUE, sealer=ClosedSealer(), erased=ERASED, unreadable=UNREADABLE)
    return Examined(walk(connection, part, codec), check_streams(connection, part, codec))
