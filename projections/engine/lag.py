"""How far behind the log each projection is, and each topic that the log is published to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from eventstore.log.publications import PublicationLag, publication_lags
from projections.engine.checkpoint import read_state
from projections.engine.projection import Projection

_AGE = """
SELECT p.position, greatest(extract(epoch FROM clock_timestamp() - e.recorded_at), 0)::float8
  FROM unnest(%s::bigint[]) AS p(position) JOIN log.events e ON e.log = %s AND e.position = p.position + 1
"""


@dataclass(frozen=True, slots=True)
class ProjectionLag:
    """One projection. It is `events` behind the head. The oldest of these was recorded `seconds` ago."""

    projection: str
    position: int
    events: int
    seconds: float
    stopped: str | None  # the reason why it stopped, if it did
    rebuild_until: int | None  # from this position on its tables are complete; None if they are complete


@dataclass(frozen=True, slots=True)
class Lag:
    """The lag of projections at one head."""

    head: int
    epoch: int
    projections: tuple[ProjectionLag, ...]
    publications: tuple[PublicationLag, ...] = ()

    @property
    def events(self) -> int:
        """Of the one that is furthest behind."""
        return max((one.events for one in self.projections), default=0)

    @property
    def seconds(self) -> float:
        """Of the one that is furthest behind."""
        return max((one.seconds for one in self.projections), default=0.0)

    @property
    def rebuilding(self) -> tuple[ProjectionLag, ...]:
        """The projections whose tables a rebuild of an earlier version emptied and has not filled again."""
        return tuple(one for one in self.projections if one.rebuild_until is not None)

    @property
    def stopped(self) -> tuple[str, ...]:
        """The names of projections that stopped."""
        return tuple(one.projection for one in self.projections if one.stopped is not None)


def lag(connection: Connection[Any], log: str, projections: Sequence[Projection]) -> Lag:
    """The lag of these projections. One without tables is behind by the whole log and counts as stopped."""
    state = read_state(connection, log, [projection.name for projection in projections])
    positions = {s.projection: s.checkpoint.position if s.checkpoint else 0 for s in state.statuses}
    ages = dict(
        connection.execute(_AGE, ([p for p in set(positions.values()) if p < state.head], state.log_number)).fetchall()
    )
    return Lag(
        state.head,
        state.epoch,
        tuple(
            ProjectionLag(
                status.projection,
                position := positions[status.projection],
                max(state.head - position, 0),
                ages.get(position, 0.0),
                status.refusal(state.epoch) or (str(status.error) if status.error else None),
                status.rebuild_until,
            )
            for status in state.statuses
        ),
        publication_lags(connection, state.log_number),
    )
