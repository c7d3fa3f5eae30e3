"""Any file of the bank gives rows or one message with file and line, and never another error."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.importers.czech_bank.source import (
    SourceAccount,
    SourceError,
    SourceOrder,
    SourceTransaction,
    read_accounts,
    read_orders,
    read_transactions,
)

CZECH_BANK = Path(__file__).parents[2] / "fixtures" / "czech-bank"
HEADINGS = {
    "trans-fuzz.asc": "trans_id;account_id;date;type;operation;amount;balance;k_symbol;bank;account",
    "account.asc": '"account_id";"district_id";"frequency";"date"',
    "disp.asc": '"disp_id";"client_id";"account_id";"type"',
    "order.asc": '"order_id";"account_id";"bank_to";"account_to";"amount";"k_symbol"',
}
WORDS = ("1", "9", "930131", "930230", "+1-1+1", " 1 2 3", "0x1", "PRIJEM", "VYDAJ", "VKLAD", "VYBER", "UROK", "OWNER")
AMOUNTS = ("1.00", "0.00", "-1.00", "1e9", "NaN", "7" * 5_000, "\u0661\u0662")
SYNTAX = ("", '"', '""', '"a', "\x00", "x" * 140_000)
VALUES = st.sampled_from(WORDS + AMOUNTS + SYNTAX) | st.text(max_size=12)
LINES = st.lists(st.one_of(VALUES, VALUES.map(lambda value: f'"{value}"')), max_size=12).map(";".join)
ROWS = st.builds(
    lambda *values: ";".join(values),
    st.just("1"), st.just("9"), st.sampled_from(["930131", "930201", "+1-1+1", " 10101"]),
    st.sampled_from(['"PRIJEM"', '"VYDAJ"', '"X"']), st.sampled_from(['"VKLAD"', '"VYBER"', '"\n"']),
    VALUES, VALUES, st.just('""'), st.just('"AB"'), st.just('"1"'),
)  # fmt: skip


def contents(name: str) -> st.SearchStrategy[bytes]:
    """Any bytes, any lines below the heading, and lines that are nearly right."""
    lines = st.lists(LINES | ROWS, max_size=6)
    under = st.tuples(lines, st.sampled_from(["\r\n", "\n", "\r"])).map(
        lambda drawn: drawn[1].join([HEADINGS[name], *drawn[0], ""]).encode("utf-8", "surrogatepass")
    )
    return st.binary(max_size=300) | under | st.builds(lambda head, tail: head + tail, under, st.binary(max_size=60))


def answered(name: str, content: bytes, read: Callable[[Path], list[Any]]) -> list[Any]:
    """The rows; none if there is an error, which must name file and line."""
    folder = Path(tempfile.mkdtemp())
    try:
        for each in ("account.asc", "disp.asc"):
            shutil.copy(CZECH_BANK / each, folder)
        (folder / name).write_bytes(content)
        return read(folder)
    except SourceError as error:
        wrong = str(error)
    finally:
        shutil.rmtree(folder)
    assert re.match(r"[a-z-]+\.asc:(\d+:| no column) \S", wrong), wrong[:200]
    assert len(wrong) < 500, "the message is short and not the file"
    return []


def below_the_heading(line: str) -> bytes:
    """A file of transactions with only this line."""
    return f"{HEADINGS['trans-fuzz.asc']}\n{line}\n".encode("latin-1")


@given(content=contents("trans-fuzz.asc"))
@example(content=below_the_heading("7" * 5_000 + ";9;930131;PRIJEM;VKLAD;1.00;1.00;;;"))
@example(content=below_the_heading('1;9;930131;PRIJEM;VKLAD;1.00;1.00;"' + "x" * 140_000 + '";;'))
@example(content=below_the_heading("1;9;+1+1+1;PRIJEM;VKLAD;1.00;1.00;;;"))
@example(content=below_the_heading("1;9;93013\xe9;PRIJEM;VKLAD;1.00;1.00;;;"))
@settings(max_examples=300)
def test_any_bytes_of_transactions(content: bytes) -> None:
    for row in answered("trans-fuzz.asc", content, lambda folder: list(read_transactions(folder / "trans-fuzz.asc"))):
        assert isinstance(row, SourceTransaction)
        assert row.amount >= 0
        assert date(1900, 1, 1) <= row.day <= date(1999, 12, 31)
        assert max(row.id, row.account) < 2**63


@pytest.mark.parametrize("name", ["account.asc", "disp.asc"])
def test_any_bytes_of_accounts_and_dispositions(name: str) -> None:
    @given(content=contents(name))
    @settings(max_examples=150)
    def run(content: bytes) -> None:
        for row in answered(name, content, read_accounts):
            assert isinstance(row, SourceAccount)
            assert max(row.id, row.owner) < 2**63

    run()


@given(content=contents("order.asc"))
@example(content=f"{HEADINGS['order.asc']}\n1;9;YZ;2;2452.00;SIPO\n".encode())
@settings(max_examples=150)
def test_any_bytes_of_standing_orders(content: bytes) -> None:
    for row in answered("order.asc", content, lambda folder: list(read_orders(folder))):
        assert isinstance(row, SourceOrder)
        assert row.amount >= 0
        assert max(row.id, row.account) < 2**63
