"""Prints the report of `verify`: a table of the checks, then a sentence for each finding."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workers.showing import printable
from workers.verify.report import SAMPLE, Check, VerifyReport

TABLES = "read tables equal a fresh fold"


def print_report(report: VerifyReport, out: Console) -> None:
    """Print the whole report."""
    table = Table("check", "covered", "result", title=f"Log {report.log}, {report.head:,} events, epoch {report.epoch}")
    for check in report.checks:
        table.add_row(check.name, covered(check), _result(check.offences))
    rows = f"{sum(report.tables.tables.values()):,} rows of {len(report.tables.tables)} tables"
    table.add_row(TABLES, rows, _result(len(report.tables.findings)))
    out.print(table)
    for line in sentences(report):
        out.print(line, highlight=False)
    out.print(f"Digest {report.digest_version} up to position {report.head}: {report.digest}", highlight=False)


def covered(check: Check) -> str:
    """How much a check covered, and what it left out."""
    left_out = "".join(f"; without {number:,}: {reason}" for reason, number in check.not_covered.items())
    return f"{check.covered:,} {check.counted}{left_out}"


def sentences(report: VerifyReport) -> Iterator[str]:
    """One line for each finding. If only a sample is shown, the number of all."""
    for check in report.checks:
        for finding in check.findings:
            yield f"[red]{check.name}[/red]: {escape(printable(str(finding)))}"
        if check.offences > len(check.findings):
            more = check.offences - len(check.findings)
            yield f"[red]{check.name}[/red]: {more:,} more; the first {SAMPLE} are shown"
    for found in report.tables.findings:
        yield f"[red]{TABLES}[/red]: {escape(printable(str(found)))}"


def _result(offences: int) -> str:
    return "[red]1 finding[/red]" if offences == 1 else f"[red]{offences:,} findings[/red]" if offences else "holds"
