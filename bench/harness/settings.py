"""The settings of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """`seconds` is the time of each repetition of a rate. `transfers` is used by scenarios with a fixed number."""

    seed: int
    repetitions: int
    seconds: float
    warm_up: float
    transfers: int
    accounts: int
    czech_bank: Path
    quick: bool
