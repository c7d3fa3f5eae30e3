"""A part of a log, and what the walks over its rows have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from domain.aggregate import Decided
from domain.kernel import RULES_VERSION, State

WINDOW: Final = 20_000
"""Most events in memory at once."""
FIRST_WINDOW: Final = 1_000
"""Events of the first window, when their size is not known yet."""
WINDOW_BYTES: Final = 32 * 2**20
"""Bytes of payload that a window should not exceed. The window before gives the estimate, so large events make small
windows."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a log: a range of positions, and a range of streams."""

    log_number: int
    log_name: str
    last: int  # the greatest position of the log
    after: int  # the positions after this one
    upto: int  # up to and including this one
    first_stream: str  # the streams from this one
    before_stream: str | None  # up to this one, without it; None: to the end


class _Metadata(msgspec.Struct, gc=False):
    """The members of metadata that a check needs. Units from before events named the rules have version 0."""

    decided_at: datetime
    rules: Annotated[int, msgspec.Meta(ge=0)] = 0


_NONE: Mapping[str, State | None] = {}
_decode = msgspec.json.Decoder(_Metadata).decode


def decided(metadata: bytes, log_name: str, policies: Mapping[str, State | None] = _NONE) -> Decided | str:
    """What a check knows of the decision of a unit, or the sentence of a finding: nobody can hold it to the rules.

    `policies` are those in force before it.
    """
    try:
        read = _decode(metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return f"its metadata does not say when and under which rules it was decided: {error}"
    if read.rules > RULES_VERSION:
        return (
            f"it was decided under version {read.rules} of the rules, and this program knows {RULES_VERSION}: verify "
            "with the program that wrote it"
        )
    return Decided(decided_at=read.decided_at, rules=read.rules, log=log_name, policies=policies)


def next_window(limit: int, rows: list[Any], payload: int) -> int:
    """The number of events of the next window. `payload` is the column with the payload, `limit` the last number."""
    size = sum([len(row[payload]) for row in rows])
    return max(1, min(WINDOW, WINDOW_BYTES * limit // max(size, 1)))


def inapplicable(error: Exception) -> str:
    """The sentence for an event that makes a rule fail. The rules trust fields that only a forged event can have."""
    return f"the rules cannot be applied to it: {type(error).__name__} {error}"
