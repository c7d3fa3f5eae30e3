"""Write a report as the page `docs/performance.md`.

Each figure comes from the report, with one exception: the section of peers was measured once, beside other ledgers, and
is written by hand. It is between two comments, and each new page keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.harness.result import Again, Machine, Measurement, Report, ScenarioResult
from bench.reporters import plots

FOLDER = "performance"
"""The folder of the plots, beside the page."""
_PEERS = re.compile(r"<!-- peers -->\n.*?<!-- end of peers -->\n", re.DOTALL)

_INTRODUCTION = """\
# Performance

`python -m bench --render` writes this page from `bench/results/latest.json`. Do not edit it, except for the section of
peers. `make bench-full` measures everything again, and `make bench` a part in less than ten minutes.

- A rate is the median of the repetitions, with the lowest and the highest. The plots show these two as bars.
- A latency is a percentile over all repetitions, in milliseconds, from HDR histograms.
- Things that are compared were measured in turn within one run.
- After each scenario the database is checked. A run that fails its check writes no result.
- Other programs ran on the machine too. If single-row commits are far below what the disk can do, the machine was busy:
  then trust the ratios, not the rates.
- The speed of the processor varies. Each scenario ends with the time that a fixed loop of Python took while it ran.
  Look at it before you compare the rates of two scenarios or of two runs.
- [`python -m bench compare REVISION`](howto/compare-two-revisions.md) tells whether a change made anything slower.
"""


def render(report: Report, peers: str = "") -> str:
    """Return the whole page, with this section of peers."""
    return "\n".join(_lines(report, peers))


def peers_of(text: str) -> str:
    """Return the section of peers of a page, or nothing if it has none."""
    found = _PEERS.search(text)
    return found[0] if found else ""


def write(report: Report, file: Path) -> None:
    """Write the page and its plots. Plots that the page no longer shows are removed."""
    file.write_text(render(report, peers_of(file.read_text()) if file.exists() else ""))
    folder = file.parent / FOLDER
    folder.mkdir(exist_ok=True)
    drawn = plots.draw(report)
    for old in folder.glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    for name, svg in drawn.items():
        (folder / name).write_text(svg)


def _lines(report: Report, peers: str) -> Iterator[str]:
    yield _INTRODUCTION
    if peers:
        yield peers
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
    yield "## Goals and results\n"
    yield "| scenario | figure | measured | goal | |\n|---|---|---:|---:|---|"
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
    parts = [f"Measured again: {again.date}, {again.revision}, repetitions {again.repetitions}"]
    parts.append(f"load before {again.load_before}")
    if again.python != machine.python:
        parts.append(again.python)
    parts += [f"{name} {value}" for name, value in again.settings.items() if machine.settings.get(name) != value]
    return f"{', '.join(parts)}."


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
