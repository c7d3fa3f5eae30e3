"""What a file of a statement is made of, and the bounds of each form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from psycopg import Connection

from domain.money import show
from projections.accounts.statements.statement import Key, Line, Statement, lines
from projections.engine.listing import Reader

FileForm = Literal["csv", "pdf", "camt053"]
FORMS: tuple[FileForm, ...] = get_args(FileForm)
MOST_LINES: dict[FileForm, int] = {"csv": 1_000_000, "camt053": 100_000, "pdf": 5_000}
"""Most lines of a file. A PDF is made in memory; the others are streamed."""
PAGE = 1_000
"""Lines that are read at once."""


@dataclass(frozen=True, slots=True)
class Content:
    """A statement to write. The same position gives the same bytes, unless a person was erased since."""

    head: Statement
    as_of: str  # the position that it is of, as a token
    recorded_at: datetime | None  # when the event at this position was recorded, UTC; None for an empty log
    lines: Iterable[Line]

    def amount(self, minor: int) -> str:
        """An amount of the account's currency as a decimal string."""
        return show(minor, self.head.account.currency)


Writer = Callable[[Content], Iterator[bytes]]


def every_line(
    connected: Callable[[], AbstractContextManager[Connection[Any]]], head: Statement, reader: Reader
) -> Iterator[Line]:
    """The lines of a statement. A connection is held while a page is read, and not while it is sent."""
    following: Key | None = None
    while True:
        with connected() as connection:
            page = lines(connection, head, cursor=following, limit=PAGE, reader=reader)
        yield from page.items
        following = page.next
        if following is None:
            return


class TooManyLinesError(ValueError):
    """The statement has more lines than a file of this form takes."""

    def __init__(self, form: FileForm, lines: int) -> None:
        super().__init__(
            f"The statement has {lines} lines; a file in the form {form} takes at most {MOST_LINES[form]}. Ask for a "
            "shorter period."
        )
        self.lines = lines


class WrongOrderError(ValueError):
    """This form has no statements by value date."""

    def __init__(self, form: FileForm) -> None:
        super().__init__(f"A statement in the form {form} is by booking: its balances are booked balances.")
