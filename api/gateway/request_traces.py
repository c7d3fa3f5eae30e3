"""What a traced request remembers of its commands. The caller of the application makes the spans; this module has none.

Only the middleware of a tracer puts a `RequestTrace` into the state of a request. Without one a command pays for a
look-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic_ns
from typing import Any, Final

from domain.registry import name_of
from eventstore.executor.decided_commands import CommandTimes

TRACE: Final = "trace"
"""Its name in the state of a request."""
MOST_COMMANDS: Final = 100
"""Commands of one request that are traced: the first items of a batch."""


class RequestTrace:
    """The times of the commands of one request, in the order in which they were made ready."""

    __slots__ = ("commands",)

    def __init__(self) -> None:
        self.commands: list[tuple[str, CommandTimes]] = []

    def command(self, name: str) -> CommandTimes | None:
        """The times of another command of this class, or None if enough are traced."""
        if len(self.commands) >= MOST_COMMANDS:
            return None
        times = CommandTimes(queued_ns=monotonic_ns())
        self.commands.append((name, times))
        return times


def times_of(state: Mapping[str, Any], command: Any) -> CommandTimes | None:
    """The times of a command of the request with this state; None if it is not traced."""
    trace: RequestTrace | None = state.get(TRACE)
    return None if trace is None else trace.command(name_of(command))
