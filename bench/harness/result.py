"""What a run comes to: the shape of the JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over all repetitions together, in milliseconds."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One subject under one set of parameters; a rate for each repetition."""

    subject: str
    parameters: dict[str, str | int]
    unit: str
    rates: list[float]
    latency: Latency | None = None

    @property
    def median(self) -> float:
        """The rate that half of the repetitions reached."""
        return median(self.rates)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure that somebody expects something of: a ratio of medians, or a median itself."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is what was expected."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def bounds(self) -> list[tuple[str, float]]:
        """What is expected, as signs and figures; nothing where nobody expects anything."""
        bounds = (("≥", self.at_least), ("≤", self.at_most))
        return [(sign, bound) for sign, bound in bounds if bound is not None]


@dataclass(frozen=True, slots=True)
class Clock:
    """CPU time of one fixed loop while a scenario ran, in milliseconds (`bench.harness.clock`)."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class Again:
    """That a scenario was measured after the rest of the report, on the same machine, and in what it differed."""

    date: str
    revision: str
    repetitions: int
    python: str
    settings: Mapping[str, str]  # of PostgreSQL
    load_before: float


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What one scenario measured, and what was checked afterwards."""

    name: str
    title: str
    how: str
    measurements: list[Measurement]
    comparisons: list[Comparison] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    clock: Clock | None = None
    again: Again | None = None

    def of(self, subject: str, **parameters: str | int) -> Measurement:
        """The measurement of that subject under at least these parameters. Raises `LookupError`."""
        for measurement in self.measurements:
            if measurement.subject == subject and parameters.items() <= measurement.parameters.items():
                return measurement
        raise LookupError(f"{subject} was not measured with {parameters}")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured. `commits` say what a flush costs here: to the disk, and to one connection."""

    cores: int
    processor: str
    memory_gib: float
    kernel: str
    file_system: str
    python: str
    postgres: str
    settings: dict[str, str]
    load_before: float
    commits: list[Measurement]
    load_after: float | None = None  # beyond what the run itself makes, somebody else was at work

    @property
    def kind(self) -> str:
        """What has to be the same for two results to stand on one page."""
        return (
            f"{self.cores} cores of {self.processor}, {self.memory_gib} GiB, {self.kernel}, PostgreSQL {self.postgres}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

    format: int
    date: str
    revision: str
    command: str
    seed: int
    repetitions: int
    quick: bool
    machine: Machine
    scenarios: list[ScenarioResult]

    def with_again(self, later: Report) -> Report:
        """This report with the scenarios of a later one in the place of its own.

        Raises `ValueError` for one of another machine, or a quick one.
        """
        if later.quick:
            raise ValueError("a quick run is a look, not a result: it takes the place of nothing")
        if (mine := self.machine.kind) != (other := later.machine.kind):
            raise ValueError(f"the report was made on {mine}, the later one on {other}: measure all of it there")
        answered = Again(
            later.date,
            later.revision,
            later.repetitions,
            later.machine.python,
            later.machine.settings,
            later.machine.load_before,
        )
        anew = {scenario.name: replace(scenario, again=answered) for scenario in later.scenarios}
        return replace(self, scenarios=[anew.pop(old.name, old) for old in self.scenarios] + list(anew.values()))
