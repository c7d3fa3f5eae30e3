"""The metadata of an event: who sent its command, under which key, and when it was decided.

`actor` and `key` name the command's record in `log.commands`, so the two can be compared both ways. `correlation` is
the key of a single command, and the id of the batch for an item of one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import orjson

ERA: Final = "metadata.key"
"""The name in `log.eras` of the position after which every unit names its key; without a row it is 0."""


def metadata(
    how: str, actor: str, command: str, decided_at: datetime, key: str, correlation: str | None = None
) -> bytes:
    """The metadata of one command. `how` says how the actor proved who it is."""
    members = _all_but_the_key(how, actor, command, decided_at, correlation or key)
    members["key"] = key
    return orjson.dumps(members, option=orjson.OPT_UTC_Z)


def without_key(how: str, actor: str, command: str, decided_at: datetime, correlation: str) -> bytes:
    """The part that items of a batch with the same kind of command share. `with_key` adds the key.

    The keys of the object are sorted, and `key` comes last.
    """
    members = _all_but_the_key(how, actor, command, decided_at, correlation)
    return orjson.dumps(members, option=orjson.OPT_UTC_Z)[:-1] + b',"key":'


def with_key(shared: bytes, key: str) -> bytes:
    """The metadata of the command with this key. It takes 0.2 µs."""
    return b"%b%b}" % (shared, orjson.dumps(key))


def _all_but_the_key(how: str, actor: str, command: str, decided_at: datetime, correlation: str) -> dict[str, Any]:
    return {
        "actor": {"how": how, "id": actor},
        "causation": None,
        "command": command,
        "correlation": correlation,
        "decided_at": decided_at,
    }
