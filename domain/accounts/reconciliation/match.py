"""The aggregate reconciliation match: lines of a statement that are the same as entries of ours.

A match takes a claim of each of its entries. So an entry is matched at most once, over all sessions: of two commands
that want it, one is decided again and finds it taken. Undoing the match gives the claims back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from domain.accounts.reconciliation.claims import entry_claim
from domain.accounts.reconciliation.events import (
    EntryName,
    LinesMatched,
    LinesUnmatched,
    MatchedEntry,
    MatchedLine,
    MatchEvent,
    MatchMade,
    MatchRule,
    MatchUndone,
)
from domain.accounts.reconciliation.matching import MOST_IN_MATCH, OwnEntry, fits
from domain.accounts.reconciliation.part import ListedLine, ReconciliationPart, line_of
from domain.accounts.reconciliation.session import RULES as RULES_OF_SESSIONS
from domain.accounts.reconciliation.session import Reconciliation
from domain.accounts.reconciliation.statement import MATCH, part_of, part_stream, part_streams
from domain.accounts.reconciliation.unit_rules import MATCH_RULES
from domain.accounts.transaction.state import TransactionState
from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.claims import Claim, ClaimTaken, release, take
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Personal,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import show
from domain.permissions import OPERATORS, PROCESSES

MOST_MATCHES, MOST_ENTRIES = 100, 200
"""Most matches that one command makes by the rules, and most of our entries in them. It reads the transaction of each
entry."""

BOOKED = frozenset({"posted", "partly_reversed", "reversed"})
"""The statuses of transactions that have entries. A reversed one keeps them, beside those of the reversal."""


# State


class ReconciliationMatch(Value, frozen=True):
    """A match at a version of its stream."""

    version: int
    id: str
    reconciliation: str
    lines: tuple[int, ...]
    entries: tuple[EntryName, ...]
    undone: bool = False


def evolve(state: ReconciliationMatch | None, event: MatchEvent) -> ReconciliationMatch:
    """Return the match after the event. Raises ValueError if the stream does not begin with `MatchMade`."""
    version = event.originator_version
    if isinstance(event, MatchMade):
        if state is not None:
            raise ValueError(f"{event.originator_id} is made again at version {version}")
        entries = tuple(EntryName(entry.transaction, entry.entry) for entry in event.entries)
        return ReconciliationMatch(version, event.originator_id, event.reconciliation, event.lines, entries)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with MatchMade")
    return replace(state, version=version, undone=True)


# Commands


class ProposedMatch(Value, frozen=True):
    """A match to make by a rule."""

    match: str
    rule: MatchRule
    lines: tuple[int, ...]
    entries: tuple[EntryName, ...]


class MatchByRules(Value, frozen=True):
    """Make those of these matches that still fit their rule. Only a process sends this."""

    reconciliation: str
    matches: tuple[ProposedMatch, ...]

    @property
    def streams(self) -> tuple[str, ...]:
        numbers = [number for match in self.matches for number in match.lines]
        entries = [entry for match in self.matches for entry in match.entries]
        return _streams_of(self.reconciliation, numbers, entries, [match.match for match in self.matches])


class MatchByHand(Value, frozen=True):
    """Match one line with some entries, or some lines with one entry. A difference is stated, and has a reason."""

    reconciliation: str
    match: str
    lines: tuple[int, ...]
    entries: tuple[EntryName, ...]
    difference: int = 0  # what the lines have more than the entries, in our direction
    reason: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return _streams_of(self.reconciliation, self.lines, self.entries, [self.match])


def _streams_of(
    reconciliation: str, lines: Sequence[int], entries: Sequence[EntryName], matches: Sequence[str]
) -> tuple[str, ...]:
    transactions = (entry.transaction for entry in entries)
    claims = map(entry_claim, entries)
    streams = (reconciliation, *part_streams(reconciliation, lines), *matches, *transactions, *claims)
    return tuple(dict.fromkeys(streams))


class UndoMatch(Value, frozen=True):
    """Undo a match. Its lines and entries are free again, and the lines are left to people from now on."""

    reconciliation: str
    match: str
    reason: Personal

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.reconciliation, self.match)


# Rules

RULES: dict[str, str] = {
    "reconciliation_status": RULES_OF_SESSIONS["reconciliation_status"],
    "match_form": (
        "A match has one line and up to {most} entries, or one entry and up to {most} lines, each once; this one has "
        "lines: {lines}, entries: {entries}."
    ),
    "line_matched": "Line {line} of reconciliation {reconciliation} is matched already, by {match}.",
    "entry_matched": "Entry {entry} of transaction {transaction} is matched already, by {match}.",
    "entry_not_booked": "Transaction {transaction} is {status}; only what was posted has entries.",
    "entry_elsewhere": "Entry {entry} of transaction {transaction} is not on account {account}.",
    "match_difference": (
        "The lines are {lines} {currency} and the entries {entries}, which differ by {difference}; the command states "
        "a difference of {stated}."
    ),
    "match_reason": "The lines and entries differ by {difference} {currency}; a difference needs a reason.",
    "nothing_matched": "None of the {matches} matches fits any more; something else was matched meanwhile.",
    "match_undone": "Match {match} was undone already.",
}

# Decisions


def match_by_rules(command: MatchByRules, states: States, context: Context) -> Decision:
    session = _open(command.reconciliation, states)
    if not isinstance(session, Reconciliation):
        return session
    made = _Made(session, states, context)
    for match in command.matches[:MOST_MATCHES]:
        lines, entries = made.found(match.lines, match.entries)
        if (
            states[match.match] is None
            and isinstance(lines, list)
            and isinstance(entries, list)
            and not any(line.by_hand for line in lines)
            and fits(match.rule, [line.outside for line in lines], entries, session.days_apart)
        ):
            made.make(match.match, match.rule, lines, entries, 0, None)
    if not made.events:
        return Refused("nothing_matched", {"matches": len(command.matches)})
    return Accepted(made.all_events, {"reconciliation": session.id, "matches": len(made.events)})


def match_by_hand(command: MatchByHand, states: States, context: Context) -> Decision:
    session = _open(command.reconciliation, states)
    if not isinstance(session, Reconciliation):
        return session
    refusal = refuse_form(command.lines, command.entries)
    if refusal is not None:
        return refusal
    made = _Made(session, states, context)
    lines, entries = made.found(command.lines, command.entries)
    if not isinstance(lines, list):
        return lines
    if not isinstance(entries, list):
        return entries
    of_lines, of_entries = sum(line.amount for line in lines), sum(entry.amount for entry in entries)
    difference, currency = of_lines - of_entries, session.currency
    if difference != command.difference:
        amounts = {"lines": of_lines, "entries": of_entries, "difference": difference, "stated": command.difference}
        shown = {name: show(amount, currency) for name, amount in amounts.items()}
        return Refused("match_difference", {**shown, "currency": currency})
    if difference and command.reason is None:
        return Refused("match_reason", {"difference": show(difference, currency), "currency": currency})
    made.make(command.match, "by_hand", lines, entries, difference, command.reason)
    result: dict[str, Figure] = {
        "reconciliation": session.id,
        "match": command.match,
        "status": "matched",
        "difference": show(difference, currency),
        "currency": currency,
    }
    return Accepted(made.all_events, result)


def undo(command: UndoMatch, states: States, context: Context) -> Decision:
    session = _open(command.reconciliation, states)
    if not isinstance(session, Reconciliation):
        return session
    match = found(states, command.match, ReconciliationMatch)
    if match is None or match.reconciliation != session.id:
        return Unknown("reconciliation_match", command.match)
    if match.undone:
        return Refused("match_undone", {"match": match.id})
    claims = tuple(map(entry_claim, match.entries))
    needed = (*part_streams(session.id, match.lines), *claims)
    if missing := tuple(stream for stream in needed if stream not in states):
        return NeedsStreams(missing)
    by_part: dict[int, list[int]] = {}
    for number in match.lines:
        by_part.setdefault(part_of(number), []).append(number)
    events: list[Event] = [
        MatchUndone(match.id, match.version + 1, session.id, context.principal.id, command.reason),
    ]
    for part, numbers in sorted(by_part.items()):
        stream = part_stream(session.id, part)
        state = found(states, stream, ReconciliationPart)
        assert state is not None, "the match has lines of it"
        events.append(LinesUnmatched(stream, state.version + 1, session.id, match.id, tuple(numbers)))
    held = (found(states, claim, Claim) for claim in claims)
    events += [release(claim) for claim in held if claim is not None]
    return Accepted(tuple(events), {"reconciliation": session.id, "match": match.id, "status": "undone"})


def _open(reconciliation: str, states: States) -> Reconciliation | Unknown | Refused:
    session = found(states, reconciliation, Reconciliation)
    if session is None:
        return Unknown("reconciliation", reconciliation)
    return session.refuse_unless("open") or session


def refuse_form(lines: Sequence[int], entries: Sequence[EntryName | MatchedEntry]) -> Refused | None:
    """Return the refusal of a match that is not of one line or of one entry, or None."""
    names = {(entry.transaction, entry.entry) for entry in entries}
    few, many = sorted((len(lines), len(entries)))
    once = len(set(lines)) == len(lines) and len(names) == len(entries)
    if few == 1 and many <= MOST_IN_MATCH and once:
        return None
    return Refused("match_form", {"most": MOST_IN_MATCH, "lines": len(lines), "entries": len(entries)})


class _Made:
    """The matches that a command makes: each sees the lines and entries that those before it have taken."""

    def __init__(self, session: Reconciliation, states: States, context: Context) -> None:
        self._session = session
        self._states = states
        self._operator = context.principal.id
        self._taken: dict[str, str] = {}  # the match that has a claim
        self._lines: dict[int, str] = {}  # the match that has a line
        self.events: list[MatchMade] = []
        self._claims: list[ClaimTaken] = []

    def found(
        self, numbers: Sequence[int], names: Sequence[EntryName]
    ) -> tuple[list[ListedLine] | Unknown | Refused, list[OwnEntry] | Unknown | Refused]:
        """Return lines and entries that are free, or why there are none."""
        return self._free_lines(numbers), self._free_entries(names)

    def _free_lines(self, numbers: Sequence[int]) -> list[ListedLine] | Unknown | Refused:
        lines: list[ListedLine] = []
        for number in numbers:
            line = line_of(self._session.id, number, self._states)
            if line is None:
                return Unknown("line of a statement", f"{self._session.id}/{number}")
            match = self._lines.get(number, line.match)
            if match is not None:
                of_line: dict[str, Figure] = {"reconciliation": self._session.id, "line": number, "match": match}
                return Refused("line_matched", of_line)
            lines.append(line)
        return lines

    def _free_entries(self, names: Sequence[EntryName]) -> list[OwnEntry] | Unknown | Refused:
        entries: list[OwnEntry] = []
        for name in names:
            transaction = found(self._states, name.transaction, TransactionState)
            if transaction is None:
                return Unknown("transaction", name.transaction)
            if transaction.status not in BOOKED:
                return Refused("entry_not_booked", {"transaction": name.transaction, "status": transaction.status})
            there = 0 < name.entry <= len(transaction.entries)
            entry = transaction.entries[name.entry - 1] if there else None
            if entry is None or entry.account != self._session.account:
                figures: dict[str, Figure] = {"transaction": name.transaction, "entry": name.entry}
                return Refused("entry_elsewhere", {**figures, "account": self._session.account})
            stream = entry_claim(name)
            claim = found(self._states, stream, Claim)
            match = self._taken.get(stream, None if claim is None else claim.holder)
            if match is not None:
                figures = {"transaction": name.transaction, "entry": name.entry}
                return Refused("entry_matched", {**figures, "match": match})
            own = OwnEntry(name.transaction, name.entry, entry.signed, transaction.value_date, transaction.reference)
            entries.append(own)
        return entries

    def make(
        self,
        match: str,
        rule: MatchRule,
        lines: Sequence[ListedLine],
        entries: Sequence[OwnEntry],
        difference: int,
        reason: Personal | None,
    ) -> None:
        """Make a match of lines and entries that are free."""
        for line in lines:
            self._lines[line.number] = match
        for entry in entries:
            stream = entry_claim(entry.name)
            taken = take(found(self._states, stream, Claim), stream, match)
            assert taken is not None, "the entry is free"
            self._taken[stream] = match
            self._claims.append(taken)
        self.events.append(
            MatchMade(
                originator_id=match,
                originator_version=1,
                reconciliation=self._session.id,
                account=self._session.account,
                currency=self._session.currency,
                rule=rule,
                lines=tuple(line.number for line in lines),
                entries=tuple(
                    MatchedEntry(entry.transaction, entry.entry, entry.amount, entry.value_date) for entry in entries
                ),
                lines_amount=sum(line.amount for line in lines),
                difference=difference,
                operator=self._operator,
                reason=reason,
            )
        )

    @property
    def all_events(self) -> tuple[Event, ...]:
        """The matches, their lines in each part, and the claims of their entries."""
        by_part: dict[int, list[MatchedLine]] = {}
        for number, match in sorted(self._lines.items()):
            by_part.setdefault(part_of(number), []).append(MatchedLine(number, match))
        matched: list[Event] = []
        for part, lines in sorted(by_part.items()):
            stream = part_stream(self._session.id, part)
            state = found(self._states, stream, ReconciliationPart)
            assert state is not None, "it has the lines"
            matched.append(LinesMatched(stream, state.version + 1, self._session.id, tuple(lines)))
        return (*self.events, *matched, *self._claims)


# What stored events are held to


def check(before: ReconciliationMatch | None, events: Sequence[MatchEvent], decided: Decided) -> Iterator[Broken]:
    """Find a match that is undone twice, whose sums differ without a reason, or that is of several lines and entries.

    Whether its entries exist is not looked at here: `verify` joins matches, lines and entries with one query.
    """
    match = before
    for event in events:
        if isinstance(event, MatchMade):
            refusal = refuse_form(event.lines, event.entries)
            if refusal is not None:
                yield Broken(event, f"the rules refuse it: {RULES[refusal.rule].format_map(refusal.figures)}")
            if event.lines_amount - sum(entry.amount for entry in event.entries) != event.difference:
                yield Broken(event, f"{event.originator_id} has another difference than {event.difference}")
            if event.difference and (event.rule != "by_hand" or event.reason is None):
                yield Broken(event, f"{event.originator_id} has a difference of {event.difference} and no reason")
        elif match is not None and (match.undone or match.reconciliation != event.reconciliation):
            yield Broken(event, f"{match.id} is undone again, or by another reconciliation than its own")
        match = evolve(match, event)


AGGREGATE = Aggregate(
    name="reconciliation_match",
    prefix=f"{MATCH}_",
    events=(
        EventType("reconciliation.match_made.v1", MatchMade, "operator", ("reason",)),
        EventType("reconciliation.match_undone.v1", MatchUndone, "operator", ("reason",)),
    ),
    evolve=evolve,
    decisions={MatchByRules: match_by_rules, MatchByHand: match_by_hand, UndoMatch: undo},
    rules=RULES,
    written_once=True,
    may={MatchByRules: PROCESSES, MatchByHand: OPERATORS, UndoMatch: OPERATORS},
    amounts=frozenset({"amount", "lines_amount", "difference"}),
    check=check,
    unit_rules=MATCH_RULES,
)
