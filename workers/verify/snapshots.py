"""Checks that snapshots are the folds of their streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from psycopg import Connection

from domain import registry
from domain.registry import SNAPSHOTS
from eventstore.executor.snapshots import JsonStates, SnapshotError
from eventstore.log.codec import Codec
from eventstore.log.read import STREAM_PAGE, Head, read_streams
from eventstore.postgres.arrays import bytea_array, text_array
from workers.verify.report import Check, Finding, checked

SNAPSHOTS_HOLD: Final = "snapshots are what their streams fold to"
_OF_THIS_VERSION = """
EXISTS (SELECT FROM unnest(%(prefixes)s::text[], %(shapes)s::bytea[]) AS k(prefix, shape)
         WHERE starts_with(s.stream, k.prefix) AND s.shape = k.shape)
"""
_PAGE = f"""
SELECT stream, version, state FROM log.snapshots s
 WHERE log = %(log)s AND stream > %(after)s AND {_OF_THIS_VERSION} ORDER BY stream LIMIT 100
"""  # noqa: S608 - constants of this module
_TOTAL = f"""
SELECT count(*), count(*) FILTER (WHERE NOT {_OF_THIS_VERSION}) FROM log.snapshots s WHERE log = %(log)s
"""  # noqa: S608 - constants of this module


def check_snapshots(connection: Connection[Any], head: Head, codec: Codec) -> Check:
    """Fold every stream with a snapshot up to the version of the snapshot, a hundred streams at a time.

    Snapshots with another shape than their aggregate has now are left out: this version does not use them.
    """
    states = JsonStates(SNAPSHOTS)
    asked = {
        "log": head.log_number,
        "prefixes": text_array(list(states.shapes)),
        "shapes": bytea_array(list(states.shapes.values())),
    }
    row = connection.execute(_TOTAL, asked).fetchone()
    assert row is not None
    total, foreign = row
    covered, after = 0, ""
    findings: list[Finding] = []
    while page := connection.execute(_PAGE, {**asked, "after": after}, binary=True).fetchall():
        folded = _folds(connection, head.log_number, codec, {stream: version for stream, version, _ in page})
        for stream, version, kept in page:
            covered += 1
            what = _wrong_with(states, stream, version, kept, folded[stream])
            if what is not None:
                findings.append(Finding(SNAPSHOTS_HOLD, None, f"{what}; drop all snapshots: daybook drop-snapshots"))
        after = page[-1][0]
    return checked(
        SNAPSHOTS_HOLD, "snapshots", covered, total, findings, not_covered={"made by another version": foreign}
    )


def _wrong_with(states: JsonStates, stream: str, version: int, kept: bytes, folded: Any) -> str | None:
    """The reason why a snapshot is wrong; None if it is right. `folded` is the fold of its stream, or an error."""
    if isinstance(folded, Exception):
        return str(folded)
    try:
        sound = states.decode(stream, kept) == folded
    except SnapshotError as error:
        return str(error)
    return None if sound else f"the snapshot of {stream} at version {version} is not the fold of its events"


def _folds(connection: Connection[Any], log_number: int, codec: Codec, versions: Mapping[str, int]) -> dict[str, Any]:
    """The state of each stream at its version, or of the last version before; or the reason why there is none."""
    states: dict[str, Any] = dict.fromkeys(versions)
    at = dict.fromkeys(versions, 0)
    while at:
        rows = read_streams(connection, log_number, at)
        events = codec.decode_many([(type, payload, stream, version) for stream, version, type, payload in rows])
        for (stream, version, _, _), event in zip(rows, events, strict=True):
            state = states[stream]
            if version <= versions[stream] and not isinstance(state, Exception):
                try:
                    states[stream] = event if isinstance(event, Exception) else registry.evolve(state, event)
                except ValueError as error:
                    states[stream] = error
            at[stream] = version
        read = Counter(row[0] for row in rows)
        at = {
            stream: reached
            for stream, reached in at.items()
            if read[stream] == STREAM_PAGE and reached < versions[stream] and not isinstance(states[stream], Exception)
        }
    return states
