"""Reads journals by the tools they were written for: hledger prints JSON, ledger a line for each posting.

The tools parse, infer amounts, follow includes and check balance assertions. A parser of ours would know less of their
formats, and would read a journal otherwise than its owner does.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

import msgspec

from workers.importers.journal.source import MOST_BYTES, JournalError, SourcePosting, SourceTransaction, bounded

PATIENCE_SECONDS: Final = 600
MOST_MESSAGE: Final = 600
"""Characters of a message of a tool."""
SEPARATOR: Final = "\x1f"
"""Between the fields of a line of ledger: a character that no journal has."""
_AFTER_ACCOUNT: Final = re.compile(r"\s{2,}|\t")
"""What ends the name of an account, which may have blanks, and signs that a price has."""
_FIELDS: Final = (
    "filename",
    "xact.id",
    "xact.beg_line",
    'format_date(xact.date, "%Y-%m-%d")',
    'format_date(date, "%Y-%m-%d")',
    "code",
    "payee",
    "account",
    "quantity(amount)",
    "commodity(amount)",
    "virtual",
)


def read_hledger(file: Path, *, real: bool) -> list[SourceTransaction]:
    """The transactions of a journal of hledger. `real` leaves virtual postings out. Raises `JournalError`."""
    with _printed("hledger", "-f", str(file.resolve()), "print", "-O", "json") as printed:
        try:
            found = msgspec.json.decode(printed, type=list[_Transaction])
        except msgspec.MsgspecError as error:
            raise JournalError(f"hledger prints JSON of another form than is known: {error}") from None
    lines = _SourceLines()
    return bounded(_of_hledger(one, lines, real=real) for one in sorted(found, key=lambda one: one.tindex))


def read_ledger(file: Path, *, real: bool) -> list[SourceTransaction]:
    """The transactions of a journal of ledger. `real` leaves virtual postings out. Raises `JournalError`."""
    form = SEPARATOR.join(f"%({field})" for field in _FIELDS) + "\n"
    # No file of settings or environment of whoever imports it changes what is printed.
    options = ["--args-only", "--init-file", os.devnull]
    with _printed("ledger", *options, "-f", str(file.resolve()), "register", "--empty", "--format", form) as printed:
        text = str(printed, "utf-8", "replace")
    return bounded(_of_ledger(text, str(file.resolve()), _SourceLines(), real=real))


@contextmanager
def _printed(tool: str, *arguments: str) -> Iterator[memoryview]:
    """What a tool prints. It goes through a file, which is mapped, so that it need not fit memory twice."""
    program = shutil.which(tool)
    if program is None:
        raise JournalError(
            f"{tool} is not installed, and it reads its journals: install it (Debian: apt-get install {tool})"
        )
    with TemporaryFile() as output:
        _run(program, tool, arguments, output)
        size = output.seek(0, os.SEEK_END)
        if size > MOST_BYTES:
            raise JournalError(
                f"{tool} prints {size:,} bytes, and {MOST_BYTES:,} are read: import the journal in parts"
            )
        if size == 0:
            yield memoryview(b"")
            return
        with mmap.mmap(output.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            yield view


def _run(program: str, tool: str, arguments: tuple[str, ...], output: IO[bytes]) -> None:
    env = {**os.environ, "LC_ALL": "C.UTF-8"}  # hledger reads files in the encoding of the locale
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env=env,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise JournalError(f"{tool} did not read the journal within {PATIENCE_SECONDS} seconds") from None
    if done.returncode != 0:
        message = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise JournalError(f"{tool} refuses the journal: {message.removeprefix('hledger: ')[:MOST_MESSAGE]}")


class _SourceLines:
    """Lines of the journals, to see whether a price was written or inferred."""

    def __init__(self) -> None:
        self._file: tuple[str, list[str]] = ("", [])

    def have_price(self, file: str, first: int, last: int | None) -> bool:
        """Whether a posting here has a price: `@`, or a cost in braces. Without `last`: up to the blank line."""
        if self._file[0] != file:
            try:
                text = Path(file).read_text(encoding="utf-8", errors="replace")
            except OSError:
                text = ""
            self._file = (file, text.split("\n"))  # `splitlines` knows more ends of lines than the tools
        for line in self._file[1][first : last - 1 if last is not None else None]:
            if not line[:1].isspace() or not line.strip():
                return False
            _, *amount = _AFTER_ACCOUNT.split(line.split(";")[0].strip(), maxsplit=1)
            if any(sign in text for text in amount for sign in "@{"):
                return True
        return False


# hledger


class _Quantity(msgspec.Struct):
    decimalMantissa: int
    decimalPlaces: int


class _Amount(msgspec.Struct):
    acommodity: str
    aquantity: _Quantity


class _Posting(msgspec.Struct):
    paccount: str
    pamount: list[_Amount]
    ptype: str
    pdate: str | None = None


class _Position(msgspec.Struct):
    sourceName: str
    sourceLine: int


class _Transaction(msgspec.Struct):
    tindex: int
    tdate: date
    tcode: str
    tdescription: str
    tsourcepos: list[_Position]
    tpostings: list[_Posting]


def _of_hledger(one: _Transaction, lines: _SourceLines, *, real: bool) -> SourceTransaction:
    begin, *more = one.tsourcepos
    where = _where(begin.sourceName, begin.sourceLine)
    postings = []
    for posting in one.tpostings:
        if posting.ptype != "RegularPosting":
            if real:
                continue
            raise _virtual(where, posting.paccount)
        if posting.pdate not in (None, one.tdate.isoformat()):
            raise _own_date(where, posting.paccount)
        for amount in posting.pamount:
            quantity = amount.aquantity
            digits = tuple(map(int, str(abs(quantity.decimalMantissa))))
            exact = Decimal((int(quantity.decimalMantissa < 0), digits, -quantity.decimalPlaces))
            postings.append(SourcePosting(posting.paccount, exact, amount.acommodity))
    priced = lines.have_price(begin.sourceName, begin.sourceLine, more[0].sourceLine if more else None)
    return SourceTransaction(one.tindex, where, one.tdate, one.tcode, one.tdescription, tuple(postings), priced)


# ledger


def _of_ledger(text: str, main: str, lines: _SourceLines, *, real: bool) -> Iterator[SourceTransaction]:
    rows = [line.split(SEPARATOR) for line in text.split("\n") if line]
    if any(len(row) != len(_FIELDS) for row in rows):
        raise JournalError("ledger prints lines of another form than is known")
    for number, (_, group) in enumerate(groupby(rows, key=lambda row: row[1:3]), 1):
        of_it = list(group)
        file, _, line, day, *_ = of_it[0]
        where = _where(file or main, int(line))
        code, payee = of_it[0][5:7]
        postings = []
        for *_, own_day, _, _, account, quantity, commodity, virtual in of_it:
            if virtual == "true":
                if real:
                    continue
                raise _virtual(where, account)
            if own_day != day:
                raise _own_date(where, account)
            postings.append(SourcePosting(account, _decimal(quantity, where), commodity.strip('"')))
        priced = lines.have_price(file or main, int(line), None)
        yield SourceTransaction(number, where, date.fromisoformat(day), code, payee, tuple(postings), priced)


def _decimal(text: str, where: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise JournalError(f"{where}: ledger prints the amount {text[:40]!r}, which is no number") from None


def _where(file: str, line: int) -> str:
    return f"{Path(file).name}:{line}"


def _virtual(where: str, account: str) -> JournalError:
    return JournalError(
        f"{where}: the posting to {account} is virtual, and a ledger has none: leave them out with --real"
    )


def _own_date(where: str, account: str) -> JournalError:
    return JournalError(
        f"{where}: the posting to {account} has a date of its own; all entries of a transaction have one value date"
    )
