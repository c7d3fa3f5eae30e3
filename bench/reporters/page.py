"""A report as the page `docs/performance.md`. Every figure in it comes from the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.harness.result import Again, Machine, Measurement, Report, ScenarioResult
from bench.reporters import plots

FOLDER = "performance"
"""Of the plots, beside the page."""

_INTRODUCTION = """\
# Performance

Rendered from `bench/results/latest.json` by `python -m bench --render`; do not edit. `make bench-full` measures it all
again, `make bench` a part in less than ten minutes. Rates are medians of the repetitions, with the lowest and the
highest, which the plots show as bars; latencies are percentiles over all of them, in milliseconds, from HDR histograms.
What is compared was measured in turn within one run. After each scenario the database was checked, and a run that fails
its check writes no result. Rates are those of the machine as it was, with whatever else ran on it; single-row commits
far below what the disk can do mean that it was busy: then trust the ratios. Nor is the processor always as fast: how
long one and the same loop of Python took while a scenario ran stands below it. Compare rates of two scenarios, or of
two runs, only with that in mind. Whether a change made anything slower,
[`python -m bench compare REVISION`](howto/compare-two-revisions.md) says.
"""


def render(report: Report) -> str:
    """The whole page."""
    return "\n".join(_lines(report))


def write(report: Report, file: Path) -> None:
    """The page and its plots; plots of before that it has no longer are removed."""
    file.write_text(render(report))
    folder = file.parent / FOLDER
    folder.mkdir(exist_ok=True)
    drawn = plots.draw(report)
    for old in folder.glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    for name, svg in drawn.items():
        (folder / name).write_text(svg)


def _lines(report: Report) -> Iterator[str]:
    yield _INTRODUCTION
    yield from _comparisons(report.scenarios)
    yield from _machine(report)
    for scenario in report.scenarios:
        yield f"## {scenario.title}\n"
        yield f"{scenario.how}\n"
        if scenario.again is not None:
            yield f"{_again(scenario.again, report.machine)}\n"
        yield from _measurements(scenario.measurements)
        for chart in plots.charts(scenario):
            yield f"![{chart.title}]({FOLDER}/{chart.file})\n"
        if (clock := scenario.clock) is not None:
            yield (
                f"The clock: one fixed loop took {_figure(clock.median)} ms of CPU time in the median, "
                f"{_figure(clock.least)} at the least, {_figure(clock.most)} at the most.\n"
            )
        yield f"Checked afterwards: {'; '.join(scenario.checked)}.\n"


def _comparisons(scenarios: Iterable[ScenarioResult]) -> Iterator[str]:
    yield "## What is expected, and what it is\n"
    yield "| scenario | figure | measured | expected | |\n|---|---|---:|---:|---|"
    for scenario in scenarios:
        for it in scenario.comparisons:
            expected = ", ".join(f"{sign} {_figure(bound)}" for sign, bound in it.bounds)
            verdict = "" if not expected else "reached" if it.met else "**not reached**"
            yield f"| {scenario.name} | {it.name} | {_figure(it.value)} | {expected} | {verdict} |"
    yield ""


def _machine(report: Report) -> Iterator[str]:
    machine: Machine = report.machine
    yield "## The machine and the run\n"
    yield "| | |\n|---|---|"
    yield f"| date, revision | {report.date}, {report.revision} |"
    yield f"| command | `{report.command}` |"
    yield f"| seed, repetitions | {report.seed}, {report.repetitions}{' (quick)' if report.quick else ''} |"
    yield f"| processor | {machine.cores} cores of {machine.processor}, {machine.memory_gib} GiB |"
    after = "not recorded" if machine.load_after is None else machine.load_after
    yield f"| load before and at the end of the run | {machine.load_before}, {after} |"
    yield f"| system | {machine.kernel}, database on {machine.file_system} |"
    yield f"| Python | {machine.python} |"
    yield f"| PostgreSQL | {machine.postgres} |"
    yield f"| settings | {', '.join(f'{name} {value}' for name, value in machine.settings.items())} |"
    yield ""
    yield "Client, service and PostgreSQL share these cores. What a flush costs, to the disk and to one connection:\n"
    yield from _measurements(machine.commits)


def _again(again: Again, machine: Machine) -> str:
    answered = [f"Measured again: {again.date}, {again.revision}, repetitions {again.repetitions}"]
    answered.append(f"load before {again.load_before}")
    if again.python != machine.python:
        answered.append(again.python)
    answered += [f"{name} {value}" for name, value in again.settings.items() if machine.settings.get(name) != value]
    return f"{', '.join(answered)}."


def _measurements(measurements: list[Measurement]) -> Iterator[str]:
    names = list(dict.fromkeys(name for measurement in measurements for name in measurement.parameters))
    timed = any(measurement.latency for measurement in measurements)
    unit = measurements[0].unit if measurements else ""
    head = ["", *names, unit, "lowest", "highest", *(["p50", "p99", "p99.9"] if timed else [])]
    yield f"| {' | '.join(head)} |"
    yield f"|---{'|---' * len(names)}{'|---:' * (len(head) - 1 - len(names))}|"
    for it in measurements:
        cells = [it.subject, *(str(it.parameters.get(name, "")) for name in names)]
        cells += [_figure(it.median), _figure(min(it.rates)), _figure(max(it.rates))]
        if timed:
            latency = it.latency
            cells += ["", "", ""] if latency is None else [_figure(v) for v in (latency.p50, latency.p99, latency.p999)]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
