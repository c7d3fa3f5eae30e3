"""The aggregate reconciliation part: some lines of a statement, and which of them are matched.

Its events are made by the commands of sessions and matches. A part has few lines, so its state is small, and two
commands about different parts do not meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from msgspec.structs import replace

from domain.accounts.reconciliation.events import LinesMatched, LinesUnmatched, PartEvent, StatementPartListed
from domain.accounts.reconciliation.matching import OutsideLine
from domain.accounts.reconciliation.statement import PART_LINES, STATEMENT_PART, part_of, part_stream
from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import States, Value, found

# State


class ListedLine(Value, frozen=True):
    """A line of a part as it is now."""

    number: int
    amount: int  # ours
    value_date: date
    references: tuple[str, ...]
    bank_reference: str | None
    match: str | None = None
    by_hand: bool = False  # a match of it was undone, so the rules leave it to people

    @property
    def outside(self) -> OutsideLine:
        """The line as the rules see it."""
        return OutsideLine(self.number, self.amount, self.value_date, self.references, self.bank_reference)


class ReconciliationPart(Value, frozen=True):
    """A part of a statement at a version of its stream."""

    version: int
    id: str
    reconciliation: str
    currency: str
    first: int
    lines: tuple[ListedLine, ...]

    def line(self, number: int) -> ListedLine | None:
        """Return the line with this number, or None."""
        place = number - self.first
        return self.lines[place] if 0 <= place < len(self.lines) else None

    @property
    def unmatched(self) -> tuple[ListedLine, ...]:
        """The lines that are not matched."""
        return tuple(line for line in self.lines if line.match is None)


def evolve(state: ReconciliationPart | None, event: PartEvent) -> ReconciliationPart:
    """Return the part after the event. Raises ValueError if the stream does not begin with `StatementPartListed`."""
    version = event.originator_version
    if isinstance(event, StatementPartListed):
        if state is not None:
            raise ValueError(f"{event.originator_id} is listed again at version {version}")
        lines = tuple(
            ListedLine(
                number=number,
                amount=-line.amount if event.mirrored else line.amount,
                value_date=line.value_date,
                references=line.references,
                bank_reference=line.bank_reference,
            )
            for number, line in enumerate(event.lines, event.first)
        )
        return ReconciliationPart(
            version, event.originator_id, event.reconciliation, event.currency, event.first, lines
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with StatementPartListed")
    if isinstance(event, LinesMatched):
        matched = {line.number: line.match for line in event.lines}
        lines = tuple(
            replace(line, match=matched[line.number]) if line.number in matched else line for line in state.lines
        )
    else:
        numbers = frozenset(event.numbers)
        lines = tuple(
            replace(line, match=None, by_hand=True) if line.number in numbers else line for line in state.lines
        )
    return replace(state, version=version, lines=lines)


def line_of(reconciliation: str, number: int, states: States) -> ListedLine | None:
    """Return a line of a session, or None if there is none with this number."""
    part = found(states, part_stream(reconciliation, part_of(number)), ReconciliationPart)
    return None if part is None else part.line(number)


# What stored events are held to


def check(before: ReconciliationPart | None, events: Sequence[PartEvent], decided: Decided) -> Iterator[Broken]:
    """Find lines that are matched twice, and lines that are unmatched without a match."""
    part = before
    for event in events:
        id = event.originator_id
        if isinstance(event, StatementPartListed):
            many = len(event.lines)
            if part is not None or not 0 < many <= PART_LINES:
                yield Broken(event, f"{id} is listed again, or has {many} lines")
            if id != part_stream(event.reconciliation, part_of(event.first)):
                yield Broken(event, f"{id} is not the part of {event.reconciliation} that begins with {event.first}")
        elif part is not None:
            if event.reconciliation != part.reconciliation:
                yield Broken(event, f"{id} is a part of {part.reconciliation}, not of {event.reconciliation}")
            yield from _changed(part, event)
        part = evolve(part, event)


def _changed(part: ReconciliationPart, event: LinesMatched | LinesUnmatched) -> Iterator[Broken]:
    matched = isinstance(event, LinesMatched)
    numbers = [line.number for line in event.lines] if isinstance(event, LinesMatched) else list(event.numbers)
    if not numbers or len(set(numbers)) != len(numbers):
        yield Broken(event, f"{type(event).__name__} of {part.id} names no line, or one twice")
    for number in numbers:
        line, expected = part.line(number), event.match if isinstance(event, LinesUnmatched) else None
        if line is None or line.match != expected:
            state = "no line of it" if line is None else f"matched by {line.match or 'nothing'}"
            what = "matched" if matched else "unmatched"
            yield Broken(event, f"line {number} of {part.id} is {what}, and was {state}")


AGGREGATE = Aggregate(
    name="reconciliation_part",
    prefix=f"{STATEMENT_PART}_",
    events=(
        EventType("reconciliation.part_listed.v1", StatementPartListed, "subject", ("counterparties", "texts")),
        EventType("reconciliation.lines_matched.v1", LinesMatched),
        EventType("reconciliation.lines_unmatched.v1", LinesUnmatched),
    ),
    evolve=evolve,
    amounts=frozenset({"amount"}),
    check=check,
)
