"""Stops a process in a test, with SIGSTOP."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.support.waiting import wait_until


def pause(pid: int) -> None:
    """Stop a process, and return when all its threads have stopped. SIGCONT continues it.

    The signal alone is not enough. The kernel stops one thread, and that thread stops the others. On a busy machine
    another thread can run until then, long enough to read an answer and to commit.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _states(pid) == {"T"}, f"process {pid} stopped")


def _states(pid: int) -> set[str]:
    """The states of its threads. The state is the first field after the name in brackets."""
    states = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    return states
