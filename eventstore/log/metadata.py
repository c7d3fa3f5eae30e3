"""The metadata of an event: who sent its command, under which key, and when it was decided.

`actor` and `key` name the command's record in `log.commands`, so the two can be compared both ways. `correlation` is
the key of a single command, and the id of the batch for an item of one. `rules` is the version of the rules that the
command was decided under; units from before events named it have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

ERA: Final = "metadata.key"
"""The name in `log.eras` of the position after which every unit names its key; without a row it is 0."""


Actor = Mapping[str, Any]
"""Who sent a command, as it is recorded: `id`, `how` the principal proved who it is, `roles`, and more if known."""


def metadata(
    actor: Actor, command: str, decided_at: datetime, rules: int, key: str, correlation: str | None = None
) -> bytes:
    """The metadata of one command: JSON with sorted keys."""
    members = _up_to_the_key(actor, command, decided_at, correlation or key)
    members["key"] = key
    members["rules"] = rules
    return orjson.dumps(members, option=orjson.OPT_UTC_Z)


class Shared(NamedTuple):
    """The metadata that items of a batch with the same kind of command share: what comes before the key, and after."""

    before: bytes
    after: bytes


def without_key(actor: Actor, command: str, decided_at: datetime, rules: int, correlation: str) -> Shared:
    """The part that items of a batch with the same kind of command share. `with_key` adds the key."""
    members = _up_to_the_key(actor, command, decided_at, correlation)
    return Shared(orjson.dumps(members, option=orjson.OPT_UTC_Z)[:-1] + b',"key":', b',"rules":%d}' % rules)


def with_key(shared: Shared, key: str) -> bytes:
    """The metadata of the command with this key. It takes 0.2 µs."""
    before, after = shared
    return b"%b%b%b" % (before, orjson.dumps(key), after)


def _up_to_the_key(actor: Actor, command: str, decided_at: datetime, correlation: str) -> dict[str, Any]:
    return {
        "actor": actor,
        "causation": None,
        "command": command,
        "correlation": correlation,
        "decided_at": decided_at,
    }
