"""Which events a walk shows: of a stream, an account, a correlation, or the whole log, with filters.

A source is read in pages that end with a unit, as `eventstore.log.read.read_log` does. A filter may leave nothing of a
page, which still advances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import orjson
from psycopg import Connection

from domain.accounts.transaction import TRANSACTION
from domain.registry import AMOUNTS, CATALOGUE
from domain.subjects import subject_stream
from eventstore.log.answers import find_answers
from eventstore.log.append import MOST_EVENTS_PER_UNIT
from eventstore.log.codec import Codec
from eventstore.log.read import (
    Page,
    Recorded,
    read_log,
    read_naming,
    read_of_units,
    read_stream,
    read_unit,
    read_unit_end,
    version_at,
)
from projections.replay.steps import States, Step, decoded, members_of

SEARCHED = 2_000
"""Positions of the log that are searched at once."""
UNITS = 100
"""Events of an account whose units are read at once."""

_SUBJECTS = {entry.name: entry.subject for entry in CATALOGUE}


@dataclass(frozen=True, slots=True)
class Amounts:
    """A filter on amounts: in this currency, between these minor units, both included. None for no bound."""

    currency: str
    least: int | None = None
    most: int | None = None

    def has(self, data: Any, currency: str | None = None) -> bool:
        """Whether an event has such an amount. `currency` is that of the surrounding object."""
        if isinstance(data, list):
            return any(self.has(one, currency) for one in data)
        if not isinstance(data, dict):
            return False
        currency = data.get("currency") or currency
        return any(
            self._fits(value, currency) if name in AMOUNTS and isinstance(value, int) else self.has(value, currency)
            for name, value in data.items()
        )

    def _fits(self, amount: int, currency: str | None) -> bool:
        least = self.least is None or amount >= self.least
        return currency == self.currency and least and (self.most is None or amount <= self.most)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to walk. At most one of stream, account and correlation is set; without one it is the whole log.

    `correlation` is a correlation or an idempotency key. With `actor` it is a key of that actor, which is found in the
    record of its command, so the log is not searched. The other members are filters: `person` sent the command or is
    the subject of the event.
    """

    stream: str | None = None
    account: str | None = None
    correlation: str | None = None
    actor: str | None = None
    person: str | None = None
    type: str | None = None
    amounts: Amounts | None = None

    def shows(self, recorded: Recorded, event: Any) -> bool:
        """Whether the filters let an event pass."""
        if self.type is not None and recorded.type != self.type:
            return False
        if self.person is not None and not self._is_of_person(recorded, event):
            return False
        return self.amounts is None or self.amounts.has(members_of(event))

    def _is_of_person(self, recorded: Recorded, event: Any) -> bool:
        subject = _SUBJECTS[recorded.type]
        about = (recorded.stream, None if subject is None else getattr(event, subject, None))
        actor = orjson.loads(recorded.metadata)["actor"]
        named = {self.person, subject_stream(str(self.person))}
        return self.person in (actor["id"], actor.get("person")) or bool(named.intersection(about))


def walk(
    connection: Connection[Any],
    log_number: int,
    codec: Codec,
    selection: Selection,
    states: States,
    after: int,
    end: int,
) -> Iterator[Step]:
    """The steps of a selection after one position up to and including another, in order of the log."""
    while after < end:
        page = read_selected(connection, log_number, selection, after, end)
        yield from steps_of(codec, selection, states, page, end)
        after = page.upto


def steps_of(codec: Codec, selection: Selection, states: States, page: Page, end: int) -> Iterator[Step]:
    """The steps of a page up to a position."""
    rows = [row for row in page.events if row.position <= end and selection.type in (None, row.type)]
    for recorded, event in zip(rows, decoded(codec, rows), strict=True):
        if selection.shows(recorded, event):
            yield states.step(recorded, event)


def read_selected(
    connection: Connection[Any], log_number: int, selection: Selection, after: int, end: int, limit: int = SEARCHED
) -> Page:
    """The next events of a selection, before the filters. The page ends with a unit, or at `end` where none is left."""
    if selection.stream is not None:
        return _of_stream(connection, log_number, selection.stream, after, end, limit)
    if selection.account is not None:
        return _of_account(connection, log_number, selection.account, after, end, min(limit, UNITS))
    if selection.correlation is not None:
        return _correlated(connection, log_number, selection.correlation, selection.actor, after, end, limit)
    types = None if selection.type is None else (selection.type,)
    return _advancing(read_log(connection, log_number, after, min(limit, end - after), types=types), end)


def _advancing(page: Page, end: int) -> Page:
    """The page; at the end of the log one that has reached `end`, so that every walk ends."""
    return Page(page.events, page.after, end) if page.at_end else page


def _of_stream(connection: Connection[Any], log_number: int, stream: str, after: int, end: int, limit: int) -> Page:
    version = version_at(connection, log_number, stream, after)
    events = read_stream(connection, log_number, stream, after=version, limit=limit)
    more = len(events) == limit
    while more and events[-1].position < events[-1].unit_end:  # the unit may have more of the stream
        found = read_stream(connection, log_number, stream, after=events[-1].version, limit=limit)
        rest = [one for one in found if one.unit_end == events[-1].unit_end]
        events += rest
        more = len(rest) == limit
    upto = end if len(events) < limit or events[-1].unit_end > end else events[-1].unit_end
    return Page([one for one in events if one.position <= end], after, upto)


def _of_account(connection: Connection[Any], log_number: int, account: str, after: int, end: int, limit: int) -> Page:
    """Events of the account, and those of the transactions that they name in the same units."""
    page = _of_stream(connection, log_number, account, after, end, limit)
    moved = page.events
    if after and read_unit_end(connection, log_number, after) not in (None, after):
        # The walk goes on within a unit. What it said before of the account names the transactions as well.
        begun = read_unit(connection, log_number, after, MOST_EVENTS_PER_UNIT)
        moved = [*(one for one in begun if one.stream == account), *moved]
    named = {id for one in moved for id in _transactions_in(orjson.loads(one.payload))}
    ends = sorted({one.unit_end for one in moved})
    # Streams of transactions are short. That of the account may have a million events, and is read by version alone.
    others = read_of_units(connection, log_number, sorted(named), ends)
    events = sorted([*page.events, *others], key=attrgetter("position"))
    return Page([one for one in events if after < one.position <= end], after, page.upto)


def _transactions_in(payload: Mapping[str, Any]) -> Iterator[str]:
    return (one for one in payload.values() if isinstance(one, str) and one.startswith(f"{TRANSACTION}_"))


def _correlated(
    connection: Connection[Any], log_number: int, name: str, actor: str | None, after: int, end: int, limit: int
) -> Page:
    if actor is not None:
        found = find_answers(connection, log_number, [(actor, name)]).get((actor, name))
        if found is None or found.answer.first_position is None or found.answer.last_position is None:
            return Page([], after, end)
        first, last = found.answer.first_position, found.answer.last_position
        after = max(after, first - 1)
        page = read_log(connection, log_number, after, last - after) if after < min(last, end) else Page([], after, end)
        return Page(page.events, after, end)
    page = read_naming(connection, log_number, after, min(limit, end - after), orjson.dumps(name))
    events = [one for one in page.events if name in _names(orjson.loads(one.metadata))]
    return _advancing(Page(events, page.after, page.upto), end)


def units_named(connection: Connection[Any], log_number: int, name: str, actor: str | None, end: int) -> Iterator[int]:
    """The ends of the units with this correlation or key, in order of the log up to a position."""
    selection, after, last = Selection(correlation=name, actor=actor), 0, 0
    while after < end:
        page = read_selected(connection, log_number, selection, after, end)
        for one in page.events:
            if one.unit_end != last:
                yield one.unit_end
            last = one.unit_end
        after = page.upto


def _names(metadata: Mapping[str, Any]) -> tuple[Any, Any]:
    return metadata["correlation"], metadata.get("key")
