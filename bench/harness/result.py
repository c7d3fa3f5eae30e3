"""The result of a run. It is the form of the JSON file."""

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
    """One subject with one set of parameters. It has a rate for each repetition."""

    subject: str
    parameters: dict[str, str | int]
    unit: str
    rates: list[float]
    latency: Latency | None = None

    @property
    def median(self) -> float:
        """The median of the rates."""
        return median(self.rates)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure with a goal: a ratio of medians, or a median. The goal may be missing."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the figure reaches its goal."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def bounds(self) -> list[tuple[str, float]]:
        """The bounds of the goal, as signs and figures. Empty without a goal."""
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
    """Notes that a scenario was measured after the rest of the report, on the same machine, and the differences."""

    date: str
    revision: str
    repetitions: int
    python: str
    settings: Mapping[str, str]  # settings of PostgreSQL
    load_before: float


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """The measurements of one scenario, and the checks after it."""

    name: str
    title: str
    how: str
    measurements: list[Measurement]
    comparisons: list[Comparison] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    clock: Clock | None = None
    again: Again | None = None

    def of(self, subject: str, **parameters: str | int) -> Measurement:
        """The first measurement of a subject that has these parameters. Raises `LookupError` if there is none."""
        for measurement in self.measurements:
            if measurement.subject == subject and parameters.items() <= measurement.parameters.items():
                return measurement
        raise LookupError(f"{subject} was not measured with {parameters}")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of a report. `commits` are measurements of a flush: of the disk, and in one connection."""

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
    load_after: float | None = None  # the load of other programs is included

    @property
    def kind(self) -> str:
        """The properties that must be equal for two results on one page."""
        return (
            f"{self.cores} cores of {self.processor}, {self.memory_gib} GiB, {self.kernel}, PostgreSQL {self.postgres}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a whole run."""

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
        """This report, with its scenarios replaced by those of a later report.

        Raises `ValueError` if the later report is from another machine or a quick run.
        """
        if later.quick:
            raise ValueError("a quick run is not a result, so it replaces nothing")
        if (mine := self.machine.kind) != (other := later.machine.kind):
            raise ValueError(f"the report was made on {mine}, the later one on {other}: measure all of it there")
        note = Again(
            later.date,
            later.revision,
            later.repetitions,
            later.machine.python,
            later.machine.settings,
            later.machine.load_before,
        )
        anew = {scenario.name: replace(scenario, again=note) for scenario in later.scenarios}
        return replace(self, scenarios=[anew.pop(old.name, old) for old in self.scenarios] + list(anew.values()))
