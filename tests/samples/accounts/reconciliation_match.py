"""Samples of the matches of reconciliations."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.reconciliation.events import EntryName
from domain.accounts.reconciliation.match import (
    MOST_MATCHES,
    MatchByHand,
    MatchByRules,
    ProposedMatch,
    ReconciliationMatch,
    UndoMatch,
)
from domain.accounts.reconciliation.matching import MOST_IN_MATCH, propose
from domain.accounts.reconciliation.part import ReconciliationPart
from domain.accounts.reconciliation.session import Reconciliation, ReopenReconciliation
from domain.accounts.reconciliation.statement import MATCH
from domain.accounts.transaction import PendTransfer
from tests.samples.accounts import reconciliation
from tests.samples.accounts.account import REASON, with_balance
from tests.samples.accounts.reconciliation import (
    CLOSE,
    ENTRY,
    MATCHED,
    OPEN,
    OTHER_ENTRY,
    READY,
    brought,
    free_entries,
    line,
)
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import TODAY, MemoryLedger, opening

# Requests


def to_match(world: World) -> tuple[str, dict[str, Any]]:
    """A session with a line, and the body that matches it with the deposit of the account."""
    account = with_balance(world)
    deposit = world.do(f"accounts/{account}/deposits", {"amount": "100.00", "currency": "EUR"})
    id: str = world.do("reconciliations", reconciliation.body(account, "100.00"))["reconciliation"]
    return id, {"currency": "EUR", "lines": [1], "entries": [{"transaction": deposit["transaction"], "entry": 2}]}


def matches(world: World) -> Request:
    id, body = to_match(world)
    return Request({"reconciliation": id}, body)


def matched(world: World) -> tuple[str, str]:
    """A session, and a match of it."""
    id, body = to_match(world)
    return id, world.do(f"reconciliations/{id}/matches", body)["match"]


def one(world: World) -> str:
    """A match."""
    return matched(world)[1]


def undoes(world: World) -> Request:
    id, match = matched(world)
    return Request({"reconciliation": id, "match": match}, REASON)


ROUTES = {
    "/v1/reconciliations/{reconciliation}/matches": matches,
    "/v1/reconciliations/{reconciliation}/matches/{match}/undo": undoes,
}

# Rules

SECOND = MatchByHand("recon_1", "reconmch_2", (2,), (OTHER_ENTRY,))
UNDO = UndoMatch("recon_1", "reconmch_1", "the other\tinvoice")
BY_RULES = MatchByRules("recon_1", (ProposedMatch("reconmch_1", "reference", (1,), (ENTRY,)),))
PENDING = PendTransfer("txn_3", "acct_a", "acct_b", 500, "EUR", TODAY)
GIVEN = (*READY, OPEN)
ONES = tuple(line(20) for _ in range(MOST_IN_MATCH + 1))

RULES = {
    "reconciliation_status": RuleSample(
        given=(*GIVEN, CLOSE),
        broken=MATCHED,
        sentence="Reconciliation recon_1 is closed; this needs one that is open.",
        kept=(ReopenReconciliation("recon_1", "once more"), MATCHED),
    ),
    "match_form": RuleSample(
        given=(*READY, brought(*ONES)),
        broken=replace(MATCHED, lines=tuple(range(1, MOST_IN_MATCH + 2))),
        sentence=(
            "A match has one line and up to 50 entries, or one entry and up to 50 lines, each once; this one has "
            "lines: 51, entries: 1."
        ),
        kept=(replace(MATCHED, lines=tuple(range(1, MOST_IN_MATCH + 1))),),
    ),
    "line_matched": RuleSample(
        given=(*GIVEN, MATCHED),
        broken=replace(SECOND, lines=(1,)),
        sentence="Line 1 of reconciliation recon_1 is matched already, by reconmch_1.",
        kept=(SECOND,),
    ),
    "entry_matched": RuleSample(
        given=(*GIVEN, MATCHED),
        broken=replace(SECOND, entries=(ENTRY,)),
        sentence="Entry 2 of transaction txn_1 is matched already, by reconmch_1.",
        kept=(UNDO, replace(SECOND, entries=(ENTRY,), difference=-500, reason="paid in part")),
    ),
    "entry_not_booked": RuleSample(
        given=(*GIVEN, opening(account="acct_b"), PENDING),
        broken=replace(SECOND, entries=(EntryName("txn_3", 1),)),
        sentence="Transaction txn_3 is pending; only what was posted has entries.",
        kept=(SECOND,),
    ),
    "entry_elsewhere": RuleSample(
        given=GIVEN,
        broken=replace(SECOND, entries=(EntryName("txn_2", 1),)),
        sentence="Entry 1 of transaction txn_2 is not on account acct_a.",
        kept=(replace(SECOND, entries=(EntryName("txn_2", 2),)),),
    ),
    "match_difference": RuleSample(
        given=GIVEN,
        broken=replace(MATCHED, lines=(2,), difference=-499, reason="a fee"),
        sentence=(
            "The lines are 5.00 EUR and the entries 10.00, which differ by -5.00; the command states a difference of "
            "-4.99."
        ),
        kept=(replace(MATCHED, lines=(2,), difference=-500, reason="a fee"),),
    ),
    "match_reason": RuleSample(
        given=GIVEN,
        broken=replace(MATCHED, lines=(2,), difference=-500),
        sentence="The lines and entries differ by -5.00 EUR; a difference needs a reason.",
        kept=(replace(MATCHED, lines=(2,), difference=-500, reason="a fee"),),
    ),
    "nothing_matched": RuleSample(
        given=(*GIVEN, MATCHED),
        broken=replace(BY_RULES, matches=(replace(BY_RULES.matches[0], match="reconmch_2"),)),
        sentence="None of the 1 matches fits any more; something else was matched meanwhile.",
        kept=(replace(BY_RULES, matches=(ProposedMatch("reconmch_2", "amount_date", (2,), (OTHER_ENTRY,)),)),),
    ),
    "match_undone": RuleSample(
        given=(*GIVEN, MATCHED, UNDO),
        broken=UNDO,
        sentence="Match reconmch_1 was undone already.",
        kept=(replace(MATCHED, match="reconmch_2"), replace(UNDO, match="reconmch_2")),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """The rules match what they can, and people match and undo."""
    open = [one for one in ledger.of(Reconciliation) if one.status == "open"]
    if not open:
        return reconciliation.life(ledger, chance)
    session = chance.choice(open)
    parts = [part for part in ledger.of(ReconciliationPart) if part.reconciliation == session.id]
    made = [one for one in ledger.of(ReconciliationMatch) if one.reconciliation == session.id and not one.undone]
    if made and chance.random() < 0.3:
        return UndoMatch(session.id, chance.choice(made).id, "the other\tinvoice")
    left = [one for part in parts for one in part.unmatched]
    entries = free_entries(ledger, session.account)
    if left and entries and chance.random() < 0.4:
        one, entry = chance.choice(left), chance.choice(entries)
        difference = one.amount - entry.amount
        return MatchByHand(session.id, ledger.new_id(MATCH), (one.number,), (entry.name,), difference, "as they\tsay")
    proposed = propose([one.outside for one in left if not one.by_hand], entries, session.days_apart).proposals
    matches = [ProposedMatch(ledger.new_id(MATCH), one.rule, one.lines, one.entries) for one in proposed]
    return MatchByRules(session.id, tuple(matches[:MOST_MATCHES]))


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="reconciliation.match_made.v1",
        stream="reconmch_0000000000000000000000006v",
        version=1,
        payload='{"account":"acct_1rykmzfxnhbrq8s4gdkyk7drbv","currency":"EUR","difference":0,"entries":[{"amount":2449,"entry":3,"transaction":"txn_0000000000000000000000004s","value_date":"2026-11-21"}],"lines":[1],"lines_amount":2449,"operator":"tester","reason":"2.ezCmYBW-0vVcs0l0ODhUbWc23054IYa6ObHw856dQ61uJGYQbppK","reconciliation":"recon_0000000000000000000000005c","rule":"by_hand"}',
        means={
            "reconciliation": "recon_0000000000000000000000005c",
            "account": "acct_1rykmzfxnhbrq8s4gdkyk7drbv",
            "currency": "EUR",
            "rule": "by_hand",
            "lines": [1],
            "entries": [
                {
                    "transaction": "txn_0000000000000000000000004s",
                    "entry": 3,
                    "amount": 2449,
                    "value_date": "2026-11-21",
                }
            ],
            "lines_amount": 2449,
            "difference": 0,
            "operator": "tester",
            "reason": "as they\tsay",
        },
    ),
    StoredEvent(
        type="reconciliation.match_undone.v1",
        stream="reconmch_0000000000000000000000006v",
        version=2,
        payload='{"operator":"tester","reason":"2.OzfigHOh57e2ngSNuvq_RxsQjCA0vMKbvA8lwxfnsUsIv7DdowW086p-7DOI","reconciliation":"recon_0000000000000000000000005c"}',
        means={
            "reconciliation": "recon_0000000000000000000000005c",
            "operator": "tester",
            "reason": "the other\tinvoice",
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
