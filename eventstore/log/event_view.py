"""A recorded event as auditors and clients see it."""

from __future__ import annotations

from typing import Any

import orjson

from eventstore.log.read import Recorded

_WITHOUT_CAUSE = {"causation": None}
"""Metadata leaves the cause out where there is none. The oldest events have it as null."""


def event_view(recorded: Recorded, event: Any) -> dict[str, Any]:
    """A recorded event with its sealed fields opened. Amounts are minor units."""
    header = ("originator_id", "originator_version")
    return {
        "position": recorded.position,
        "unit_end": recorded.unit_end,
        "stream": recorded.stream,
        "version": recorded.version,
        "type": recorded.type,
        "recorded_at": recorded.recorded_at,
        "data": {name: getattr(event, name) for name in event.__struct_fields__ if name not in header},
        "metadata": _WITHOUT_CAUSE | orjson.loads(recorded.metadata),
    }
