"""A bounded cache of folded states. It is only ever a guess: the append tells whether it was right."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from msgspec import Struct


class Known(Struct, gc=False):
    """What is believed of a stream.

    `state` is the fold of its events up to `version`, which is always true. `entries_to` is the version up to which
    nothing but entries is known to have followed, and on which a commuting read may rest; it is beyond `version` on an
    account that several processes post to. `stale`: the stream has moved on and must be read before it is used again.
    """

    state: Any
    version: int
    entries_to: int
    stale: bool = False


class StateCache:
    """The most recently used streams, `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[str, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, stream: str) -> Known | None:
        """What is believed of the stream; None if nothing is."""
        known = self._known.get(stream)
        if known is not None:
            self._known.move_to_end(stream)
        return known

    def put(self, stream: str, known: Known) -> None:
        """Remember, and forget what was not used for longest."""
        self._known[stream] = known
        self._known.move_to_end(stream)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def mark_stale(self, stream: str) -> None:
        """The stream is known to have moved, or may have: read on from `version` before it is used again."""
        known = self._known.get(stream)
        if known is not None:
            known.stale = True

    def mark_moved(self, stream: str, version: int) -> None:
        """Others have taken the stream to this version: what is followed event by event is to be read on from its own.

        What is not (an account that several processes post to) rests on entries that nobody need have seen.
        """
        known = self._known.get(stream)
        if known is not None and known.entries_to == known.version < version:
            known.stale = True

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
