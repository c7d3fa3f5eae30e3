"""Writes a report as JSON and reads it."""

from __future__ import annotations

from pathlib import Path

import orjson
from pydantic import TypeAdapter

from bench.harness.result import FORMAT, Report

_REPORT = TypeAdapter(Report)


def write(report: Report, path: Path) -> None:
    """Write the result file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(dump(report))
    unfinished.replace(path)


def dump(report: Report) -> bytes:
    """The bytes of the result file."""
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def load(path: Path) -> Report:
    """Read a result file. Raises `ValueError` for one of another format."""
    report = _REPORT.validate_json(path.read_bytes())
    if report.format != FORMAT:
        raise ValueError(f"{path} has format {report.format}; this program reads {FORMAT}")
    return report
