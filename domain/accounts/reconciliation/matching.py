"""The rules by which lines of a statement are matched with our entries. They are tried in this order:

- `reference`: line and entry have a reference in common, and the same amount.
- `reference_date`: they also have the same value date.
- `reference_sum`: a line has a reference in common with several entries whose sum is its amount, and no other line has
  it; or the same with several lines and one entry.
- `amount_date`: line and entry have the same amount, their value dates differ by a few days at most, and they do not
  name different references.

Nothing is guessed: a pair is matched if the entry is the only one that fits the line by the rule, and the line the only
one that fits the entry. The other lines that something fits are ambiguous, and are left to people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TypeVar

from domain.accounts.reconciliation.events import EntryName, MatchRule
from domain.kernel import Value

MOST_IN_MATCH = 50
"""Most lines or entries of one match."""


class OutsideLine(Value, frozen=True):
    """A line that is not matched. The amount is ours: positive for what raises our account."""

    number: int
    amount: int
    value_date: date
    references: tuple[str, ...] = ()
    bank_reference: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """What it may have in common with an entry."""
        return self.references if self.bank_reference is None else (*self.references, self.bank_reference)


class OwnEntry(Value, frozen=True):
    """An entry that is not matched."""

    transaction: str
    entry: int
    amount: int
    value_date: date
    reference: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """What it may have in common with a line. Our own statements name the transaction."""
        return (self.transaction,) if self.reference is None else (self.transaction, self.reference)

    @property
    def name(self) -> EntryName:
        """Which entry it is."""
        return EntryName(self.transaction, self.entry)


class Proposal(Value, frozen=True):
    """Lines and entries that fit by a rule."""

    rule: MatchRule
    lines: tuple[int, ...]
    entries: tuple[EntryName, ...]


class Proposed(Value, frozen=True):
    """What the rules make of lines and entries."""

    proposals: tuple[Proposal, ...]
    ambiguous: tuple[int, ...]  # numbers of lines, in order


def fits(rule: MatchRule, lines: Sequence[OutsideLine], entries: Sequence[OwnEntry], days: int) -> bool:
    """Return whether lines and entries fit by a rule. Whether they are the only ones is not looked at."""
    if not lines or not entries or sum(line.amount for line in lines) != sum(entry.amount for entry in entries):
        return False
    if rule == "reference_sum":
        several = len(lines) + len(entries) > 2 and min(len(lines), len(entries)) == 1
        keys = [set(line.keys) for line in lines] + [set(entry.keys) for entry in entries]
        return several and bool(set.intersection(*keys))
    if (len(lines), len(entries)) != (1, 1):
        return False
    [line], [entry] = lines, entries
    match rule:
        case "reference":
            return not set(line.keys).isdisjoint(entry.keys)
        case "reference_date":
            return line.value_date == entry.value_date and not set(line.keys).isdisjoint(entry.keys)
        case "amount_date":
            near = abs((line.value_date - entry.value_date).days) <= days
            return near and not _names_another(line, entry)
        case _:
            return False


def _names_another(line: OutsideLine, entry: OwnEntry) -> bool:
    """Whether both have a reference of their business, and none in common."""
    return entry.reference is not None and bool(line.references) and entry.reference not in line.references


def propose(lines: Iterable[OutsideLine], entries: Iterable[OwnEntry], days: int) -> Proposed:
    """Return what the rules match, in the order of the rules and lines, and which lines are ambiguous."""
    left_lines = {line.number: line for line in lines}
    left_entries = {entry.name: entry for entry in entries}
    proposals: list[Proposal] = []

    def take(found: Iterable[Proposal]) -> None:
        for proposal in found:
            proposals.append(proposal)
            for number in proposal.lines:
                del left_lines[number]
            for name in proposal.entries:
                del left_entries[name]

    by_reference = _Relation(_with_amount, _with_amount, _with_amount, _with_amount)
    by_date = _Relation(_with_date, _with_date, _with_date, _with_date)
    near = _near(days)
    take(_pairs("reference", by_reference, left_lines, left_entries))
    take(_pairs("reference_date", by_date, left_lines, left_entries))
    take(_sums(left_lines, left_entries))
    take(_pairs("amount_date", near, left_lines, left_entries))
    ambiguous = {
        number
        for relation in (by_reference, near)
        for number, found in _candidates(relation, left_lines, left_entries).items()
        if found
    }
    return Proposed(tuple(proposals), tuple(sorted(ambiguous)))


# One line and one entry

T = TypeVar("T")
Keys = Callable[[T], Iterable[Hashable]]


class _Relation(Value, frozen=True):
    """Which lines and entries fit each other: where an index lists each of them, and where one looks for the others."""

    line_under: Keys[OutsideLine]
    line_looks: Keys[OutsideLine]
    entry_under: Keys[OwnEntry]
    entry_looks: Keys[OwnEntry]


def _with_amount(one: OutsideLine | OwnEntry) -> Iterator[Hashable]:
    return ((one.amount, key) for key in one.keys)


def _with_date(one: OutsideLine | OwnEntry) -> Iterator[Hashable]:
    return ((one.amount, key, one.value_date) for key in one.keys)


_ANY, _NONE = ("any",), ("none",)


def _near(days: int) -> _Relation:
    """The relation of the same amount and value dates that differ by so many days, without another reference.

    Who names no reference looks at all. Who does looks at those without one and at those with the same.
    """

    def tags(references: Sequence[str]) -> tuple[Hashable, ...]:
        return (_ANY, *(references or (_NONE,)))

    def wanted(references: Sequence[str]) -> tuple[Hashable, ...]:
        return (_NONE, *references) if references else (_ANY,)

    def of(one: OutsideLine | OwnEntry) -> Sequence[str]:
        if isinstance(one, OutsideLine):
            return one.references
        return () if one.reference is None else (one.reference,)

    def under(one: OutsideLine | OwnEntry) -> Iterator[Hashable]:
        return ((one.amount, one.value_date, tag) for tag in tags(of(one)))

    def looks(one: OutsideLine | OwnEntry) -> Iterator[Hashable]:
        dates = [day for n in range(-days, days + 1) if (day := _shifted(one.value_date, n)) is not None]
        return ((one.amount, day, tag) for day in dates for tag in wanted(of(one)))

    return _Relation(under, looks, under, looks)


def _shifted(day: date, days: int) -> date | None:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None


def _index(ones: Iterable[T], under: Keys[T], name: Callable[[T], Hashable]) -> dict[Hashable, list[Hashable]]:
    index: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
    for one in ones:
        for key in set(under(one)):
            index[key].append(name(one))
    return index


_ENOUGH = 2
"""Candidates that are looked for: two are as good as a thousand."""


def _found(index: Mapping[Hashable, list[Hashable]], keys: Iterable[Hashable]) -> tuple[Hashable, ...]:
    """Return the first different candidates, up to `_ENOUGH`."""
    found: dict[Hashable, None] = {}
    for key in keys:
        for name in index.get(key, ()):
            found[name] = None
            if len(found) == _ENOUGH:
                return tuple(found)
    return tuple(found)


def _candidates(
    relation: _Relation, lines: Mapping[int, OutsideLine], entries: Mapping[EntryName, OwnEntry]
) -> dict[int, tuple[Hashable, ...]]:
    """Return the candidates of each line."""
    index = _index(entries.values(), relation.entry_under, lambda entry: entry.name)
    return {number: _found(index, relation.line_looks(line)) for number, line in lines.items()}


def _pairs(
    rule: MatchRule, relation: _Relation, lines: Mapping[int, OutsideLine], entries: Mapping[EntryName, OwnEntry]
) -> list[Proposal]:
    """Return the pairs in which each is the only candidate of the other."""
    index = _index(lines.values(), relation.line_under, lambda line: line.number)
    of_entries = {name: _found(index, relation.entry_looks(entry)) for name, entry in entries.items()}
    return [
        Proposal(rule, (number,), (entries[name].name,))
        for number, found in _candidates(relation, lines, entries).items()
        if len(found) == 1 and isinstance(name := found[0], EntryName) and of_entries[name] == (number,)
    ]


# One and several


def _sums(lines: Mapping[int, OutsideLine], entries: Mapping[EntryName, OwnEntry]) -> Iterator[Proposal]:
    """Return the lines that are the sum of several entries with their reference, and the reverse.

    A line or entry that is in two such groups is in none.
    """
    lines_of = _index(lines.values(), lambda line: line.keys, lambda line: line.number)
    entries_of = _index(entries.values(), lambda entry: entry.keys, lambda entry: entry.name)
    groups: dict[tuple[tuple[int, ...], tuple[EntryName, ...]], None] = {}
    for key, numbers in lines_of.items():
        names = entries_of.get(key, [])
        if min(len(numbers), len(names)) != 1 or not 2 < len(numbers) + len(names) <= 1 + MOST_IN_MATCH:
            continue
        group_lines = tuple(number for number in numbers if isinstance(number, int))
        group_entries = tuple(name for name in names if isinstance(name, EntryName))
        of_lines = sum(lines[number].amount for number in group_lines)
        if of_lines == sum(entries[name].amount for name in group_entries):
            groups[group_lines, group_entries] = None
    times: defaultdict[Hashable, int] = defaultdict(int)
    for group_lines, group_entries in groups:
        for one in (*group_lines, *group_entries):
            times[one] += 1
    for group_lines, group_entries in groups:
        if all(times[one] == 1 for one in (*group_lines, *group_entries)):
            yield Proposal("reference_sum", group_lines, group_entries)
