"""The states of the streams that groups read: loaded before a group is decided, updated after its append.

A state comes from the cache, from the log, or from the group in flight. It may be out of date. The append checks its
version and returns the true one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any

from psycopg import Connection

from eventstore.executor.decided_commands import Group
from eventstore.executor.snapshots import Snapshots
from eventstore.executor.stream_states import EventDecoder, Evolve, Fold, RecentStreams, StreamState
from eventstore.log.append import GroupAppended
from eventstore.log.read import read_streams


class StateCache:
    """The states that an executor knows. For one thread."""

    def __init__(
        self,
        decoder: EventDecoder,
        evolve: Evolve,
        transient_prefixes: tuple[str, ...],
        cache_limit: int,
        snapshots: Snapshots | None = None,
        read_mostly: Collection[str] = (),
    ) -> None:
        """`transient_prefixes` are those of streams that are written once; they are not cached.

        `read_mostly` are streams that many commands read and that may not exist. That they do not is cached too, as
        version 0, and the append checks it like any version. Other streams that do not exist are not cached: clients
        can ask for any number of them.
        """
        self._fold = Fold(decoder, evolve)
        self._transient = transient_prefixes
        self._read_mostly = frozenset(read_mostly)
        self._cache = RecentStreams(cache_limit)
        self._snapshots = snapshots

    def load(
        self,
        group: Group,
        streams: Iterable[str],
        connection: Connection[Any],
        log_number: int,
        *,
        fresh: bool,
        ahead: Group | None,
    ) -> None:
        """Load the states of these streams from the group ahead, the cache, or the log, with one query for all.

        With `fresh`, cached states are brought up to date from the log first. Raises `psycopg.Error`, `SealingError`.
        """
        behind: dict[str, int] = {}
        for stream in streams:
            if stream in group.known:
                continue
            known = ahead.after(stream) if ahead is not None else None
            if known is None:
                known = self._cache.get(stream)
                if known is None:
                    known = StreamState(None, 0, 0)
                    behind[stream] = 0
                elif fresh or known.stale:
                    behind[stream] = known.version
            group.known[stream] = known
        if not behind:
            return
        if self._snapshots is None:
            events = read_streams(connection, log_number, behind)
        else:
            states, events = self._snapshots.read(connection, behind)
            for stream, state in states.items():
                known = group.known[stream]
                known.state, known.version = state, state.version
                behind[stream] = state.version
        newer = self._fold.on(group.known, events, connection, log_number)
        group.newer.update(newer)
        for stream in behind:
            known = group.known[stream]
            known.entries_to = known.version
            known.stale = stream in newer
            if known.version == 0:
                if stream in self._read_mostly:
                    self._cache.put(stream, known)
            elif not stream.startswith(self._transient):
                self._cache.put(stream, known)
                if self._snapshots is not None:
                    self._snapshots.offer(stream, known.state, behind[stream])

    def forget(self) -> None:
        """Drop all cached states: it is not known what went in."""
        self._cache.clear()

    def drop(self, prefixes: tuple[str, ...]) -> None:
        """Drop the cached states of streams whose names begin with one of these."""
        self._cache.drop(prefixes)

    def moved(self, streams: Iterable[tuple[str, int]]) -> None:
        """Other processes have appended to these streams, up to these versions."""
        for stream, version in streams:
            self._cache.mark_moved(stream, version)

    def doubt(self, stream: str) -> None:
        """Mark a stream as stale: its new events are read before it is used again."""
        self._cache.mark_stale(stream)

    def learn(self, group: Group, appended: GroupAppended) -> None:
        """Update the cache with the result of the append."""
        counted = {stream: group.known[stream].entries_to for stream in chain(group.counted, appended.actual)}
        self._learn(group, appended)
        if self._snapshots is not None:
            for stream, before in counted.items():
                known = self._cache.get(stream)
                if known is not None and known.entries_to != known.version:  # its events are not known here
                    self._snapshots.counted(stream, known.entries_to, before)
        for stream in group.outdated:  # its next commands need the state
            self._cache.mark_stale(stream)

    def _learn(self, group: Group, appended: GroupAppended) -> None:
        moved = appended.actual
        if appended.verdicts is None and not moved:
            transient = self._transient
            for stream, state in group.work.items():
                if not stream.startswith(transient):
                    self._remember(group, stream, StreamState(state, state.version, state.version))
            for stream in group.counted:
                after = group.after(stream)
                assert after is not None
                self._remember(group, stream, after)
            return
        failed: set[str] = set()
        written: dict[str, int] = {}
        rested: set[str] = set()  # changed streams on which a commuting command went in
        verdicts = appended.verdicts or [0] * len(group.commands)
        for decided, verdict in zip(group.commands, verdicts, strict=True):
            for event in decided.events:
                stream = event.originator_id
                if verdict == 0:
                    written[stream] = written.get(stream, 0) + 1
                    if stream in decided.commuting:
                        rested.add(stream)
                else:
                    failed.add(stream)
        for stream, version in moved.items():
            if stream in rested:
                known = group.known[stream]
                known.entries_to = version + written[stream]
                self._cache.put(stream, known)
            else:
                self._cache.mark_stale(stream)
        for stream in written.keys() - moved.keys():
            known = group.known[stream]
            if known.entries_to != known.version:
                known.entries_to += written[stream]
                self._cache.put(stream, known)
            elif stream in failed:
                self._cache.mark_stale(stream)
            elif not stream.startswith(self._transient):
                state = group.work[stream]
                self._remember(group, stream, StreamState(state, state.version, state.version))

    def _remember(self, group: Group, stream: str, after: StreamState) -> None:
        self._cache.put(stream, after)
        if self._snapshots is not None and after.state is not None:
            self._snapshots.offer(stream, after.state, group.known[stream].version)

    def catch_up(self, group: Group, appended: GroupAppended) -> None:
        """Correct a group that was decided behind another, after the append of the one ahead.

        Streams of the group ahead had changed by commuting entries. Drop the cached states of them. Keep the recorded
        reads, which are still valid.
        """
        for stream in appended.actual:
            if stream in group.known:
                group.known[stream] = self._cache.get(stream) or StreamState(None, 0, 0, True)
                if group.work.pop(stream, None) is not None:
                    its_own = [
                        event for decided in group.commands for event in decided.events if event.originator_id == stream
                    ]
                    group.counted[stream] = len(its_own)
