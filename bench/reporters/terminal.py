"""Prints the result of a scenario."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.harness.result import ScenarioResult


def show(result: ScenarioResult, console: Console) -> None:
    """Print rates, latencies and comparisons."""
    table = Table(title=result.title, title_justify="left")
    for heading in ("", "with", "unit", "median", "p50 ms", "p99 ms"):
        table.add_column(heading)
    for it in result.measurements:
        parameters = ", ".join(f"{name} {value}" for name, value in it.parameters.items())
        times = ("", "") if it.latency is None else (f"{it.latency.p50:.2f}", f"{it.latency.p99:.2f}")
        table.add_row(it.subject, parameters, it.unit, f"{it.median:,.0f}", *times)
    console.print(table)
    for comparison in result.comparisons:
        expected = "".join(f", expected {sign} {bound:,g}" for sign, bound in comparison.bounds)
        mark = "" if comparison.met else "  NOT REACHED"
        console.print(f"  {comparison.name}: {comparison.value:,g}{expected}{mark}")
    console.print(f"  checked: {'; '.join(result.checked)}\n")
