"""Statements as PDF, written with ReportLab: a head with the sums, and two rows of text for each line.

Text is drawn, and never read as markup. The font has Latin, Greek and Cyrillic; a character that it does not have is
shown as a question mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from io import BytesIO
from typing import Final

from font_source_sans_pro import font_files_ttf
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from api.accounts.statement_files.content import Content
from projections.accounts.statements.statement import Line

WIDTH, HEIGHT = A4
MARGIN: Final = 42.0
"""Points, as all lengths here."""
BOOKED, VALUE, TEXT, AMOUNT, BALANCE = MARGIN, MARGIN + 62, MARGIN + 124, WIDTH - MARGIN - 96, WIDTH - MARGIN
"""Where the columns begin; those of amounts are where they end."""
LINE_HEIGHT, ROW_HEIGHT, BOTTOM = 24.0, 10.0, 60.0
PLAIN, BOLD = "SourceSansPro", "SourceSansProSemibold"
SIZE, SMALL, LARGE = 9.0, 7.5, 15.0
MISSING: Final = "?"


@cache
def _register() -> frozenset[int]:
    """Register the fonts once, and return the characters that they have."""
    font = TTFont(PLAIN, font_files_ttf["SourceSansPro"])
    pdfmetrics.registerFont(font)
    pdfmetrics.registerFont(TTFont(BOLD, font_files_ttf["SourceSansProSemibold"]))
    return frozenset(font.face.charToGlyph)


def write_pdf(content: Content) -> Iterator[bytes]:
    """The file, in one part."""
    characters = _register()
    out = BytesIO()
    page = _Page(Canvas(out, pagesize=A4, pageCompression=1, invariant=1), content, characters)
    page.begin_first()
    for line in content.lines:
        page.line(line)
    page.end()
    yield out.getvalue()


class _Page:
    """Draws from top to bottom, and begins another page when one is full."""

    def __init__(self, canvas: Canvas, content: Content, characters: frozenset[int]) -> None:
        self._canvas = canvas
        self._content = content
        self._characters = characters
        self._y = HEIGHT - MARGIN
        self._number = 1

    def begin_first(self) -> None:
        """The head of the statement."""
        content, head = self._content, self._content.head
        account = head.account
        self._canvas.setTitle(f"Statement of {account.number}, {head.since} to {head.until}")
        self._canvas.setCreator("Daybook")
        self._text(MARGIN, "Account statement", BOLD, LARGE)
        self._y -= 26
        order = "day of booking (UTC)" if head.by == "booking" else "value date"
        recorded = "" if content.recorded_at is None else f", {content.recorded_at:%Y-%m-%d %H:%M:%S} UTC"
        rows = (
            ("Account", f"{account.number} ({account.type}, {account.currency})"),
            ("Name", account.name or "(erased)"),
            ("Period", f"{head.since} to {head.until}, by {order}"),
            ("As of", f"{content.as_of}{recorded}"),
            ("Opening balance", content.amount(head.opening)),
            ("Debits", content.amount(head.sums.debits)),
            ("Credits", content.amount(head.sums.credits)),
            ("Closing balance", content.amount(head.closing)),
            ("Entries", str(head.sums.entries)),
        )
        for name, value in rows:
            self._text(MARGIN, name, PLAIN, SIZE)
            self._text(MARGIN + 96, value, BOLD if "balance" in name else PLAIN, SIZE)
            self._y -= 13
        self._y -= 10
        self._columns()

    def line(self, line: Line) -> None:
        """A line of the statement."""
        if self._y < BOTTOM + LINE_HEIGHT:
            self._finish()
            self._y = HEIGHT - MARGIN
            self._columns()
        content = self._content
        title = " · ".join(part for part in (line.kind.replace("_", " "), line.reference) if part)
        text = "(erased)" if line.description_erased else line.description
        others = ", ".join(line.counterparties)
        more = line.counterparties_in_all - len(line.counterparties)
        below = " · ".join(part for part in (text, others + (f" and {more} more" if more else "")) if part)
        room = AMOUNT - TEXT - 70
        self._text(BOOKED, f"{line.recorded_at:%Y-%m-%d}", PLAIN, SIZE)
        self._text(VALUE, str(line.value_date), PLAIN, SIZE)
        self._text(TEXT, title, PLAIN, SIZE, room)
        self._text(AMOUNT, content.amount(line.amount), PLAIN, SIZE, right=True)
        self._text(BALANCE, content.amount(line.balance), PLAIN, SIZE, right=True)
        self._y -= ROW_HEIGHT
        self._text(TEXT, below, PLAIN, SMALL, BALANCE - TEXT)
        self._y -= LINE_HEIGHT - ROW_HEIGHT

    def end(self) -> None:
        """Finish the last page and the file."""
        self._finish()
        self._canvas.save()

    def _columns(self) -> None:
        for x, name, right in (
            (BOOKED, "Booked", False),
            (VALUE, "Value date", False),
            (TEXT, "Transaction", False),
            (AMOUNT, "Amount", True),
            (BALANCE, "Balance", True),
        ):
            self._text(x, name, BOLD, SIZE, right=right)
        self._canvas.setLineWidth(0.5)
        self._canvas.line(MARGIN, self._y - 4, WIDTH - MARGIN, self._y - 4)
        self._y -= 17

    def _finish(self) -> None:
        self._y = MARGIN
        self._text(MARGIN, f"{self._content.head.account.number} · {self._content.as_of}", PLAIN, SMALL)
        self._text(WIDTH - MARGIN, f"Page {self._number}", PLAIN, SMALL, right=True)
        self._number += 1
        self._canvas.showPage()

    def _text(self, x: float, text: str, font: str, size: float, room: float = 0.0, *, right: bool = False) -> None:
        """Draw a text at this height; cut off with an ellipsis where it is wider than `room`, unless that is 0."""
        shown = "".join(one if ord(one) in self._characters else MISSING for one in " ".join(text.split()))
        if room:
            shown = _cut(shown, font, size, room)
        self._canvas.setFont(font, size)
        (self._canvas.drawRightString if right else self._canvas.drawString)(x, self._y, shown)


@cache
def _width(character: str, font: str) -> float:
    """The width of a character of size 1. The font has no more than about 1,300."""
    width: float = pdfmetrics.stringWidth(character, font, 1.0)
    return width


def _cut(text: str, font: str, size: float, room: float) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    width, fits = 0.0, 0
    for number, character in enumerate(text):
        width += _width(character, font) * size
        if width > room:
            return f"{text[:fits]}…"
        if width + _width("…", font) * size <= room:
            fits = number + 1
    return text
