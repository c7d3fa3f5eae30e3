"""The forms of statement files: their writers, media types and bounds."""

from __future__ import annotations

from collections.abc import Iterator

from api.accounts.statement_files.camt053 import write_camt053
from api.accounts.statement_files.content import (
    MOST_LINES,
    Content,
    FileForm,
    TooManyLinesError,
    Writer,
    WrongOrderError,
)
from api.accounts.statement_files.csv_file import write_csv
from api.accounts.statement_files.pdf_file import write_pdf

WRITERS: dict[FileForm, tuple[Writer, str, str]] = {
    "csv": (write_csv, "text/csv", "csv"),
    "pdf": (write_pdf, "application/pdf", "pdf"),
    "camt053": (write_camt053, "application/xml", "xml"),
}
"""Of each form: what writes it, its media type, and how names of files end."""


def file_of(form: FileForm, content: Content) -> Iterator[bytes]:
    """The parts of a file. Raises `TooManyLinesError` and `WrongOrderError` before the first one."""
    entries = content.head.sums.entries
    if entries > MOST_LINES[form]:
        raise TooManyLinesError(form, entries)
    if form == "camt053" and content.head.by != "booking":
        raise WrongOrderError(form)
    return WRITERS[form][0](content)


def file_name(form: FileForm, content: Content) -> str:
    """A name for the file: account, period and form. It has no personal data."""
    head = content.head
    return f"statement-{head.account.number}-{head.since}-{head.until}.{WRITERS[form][2]}"
