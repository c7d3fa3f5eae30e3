"""Draws the figures of a report as SVG, without a library, so that a report always makes the same files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, log10
from xml.sax.saxutils import escape

from bench.harness.result import Measurement, Report, ScenarioResult
from bench.scenarios import zipf

WIDTH, PLOT_HEIGHT = 720, 260
LEFT, RIGHT, TITLE, LEGEND_ROW, BOTTOM = 72, 24, 34, 18, 48
LEGEND_COLUMNS = 2
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""The colours of Okabe and Ito, which people with any colour vision can distinguish."""
INK, FAINT = "#222222", "#dddddd"
TICKS = 5
PERCENTILES = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "max"}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a scenario: rates by the parameter `along`, or percentiles without it.

    It has a line for each subject and each value of the parameters `by`. `subjects` selects subjects; all without it.
    `where` selects measurements by their parameters.
    """

    file: str
    scenario: str
    title: str
    along: str | None = None
    by: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    subjects: tuple[str, ...] = ()


CHARTS = (
    Chart("store-disk.svg", "store", "Appends a second by callers, flush: disk", "callers", where=(("flush", "disk"),)),
    Chart("store-1ms.svg", "store", "Appends a second by callers, flush: 1 ms", "callers", where=(("flush", "1 ms"),)),
    Chart(
        "zipf-http.svg",
        "zipf",
        "Transfers a second by Zipf exponent, over HTTP",
        "exponent",
        subjects=(zipf.OVER_HTTP, zipf.FOR_UPDATE),
    ),
    Chart(
        "zipf-in-process.svg",
        "zipf",
        "Transfers a second by Zipf exponent, in process",
        "exponent",
        subjects=(zipf.IN_PROCESS,),
    ),
    Chart("http.svg", "http", "Requests a second by connections", "connections"),
    Chart(
        "processes.svg",
        "processes",
        "Deposits a second by API processes",
        "processes",
        ("connections", "customers", "flush"),
    ),
    Chart("mixed.svg", "mixed", "Reads and transfers: latency in ms", by=("load",)),
    Chart("lag.svg", "lag", "Transfers and head lag: latency in ms", by=("load",)),
)


@dataclass(frozen=True, slots=True)
class _Point:
    x: str
    y: float
    lowest: float
    highest: float


_Lines = dict[str, list[_Point]]


def draw(report: Report) -> dict[str, str]:
    """The SVG files of a report by name."""
    return {chart.file: _svg(chart, lines) for scenario in report.scenarios for chart, lines in _charts(scenario)}


def charts(scenario: ScenarioResult) -> list[Chart]:
    """The charts that are drawn of a scenario."""
    return [chart for chart, _ in _charts(scenario)]


def _charts(scenario: ScenarioResult) -> Iterator[tuple[Chart, _Lines]]:
    for chart in CHARTS:
        if chart.scenario == scenario.name and (lines := _lines(chart, scenario.measurements)):
            yield chart, lines


def _lines(chart: Chart, measurements: Iterable[Measurement]) -> _Lines:
    lines: _Lines = {}
    for it in measurements:
        named = not chart.subjects or it.subject in chart.subjects
        if not named or not dict(chart.where).items() <= it.parameters.items():
            continue
        name = ", ".join([it.subject, *(f"{by}: {it.parameters[by]}" for by in chart.by)])
        lines.setdefault(name, []).extend(_points(chart, it))
    return {name: points for name, points in lines.items() if points}


def _points(chart: Chart, it: Measurement) -> Iterator[_Point]:
    if chart.along is not None:
        yield _Point(str(it.parameters[chart.along]), it.median, min(it.rates), max(it.rates))
    elif it.latency is not None:
        for name, shown in PERCENTILES.items():
            value = getattr(it.latency, name)
            yield _Point(shown, value, value, value)


def _svg(chart: Chart, lines: _Lines) -> str:
    rows = ceil(len(lines) / LEGEND_COLUMNS)
    top = TITLE + rows * LEGEND_ROW + 14
    height = top + PLOT_HEIGHT + BOTTOM
    xs = list(dict.fromkeys(point.x for points in lines.values() for point in points))
    step = _step(max(point.highest for points in lines.values() for point in points))
    most = step * TICKS

    def x(value: str) -> float:
        return LEFT + (xs.index(value) + 0.5) * (WIDTH - LEFT - RIGHT) / len(xs)

    def y(value: float) -> float:
        return top + PLOT_HEIGHT * (1 - value / most)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}" role="img">',
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(chart.title)}</text>',
    ]
    for tick in range(TICKS + 1):
        at = y(tick * step)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="{INK if tick == 0 else FAINT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick * step:,g}</text>')
    under = top + PLOT_HEIGHT
    for value in xs:
        parts.append(f'<text x="{x(value):.1f}" y="{under + 18}" text-anchor="middle">{escape(value)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    name = chart.along or "percentile"
    parts.append(f'<text x="{middle:.1f}" y="{under + 38}" text-anchor="middle">{escape(name)}</text>')
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        row, column = divmod(number, LEGEND_COLUMNS)
        across = LEFT + column * (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS
        down = TITLE + row * LEGEND_ROW
        parts.append(f'<rect x="{across:.1f}" y="{down}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{across + 18:.1f}" y="{down + 10}">{escape(name)}</text>')
        through = " ".join(f"{x(point.x):.1f},{y(point.y):.1f}" for point in points)
        parts.append(f'<polyline points="{through}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in points:
            at, low, high = x(point.x), y(point.lowest), y(point.highest)
            parts.append(f'<path d="M{at:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{at:.1f}" cy="{y(point.y):.1f}" r="3.5" fill="{colour}"/>')
    return "\n".join([*parts, "</svg>\n"])


def _step(highest: float) -> float:
    """The smallest round step for which `TICKS` steps reach the highest value."""
    rough = max(highest, 1e-9) / TICKS
    power = 10.0 ** (ceil(log10(rough)) - 1)
    return power * min(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
