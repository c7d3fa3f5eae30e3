"""What a run is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """`seconds` is how long each repetition of a rate is measured; `transfers` how many are made where a number is."""

    seed: int
    repetitions: int
    seconds: float
    warm_up: float
    transfers: int
    accounts: int
    czech_bank: Path
    quick: bool
