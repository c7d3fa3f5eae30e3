"""Statements as CSV (RFC 4180): a row with the opening balance, the lines, and a row with the closing balance.

A file that was cut off has no closing row. Spreadsheets take text that begins with certain signs for a formula, and the
payer of an incoming payment writes its description; so such text gets an apostrophe before it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date
from io import StringIO
from itertools import islice

from api.accounts.statement_files.content import PAGE, Content
from projections.accounts.statements.statement import Line

COLUMNS = (
    "row",
    "number",
    "transaction",
    "entry",
    "kind",
    "reference",
    "description",
    "parent",
    "counterparties",
    "value_date",
    "recorded_at",
    "amount",
    "balance",
    "currency",
    "position",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(content: Content) -> Iterator[bytes]:
    """The file in parts."""
    head = content.head
    out = StringIO()
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    rows.writerow(_balance_row(content, "opening", head.since, head.opening))
    lines = iter(content.lines)
    while page := list(islice(lines, PAGE)):
        rows.writerows(_row(content, line) for line in page)
        yield _taken(out)
    rows.writerow(_balance_row(content, "closing", head.until, head.closing))
    yield _taken(out)


def _balance_row(content: Content, row: str, day: date, balance: int) -> tuple[object, ...]:
    """The row of the opening or the closing balance. Its position is that of the whole statement."""
    before_day = ("",) * (COLUMNS.index("value_date") - 1)
    return (
        row,
        *before_day,
        day,
        "",
        "",
        content.amount(balance),
        content.head.account.currency,
        content.head.position,
    )


def _row(content: Content, line: Line) -> tuple[object, ...]:
    return (
        "line",
        line.number,
        line.transaction,
        line.entry,
        line.kind,
        _text(line.reference),
        _text(line.description),
        line.parent or "",
        " ".join(line.counterparties) + (" …" if line.counterparties_in_all > len(line.counterparties) else ""),
        line.value_date,
        line.recorded_at.isoformat(),
        content.amount(line.amount),
        content.amount(line.balance),
        content.head.account.currency,
        line.position,
    )


def _text(text: str | None) -> str:
    return "" if text is None else f"'{text}" if text.startswith(_FORMULA) else text


def _taken(out: StringIO) -> bytes:
    """What was written so far; the buffer is empty after it."""
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode()
