"""A scenario's result for who is waiting for it."""

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
        bounds = {"at least": comparison.at_least, "at most": comparison.at_most}
        expected = "".join(f", expected {word} {bound:,g}" for word, bound in bounds.items() if bound is not None)
        mark = "" if comparison.met else "  NOT REACHED"
        console.print(f"  {comparison.name}: {comparison.value:,g}{expected}{mark}")
    console.print(f"  checked: {'; '.join(result.checked)}\n")
