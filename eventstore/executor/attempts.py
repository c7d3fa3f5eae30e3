"""What comes next for commands without an answer: a state machine, without I/O.

The executor takes a step and reports its result. The machine names the next step.

    step                  result            next step
    --------------------  ----------------  -----------------------------------------------------------------
    DECIDE,               ANSWERED          DONE
    DECIDE_WITH_HEAD      CONFLICT          the next attempt; GIVE_UP after the last
                          STREAM_EXISTS     the same attempt, with every new stream looked up; then SEPARATE
                          LOST              RECONNECT; FAIL after `MOST_RECONNECTS`
                          READ_ONLY         RECONNECT once; then FAIL, for the database itself is read-only
                          UNABLE            FAIL
                          ERROR             SEPARATE
    RECONNECT             CONNECTED         the attempt that was interrupted
                          AWAY              FAIL

The first `OPTIMISTIC_ATTEMPTS` attempts are DECIDE, on cached states. Those after them are DECIDE_WITH_HEAD: they hold
the head of the log, so that no other process can append meanwhile. DONE, GIVE_UP, FAIL and SEPARATE are final.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

OPTIMISTIC_ATTEMPTS = 2
"""Attempts on cached states, before the head of the log is taken."""
MOST_ATTEMPTS = OPTIMISTIC_ATTEMPTS + 2
MOST_RECONNECTS = 5
"""Reconnections for one group. After them its commands are answered that their outcome is unknown."""


class Step(Enum):
    """What the executor does next."""

    DECIDE = auto()  # decide on cached states and append
    DECIDE_WITH_HEAD = auto()  # take the head of the log, read the states again, decide and append
    RECONNECT = auto()  # open the connections again
    SEPARATE = auto()  # bring each command to its answer alone, so that one does not fail the others
    GIVE_UP = auto()  # answer that the streams kept changing
    FAIL = auto()  # answer all of them with the error
    DONE = auto()  # every command is answered


class Result(Enum):
    """What came of a step."""

    ANSWERED = auto()  # every command is answered
    CONFLICT = auto()  # some commands read a stream that has changed since
    STREAM_EXISTS = auto()  # a stream that was taken for new is in the log
    LOST = auto()  # a connection is lost
    READ_ONLY = auto()  # the session is read-only
    UNABLE = auto()  # the database cannot do it now, whoever asks: a full disk, a lock that was held too long
    ERROR = auto()  # any other error: one command may have caused it
    CONNECTED = auto()  # the connections are open again
    AWAY = auto()  # they could not be opened


@dataclass(slots=True)
class Attempts:
    """How far a group has come."""

    decided: int = 0
    reconnects: int = 0
    look_up: bool = False

    def next_attempt(self) -> Step:
        """The step that decides."""
        if self.decided >= MOST_ATTEMPTS:
            return Step.GIVE_UP
        return Step.DECIDE if self.decided < OPTIMISTIC_ATTEMPTS else Step.DECIDE_WITH_HEAD

    def after(self, result: Result) -> Step:
        """The step after this result."""
        match result:
            case Result.ANSWERED:
                return Step.DONE
            case Result.CONFLICT:
                self.decided += 1
                return self.next_attempt()
            case Result.STREAM_EXISTS if not self.look_up:
                self.look_up = True
                return self.next_attempt()
            case Result.LOST if self.reconnects < MOST_RECONNECTS:
                return self._reconnect()
            case Result.READ_ONLY if self.reconnects == 0:
                return self._reconnect()
            case Result.CONNECTED:
                return self.next_attempt()
            case Result.ERROR | Result.STREAM_EXISTS:
                return Step.SEPARATE
            case Result.LOST | Result.READ_ONLY | Result.UNABLE | Result.AWAY:
                return Step.FAIL

    def _reconnect(self) -> Step:
        self.reconnects += 1
        return Step.RECONNECT
