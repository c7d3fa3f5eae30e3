"""Measures how busy the processors of the machine are, by all of its processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")


@dataclass
class Busy:
    """`share` is the used share of the time of all processors, from 0 to 1. Time that the host took counts as used."""

    share: float = 0.0


@contextmanager
def watched() -> Iterator[Busy]:
    """Measure while the context is open. The share is set at the end."""
    busy = Busy()
    before = _read()
    yield busy
    busy.share = share(before, _read())


def _read() -> str:
    return _STAT.read_text().partition("\n")[0]


def share(before: str, after: str) -> float:
    """The share from two first lines of ``/proc/stat``: ``cpu user nice system idle iowait irq softirq steal …``."""
    used = [int(b) - int(a) for a, b in zip(before.split()[1:9], after.split()[1:9], strict=True)]
    idle = used[3] + used[4]
    return 1 - idle / sum(used)
