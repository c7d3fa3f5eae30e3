"""What `verify` holds the events of reconciliations to, beside the other events of their unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.accounts.reconciliation.claims import (
    ENTRY_CLAIMS,
    STATEMENT_CLAIMS,
    entry_claim,
    figures_claim,
    statement_claim,
)
from domain.accounts.reconciliation.events import (
    LinesMatched,
    LinesUnmatched,
    MatchMade,
    MatchUndone,
    ReconciliationAbandoned,
    ReconciliationOpened,
    StatementPartListed,
)
from domain.accounts.reconciliation.statement import (
    FORM_RULES,
    Statement,
    StatementLine,
    digest_of,
    part_stream,
    parts_of,
    refuse_statement,
)
from domain.aggregate import Decided, UnitRule
from domain.claims import ClaimReleased, ClaimTaken
from domain.kernel import Event

# Sessions


def _listed_as_brought(
    event: ReconciliationOpened, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The unit lists the lines, which explain the balances and have the digest, and takes the claims."""
    id, lines = event.originator_id, list[StatementLine]()
    for number in parts_of(event.lines):
        listed = unit.get(part_stream(id, number), ())
        part = next((one for one in listed if isinstance(one, StatementPartListed)), None)
        of = event.currency, event.mirrored, event.subject, len(lines) + 1
        if part is None or (part.currency, part.mirrored, part.subject, part.first) != of:
            return f"part {number} of {id} is not listed in its unit as the statement was brought"
        lines += [
            StatementLine(line.booked_on, line.value_date, line.amount, line.references, line.bank_reference)
            for line in part.lines
        ]
    statement = Statement(
        event.statement, event.currency, event.since, event.until, event.opening, event.closing, tuple(lines)
    )
    refusal = refuse_statement(statement)
    if refusal is not None:
        return f"the rules refuse {id}: {FORM_RULES[refusal.rule].format_map(refusal.figures)}"
    if len(lines) != event.lines or digest_of(statement) != event.digest:
        return f"{id} is opened with {event.lines} lines, and the figures of its lines are others"
    for stream in _claims_of_statement(event):
        if not any(isinstance(one, ClaimTaken) and one.holder == id for one in unit.get(stream, ())):
            return f"{id} is opened, and its unit does not take {stream}"
    return None


def _claims_of_statement(event: ReconciliationOpened) -> tuple[str, str]:
    return statement_claim(event.account, event.statement), figures_claim(event.account, event.digest)


def _lists_of_an_opening(
    event: StatementPartListed, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    opened = any(isinstance(one, ReconciliationOpened) for one in unit.get(event.reconciliation, ()))
    return None if opened else f"{event.originator_id} is listed, and its unit does not open {event.reconciliation}"


def _claimed_by_a_session(event: ClaimTaken, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    claim, id = event.originator_id, event.holder
    if not claim.startswith(STATEMENT_CLAIMS):
        return None
    for one in unit.get(id, ()):
        if isinstance(one, ReconciliationOpened) and claim in _claims_of_statement(one):
            return None
    return f"{id} takes {claim}, and its unit does not open it with that statement"


def _released_by_a_session(event: ClaimReleased, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    claim, id = event.originator_id, event.holder
    if not claim.startswith(STATEMENT_CLAIMS):
        return None
    ended = any(isinstance(one, ReconciliationAbandoned) for one in unit.get(id, ()))
    return None if ended else f"{claim} is released, and its unit does not abandon {id}"


def _releases_its_claims(
    event: ReconciliationAbandoned, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    released = [
        stream
        for stream, events in unit.items()
        if stream.startswith(STATEMENT_CLAIMS)
        for one in events
        if isinstance(one, ClaimReleased) and one.holder == event.originator_id
    ]
    if len(released) == len(STATEMENT_CLAIMS):
        return None
    return f"{event.originator_id} is abandoned, and its unit releases {len(released)} of its claims"


# Matches


def _stands_whole(event: MatchMade, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The unit marks exactly these lines, and claims exactly these entries."""
    match = event.originator_id
    numbers = {
        line.number
        for events in unit.values()
        for one in events
        if isinstance(one, LinesMatched) and one.reconciliation == event.reconciliation
        for line in one.lines
        if line.match == match
    }
    if numbers != set(event.lines):
        return f"{match} has the lines {sorted(event.lines)}, and its unit matches {sorted(numbers)}"
    if set(map(entry_claim, event.entries)) != _claims_of(match, unit, ClaimTaken):
        return f"{match} has {len(event.entries)} entries, and its unit claims others"
    return None


def _is_undone_whole(event: MatchUndone, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The unit marks lines as not matched, and gives claims back."""
    match = event.originator_id
    unmatched = any(isinstance(one, LinesUnmatched) and one.match == match for ones in unit.values() for one in ones)
    if unmatched and _claims_of(match, unit, ClaimReleased):
        return None
    return f"{match} is undone, and its unit does not free its lines and entries"


def _claims_of(
    match: str, unit: Mapping[str, Sequence[Event]], kind: type[ClaimTaken] | type[ClaimReleased]
) -> set[str]:
    return {
        stream
        for stream, events in unit.items()
        if stream.startswith(ENTRY_CLAIMS)
        for one in events
        if isinstance(one, kind) and one.holder == match
    }


def _lines_of_matches(event: LinesMatched, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """Each line is one of a match that the unit makes."""
    for line in event.lines:
        made = (one for one in unit.get(line.match, ()) if isinstance(one, MatchMade))
        if not any(one.reconciliation == event.reconciliation and line.number in one.lines for one in made):
            return (
                f"line {line.number} of {event.originator_id} is matched by {line.match}, which its unit does not make"
            )
    return None


def _lines_of_undone(event: LinesUnmatched, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    undone = any(isinstance(one, MatchUndone) for one in unit.get(event.match, ()))
    return None if undone else f"lines of {event.originator_id} are free, and its unit does not undo {event.match}"


def _claimed_by_a_match(event: ClaimTaken, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    claim = event.originator_id
    if not claim.startswith(ENTRY_CLAIMS):
        return None
    for one in unit.get(event.holder, ()):
        if isinstance(one, MatchMade) and claim in map(entry_claim, one.entries):
            return None
    return f"{event.holder} takes {claim}, and its unit does not match that entry"


def _released_by_a_match(event: ClaimReleased, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    claim = event.originator_id
    if not claim.startswith(ENTRY_CLAIMS):
        return None
    undone = any(isinstance(one, MatchUndone) for one in unit.get(event.holder, ()))
    return None if undone else f"{claim} is released, and its unit does not undo {event.holder}"


SESSION_RULES: Mapping[type[Event], UnitRule] = {
    ReconciliationOpened: _listed_as_brought,
    StatementPartListed: _lists_of_an_opening,
    ClaimTaken: _claimed_by_a_session,
    ClaimReleased: _released_by_a_session,
    ReconciliationAbandoned: _releases_its_claims,
}
MATCH_RULES: Mapping[type[Event], UnitRule] = {
    MatchMade: _stands_whole,
    MatchUndone: _is_undone_whole,
    LinesMatched: _lines_of_matches,
    LinesUnmatched: _lines_of_undone,
    ClaimTaken: _claimed_by_a_match,
    ClaimReleased: _released_by_a_match,
}
