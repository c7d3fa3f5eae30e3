"""The aggregate reconciliation: a session about one of our accounts and one statement that somebody else made of it.

Opening one takes two claims, of the id and of the figures of the statement, so that the same statement is not brought
twice. Only a session that was abandoned gives them back. A session is closed once each line is matched, or with a
reason for those that are left. What is left of our entries stays free for the next statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec.structs import replace

from domain.accounts.account.state import RULES as ACCOUNT_RULES
from domain.accounts.account.state import Account
from domain.accounts.reconciliation.claims import figures_claim, statement_claim
from domain.accounts.reconciliation.events import (
    ReconciliationAbandoned,
    ReconciliationClosed,
    ReconciliationOpened,
    ReconciliationReopened,
    ReconciliationRunAsked,
    ReconciliationRunFinished,
    SessionEvent,
    StatementPartListed,
)
from domain.accounts.reconciliation.part import ReconciliationPart
from domain.accounts.reconciliation.statement import (
    FORM_RULES,
    MOST_DAYS_BETWEEN,
    MOST_LINES,
    PART_LINES,
    RECONCILIATION,
    Statement,
    StatementLine,
    digest_of,
    part_stream,
    parts_of,
    refuse_statement,
)
from domain.accounts.reconciliation.unit_rules import SESSION_RULES
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.claims import Claim, ClaimTaken, release, take
from domain.codes import refuse_other_than_code
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Figure,
    NeedsStreams,
    Personal,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import EXPONENTS, show
from domain.permissions import OPERATORS, PROCESSES

Status = Literal["open", "closed", "abandoned"]

# State


class Reconciliation(Value, frozen=True):
    """A session at a version of its stream. Its lines are in its parts."""

    version: int
    id: str
    account: str
    currency: str
    statement: str
    digest: str
    mirrored: bool
    lines: int
    days_apart: int
    status: Status = "open"

    @property
    def part_streams(self) -> tuple[str, ...]:
        """The streams of its parts."""
        return tuple(part_stream(self.id, part) for part in parts_of(self.lines))

    def refuse_unless(self, status: Status) -> Refused | None:
        """Return the refusal of a command that needs another status, or None."""
        if self.status == status:
            return None
        return Refused("reconciliation_status", {"reconciliation": self.id, "status": self.status, "needed": status})


def evolve(state: Reconciliation | None, event: SessionEvent) -> Reconciliation:
    """Return the session after the event. Raises ValueError if its stream does not begin with an opening."""
    version = event.originator_version
    if isinstance(event, ReconciliationOpened):
        if state is not None:
            raise ValueError(f"{event.originator_id} is opened again at version {version}")
        return Reconciliation(
            version=version,
            id=event.originator_id,
            account=event.account,
            currency=event.currency,
            statement=event.statement,
            digest=event.digest,
            mirrored=event.mirrored,
            lines=event.lines,
            days_apart=event.days_apart,
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with ReconciliationOpened")
    match event:
        case ReconciliationRunAsked() | ReconciliationRunFinished():
            return replace(state, version=version)
        case ReconciliationClosed():
            return replace(state, version=version, status="closed")
        case ReconciliationReopened():
            return replace(state, version=version, status="open")
        case ReconciliationAbandoned():
            return replace(state, version=version, status="abandoned")


# Commands


class OpenReconciliation(Value, frozen=True):
    """Bring a statement of an account, and match its lines by the rules."""

    reconciliation: str
    account: str
    statement: Statement
    mirrored: bool  # whether their credit is our debit
    days_apart: int  # by which the value dates of a line and an entry may differ
    outside_account: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        claims = (statement_claim(self.account, self.statement.statement), figures_claim(self.account, self.digest))
        return (self.reconciliation, self.account, *claims)

    @property
    def digest(self) -> str:
        """The digest of the figures of the statement."""
        return digest_of(self.statement)


class _OnOneSession(Value, frozen=True):
    reconciliation: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.reconciliation,)


class RunReconciliation(_OnOneSession, frozen=True):
    """Match by the rules what is not matched yet, such as after entries were posted that were missing."""


class FinishRun(_OnOneSession, frozen=True):
    """Record that the rules match nothing more, and which lines are ambiguous. Only a process sends this."""

    ambiguous: tuple[int, ...]


class CloseReconciliation(_OnOneSession, frozen=True):
    """Close the session. A reason is needed where lines are left."""

    reason: Personal | None = None


class ReopenReconciliation(_OnOneSession, frozen=True):
    """Open a closed session again, such as to undo a match."""

    reason: Personal


class AbandonReconciliation(_OnOneSession, frozen=True):
    """End a session that should not have been opened. Its statement can be brought again."""

    reason: Personal


# Rules

RULES: dict[str, str] = {
    **FORM_RULES,
    "currency_mismatch": ACCOUNT_RULES["currency_mismatch"],
    "match_days": "The value dates of a line and an entry may differ by 0 to {most} days; the command asks for {days}.",
    "statement_known": "Statement {statement} of account {account} was brought before: it is that of {reconciliation}.",
    "statement_figures_known": (
        "A statement of account {account} with the same period, balances and lines was brought before: it is that of "
        "{reconciliation}."
    ),
    "reconciliation_status": "Reconciliation {reconciliation} is {status}; this needs one that is {needed}.",
    "reconciliation_lines_left": (
        "Lines of reconciliation {reconciliation} that are not matched: {lines}. Closing it needs a reason."
    ),
    "reconciliation_lines_matched": (
        "Lines of reconciliation {reconciliation} that are matched: {lines}. Undo their matches before it is abandoned."
    ),
}

# Decisions


def open_session(command: OpenReconciliation, states: States, context: Context) -> Decision:
    statement = command.statement
    if statement.currency not in EXPONENTS:
        return Unknown("currency", statement.currency)
    refusal = refuse_statement(statement) or _refuse_days(command.days_apart)
    if refusal is not None:
        return refusal
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    if account.profile.currency != statement.currency:
        return account.wrong_currency(statement.currency)
    claims: list[ClaimTaken] = []
    for rule, stream in (
        ("statement_known", statement_claim(account.profile.id, statement.statement)),
        ("statement_figures_known", figures_claim(account.profile.id, command.digest)),
    ):
        claim = found(states, stream, Claim)
        taken = take(claim, stream, command.reconciliation)
        if taken is None:
            holder = None if claim is None else claim.holder
            figures: dict[str, Figure] = {"account": command.account, "reconciliation": holder}
            return Refused(rule, {**figures, "statement": statement.statement})
        claims.append(taken)
    profile = account.profile
    # The texts are about the owner of the account. Those on an account of ours are about others, of whom nothing is
    # known: they have a key of the session, and can be erased by it.
    subject = command.reconciliation if profile.internal else profile.owner
    opened = ReconciliationOpened(
        originator_id=command.reconciliation,
        originator_version=1,
        account=profile.id,
        currency=statement.currency,
        statement=statement.statement,
        mirrored=command.mirrored,
        since=statement.since,
        until=statement.until,
        opening=statement.opening,
        closing=statement.closing,
        lines=len(statement.lines),
        skipped=statement.skipped,
        days_apart=command.days_apart,
        digest=command.digest,
        operator=context.principal.id,
        subject=subject,
        outside_account=command.outside_account,
    )
    result: dict[str, Figure] = {
        "reconciliation": command.reconciliation,
        "status": "open",
        "statement": statement.statement,
        "lines": len(statement.lines),
        "skipped": statement.skipped,
    }
    return Accepted((opened, *_parts(command, subject), *claims), result)


def _refuse_days(days: int) -> Refused | None:
    if 0 <= days <= MOST_DAYS_BETWEEN:
        return None
    return Refused("match_days", {"most": MOST_DAYS_BETWEEN, "days": days})


def _parts(command: OpenReconciliation, subject: str) -> list[StatementPartListed]:
    lines = command.statement.lines
    return [
        _part(command, subject, part, lines[(part - 1) * PART_LINES : part * PART_LINES])
        for part in parts_of(len(lines))
    ]


def _part(command: OpenReconciliation, subject: str, part: int, lines: Sequence[StatementLine]) -> StatementPartListed:
    return StatementPartListed(
        originator_id=part_stream(command.reconciliation, part),
        originator_version=1,
        reconciliation=command.reconciliation,
        currency=command.statement.currency,
        mirrored=command.mirrored,
        first=(part - 1) * PART_LINES + 1,
        lines=tuple(line.listed for line in lines),
        subject=subject,
        counterparties=tuple(str(line.counterparty) for line in lines),
        texts=tuple(str(line.text) for line in lines),
    )


def run(command: RunReconciliation, states: States, context: Context) -> Decision:
    session = _with_status(command, states, "open")
    if not isinstance(session, Reconciliation):
        return session
    asked = ReconciliationRunAsked(session.id, session.version + 1, context.principal.id)
    return Accepted((asked,), _result(session, "open"))


def finish_run(command: FinishRun, states: States, context: Context) -> Decision:
    session = _with_status(command, states, "open")
    if not isinstance(session, Reconciliation):
        return session
    ambiguous = tuple(number for number in command.ambiguous if 0 < number <= session.lines)
    finished = ReconciliationRunFinished(session.id, session.version + 1, ambiguous)
    return Accepted((finished,), _result(session, "open"))


def close(command: CloseReconciliation, states: States, context: Context) -> Decision:
    there = _with_parts(command, states, "open")
    if not isinstance(there, tuple):
        return there
    session, parts = there
    left = [line.amount for part in parts for line in part.unmatched]
    if left and command.reason is None:
        return Refused("reconciliation_lines_left", {"reconciliation": session.id, "lines": len(left)})
    amount = -sum(left) if session.mirrored else sum(left)
    closed = ReconciliationClosed(
        originator_id=session.id,
        originator_version=session.version + 1,
        lines_left=len(left),
        left=amount,
        currency=session.currency,
        operator=context.principal.id,
        reason=command.reason,
    )
    left_figures: dict[str, Figure] = {"lines_left": len(left), "left": show(amount, session.currency)}
    return Accepted((closed,), {**_result(session, "closed"), **left_figures})


def reopen(command: ReopenReconciliation, states: States, context: Context) -> Decision:
    session = _with_status(command, states, "closed")
    if not isinstance(session, Reconciliation):
        return session
    reopened = ReconciliationReopened(session.id, session.version + 1, context.principal.id, command.reason)
    return Accepted((reopened,), _result(session, "open"))


def abandon(command: AbandonReconciliation, states: States, context: Context) -> Decision:
    there = _with_parts(command, states, "open")
    if not isinstance(there, tuple):
        return there
    session, parts = there
    if matched := sum(len(part.lines) - len(part.unmatched) for part in parts):
        return Refused("reconciliation_lines_matched", {"reconciliation": session.id, "lines": matched})
    streams = (statement_claim(session.account, session.statement), figures_claim(session.account, session.digest))
    if missing := tuple(stream for stream in streams if stream not in states):
        return NeedsStreams(missing)
    claims = [claim for stream in streams if (claim := found(states, stream, Claim)) is not None]
    abandoned = ReconciliationAbandoned(session.id, session.version + 1, context.principal.id, command.reason)
    return Accepted((abandoned, *map(release, claims)), _result(session, "abandoned"))


def _with_status(command: _OnOneSession, states: States, status: Status) -> Reconciliation | Unknown | Refused:
    session = found(states, command.reconciliation, Reconciliation)
    if session is None:
        return Unknown("reconciliation", command.reconciliation)
    return session.refuse_unless(status) or session


def _with_parts(
    command: _OnOneSession, states: States, status: Status
) -> tuple[Reconciliation, list[ReconciliationPart]] | Unknown | Refused | NeedsStreams:
    """Return a session with this status and its parts, or why not."""
    session = _with_status(command, states, status)
    if not isinstance(session, Reconciliation):
        return session
    if missing := tuple(stream for stream in session.part_streams if stream not in states):
        return NeedsStreams(missing)
    parts = [found(states, stream, ReconciliationPart) for stream in session.part_streams]
    return session, [part for part in parts if part is not None]


def _result(session: Reconciliation, status: Status) -> dict[str, Figure]:
    return {"reconciliation": session.id, "status": status}


# What stored events are held to


def check(before: Reconciliation | None, events: Sequence[SessionEvent], decided: Decided) -> Iterator[Broken]:
    """Find a session that changes after its end, and a statement that no decision accepts."""
    session = before
    for event in events:
        id = event.originator_id
        if isinstance(event, ReconciliationOpened):
            refusal = _refuse_days(event.days_apart) or refuse_other_than_code("id of the statement", event.statement)
            if session is not None or event.currency not in EXPONENTS or not 0 <= event.lines <= MOST_LINES:
                yield Broken(event, f"{id} is opened again, in no currency, or with {event.lines} lines")
        else:
            assert session is not None, "the fold was tried before"
            refusal = session.refuse_unless("closed" if isinstance(event, ReconciliationReopened) else "open")
        if refusal is not None:
            yield refused(event, refusal, RULES)
        if isinstance(event, ReconciliationClosed):
            if event.lines_left and event.reason is None:
                yield Broken(event, f"{id} is closed with {event.lines_left} lines left and no reason")
            if session is not None and (event.lines_left > session.lines or event.currency != session.currency):
                yield Broken(event, f"{id} is closed with {event.lines_left} lines left, of {session.lines}")
        if isinstance(event, ReconciliationRunFinished) and any(
            session is None or not 0 < number <= session.lines for number in event.ambiguous
        ):
            yield Broken(event, f"{id} has ambiguous lines that it does not have")
        session = evolve(session, event)


AGGREGATE = Aggregate(
    name="reconciliation",
    prefix=f"{RECONCILIATION}_",
    events=(
        EventType(
            name="reconciliation.opened.v1",
            event=ReconciliationOpened,
            subject="subject",
            personal=("outside_account",),
            codes=("statement",),
        ),
        EventType("reconciliation.run_asked.v1", ReconciliationRunAsked),
        EventType("reconciliation.run_finished.v1", ReconciliationRunFinished),
        EventType("reconciliation.closed.v1", ReconciliationClosed, "operator", ("reason",)),
        EventType("reconciliation.reopened.v1", ReconciliationReopened, "operator", ("reason",)),
        EventType("reconciliation.abandoned.v1", ReconciliationAbandoned, "operator", ("reason",)),
    ),
    evolve=evolve,
    decisions={
        OpenReconciliation: open_session,
        RunReconciliation: run,
        FinishRun: finish_run,
        CloseReconciliation: close,
        ReopenReconciliation: reopen,
        AbandonReconciliation: abandon,
    },
    rules=RULES,
    may={
        FinishRun: PROCESSES,
        CloseReconciliation: OPERATORS,
        ReopenReconciliation: OPERATORS,
        AbandonReconciliation: OPERATORS,
    },
    amounts=frozenset({"opening", "closing", "left"}),
    check=check,
    unit_rules=SESSION_RULES,
)
