"""Statistics of paired measurements, and the verdict on the two revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """The median and the range of ratios."""

    median: float
    lowest: float
    highest: float


class Round(NamedTuple):
    """Three measurements of one round, as rates a second. More is faster."""

    before: float  # the other revision
    now: float  # this tree
    again: float  # the other revision, measured a second time


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure as rates a second, with one round for each pair."""

    figure: str
    rounds: Sequence[Round]

    @property
    def before(self) -> float:
        """The median rate of the other revision."""
        return median(one.before for one in self.rounds)

    @property
    def now(self) -> float:
        """The median rate of this tree."""
        return median(one.now for one in self.rounds)

    @property
    def ratio(self) -> Spread:
        """The ratios this tree ÷ the other revision. A ratio below 1 is slower."""
        return _spread([one.now / one.before for one in self.rounds])

    @property
    def itself(self) -> Spread:
        """The ratios of the other revision ÷ itself. They show the noise of the machine."""
        return _spread([one.again / one.before for one in self.rounds])

    def as_json(self) -> dict[str, Any]:
        """The JSON of `--json`: the figure, its median ratios, and every rate."""
        return {
            "figure": self.figure,
            "ratio": self.ratio._asdict(),
            "itself": self.itself._asdict(),
            "rounds": [one._asdict() for one in self.rounds],
        }

    def is_slower(self, tolerance: float) -> bool:
        """Whether the median of the ratios is below 1 by more than the tolerance."""
        return self.ratio.median < 1 - tolerance

    def is_vague(self, tolerance: float) -> bool:
        """Whether the other revision differs from itself by more than the tolerance in half of the pairs."""
        return median(abs(one.again / one.before - 1) for one in self.rounds) > tolerance


def verdict(comparisons: Sequence[Comparison], tolerance: float) -> str:
    """The verdict as a sentence, with the figures that decided it."""
    slower = [one for one in comparisons if one.is_slower(tolerance)]
    if slower:
        found = ", ".join(f"{one.figure} by {1 - one.ratio.median:.1%}" for one in slower)
        message = f"Slower than the {tolerance:.0%} that is tolerated: {found}."
    else:
        lowest = min(comparisons, key=lambda one: one.ratio.median)
        message = f"Within {tolerance:.0%}: the lowest median is {lowest.ratio.median:.3f} ({lowest.figure})."
    vague = [one.figure for one in comparisons if one.is_vague(tolerance)]
    if vague:
        message += (
            f" The machine is too unsteady for this: the revision differs from itself by more than {tolerance:.0%} in "
            f"half of the pairs ({', '.join(vague)}). Measure again when it is quiet, or with more --pairs."
        )
    return message


def _spread(ratios: Sequence[float]) -> Spread:
    return Spread(median(ratios), min(ratios), max(ratios))
