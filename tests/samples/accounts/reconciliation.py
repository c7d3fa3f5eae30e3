"""Samples of reconciliations."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.state import Account
from domain.accounts.posting import TransactionPosted
from domain.accounts.reconciliation.claims import entry_claim
from domain.accounts.reconciliation.events import EntryName
from domain.accounts.reconciliation.match import MatchByHand, ReconciliationMatch
from domain.accounts.reconciliation.matching import OwnEntry
from domain.accounts.reconciliation.part import ReconciliationPart
from domain.accounts.reconciliation.session import (
    AbandonReconciliation,
    CloseReconciliation,
    FinishRun,
    OpenReconciliation,
    Reconciliation,
    ReopenReconciliation,
    RunReconciliation,
)
from domain.accounts.reconciliation.statement import (
    MOST_LINES,
    MOST_PERIOD_DAYS,
    RECONCILIATION,
    Statement,
    StatementLine,
)
from domain.accounts.transaction import Deposit
from domain.claims import Claim
from domain.money import MAX_AMOUNT
from tests.samples.accounts import account as account_samples
from tests.samples.accounts.account import REASON, with_balance
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import TODAY, MemoryLedger, opening

DAY = TODAY.isoformat()

# Requests


def body(account: str, *amounts: str, statement: str = "2026-11/1", closing: str | None = None) -> dict[str, Any]:
    """A statement that opens with nothing, with lines of these amounts, which are credits."""
    total = sum(int(amount.replace(".", "")) for amount in amounts)
    return {
        "account": account,
        "statement": statement,
        "currency": "EUR",
        "since": DAY,
        "until": DAY,
        "opening": "0.00",
        "closing": closing or f"{total // 100}.{total % 100:02}",
        "mirrored": False,
        "lines": [
            {"booked_on": DAY, "value_date": DAY, "amount": amount, "references": [f"INV-{number}"]}
            for number, amount in enumerate(amounts, 1)
        ],
    }


def one(world: World) -> str:
    """A session with one line, which the deposit of its account would fit."""
    id: str = world.do("reconciliations", body(with_balance(world, "100.00"), "100.00"))["reconciliation"]
    return id


def closed(world: World) -> str:
    """A session that is closed, with a line left."""
    id = one(world)
    world.do(f"reconciliations/{id}/close", REASON)
    return id


FILE = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>2026-11/1</Id>
<Acct><Id><IBAN>DE89370400440532013000</IBAN></Id><Ccy>EUR</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">0.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<Dt><Dt>2026-11-21</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">12.30</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<Dt><Dt>2026-11-21</Dt></Dt></Bal>
<Ntry><Amt Ccy="EUR">12.30</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>
<BookgDt><Dt>2026-11-21</Dt></BookgDt><ValDt><Dt>2026-11-21</Dt></ValDt></Ntry></Stmt></BkToCstmrStmt></Document>
"""

ROUTES = {
    "/v1/reconciliations": lambda world: Request({}, body(with_balance(world, "100.00"), "100.00", "12.30")),
    "/v1/reconciliations/files": lambda world: Request(
        {},
        {
            "account": with_balance(world, "100.00"),
            "format": "csv",
            "outside_account": "DE89370400440532013000",
            "mirrored": False,
            "file": "Day,Amount,Balance,Ref\n2026-11-21,12.30,12.30,INV-1\n",
            "csv": {
                "statement": "2026-11/1",
                "currency": "EUR",
                "columns": {"booked_on": "Day", "amount": "Amount", "balance": "Balance", "references": ["Ref"]},
            },
        },
    ),
    "/v1/reconciliations/{reconciliation}/run": lambda world: Request({"reconciliation": one(world)}, {}),
    "/v1/reconciliations/{reconciliation}/close": lambda world: Request({"reconciliation": one(world)}, REASON),
    "/v1/reconciliations/{reconciliation}/reopen": lambda world: Request({"reconciliation": closed(world)}, REASON),
    "/v1/reconciliations/{reconciliation}/abandon": lambda world: Request({"reconciliation": one(world)}, REASON),
}

# Rules

ACCOUNT = opening(account="acct_a")
DEPOSIT = Deposit("txn_1", "acct_a", 1_000, "EUR", TODAY, "INV-1")
OTHER_DEPOSIT = Deposit("txn_2", "acct_a", 500, "EUR", TODAY)
READY = (ACCOUNT, DEPOSIT, OTHER_DEPOSIT)
ENTRY, OTHER_ENTRY = EntryName("txn_1", 2), EntryName("txn_2", 2)
"""The entries of the account. The first ones are those of cash."""


def line(amount: int = 1_000, *references: str, day: int = 0, **more: Any) -> StatementLine:
    """A line of today, or of so many days before."""
    on = TODAY - timedelta(days=day)
    return replace(StatementLine(on, on, amount, references), **more)


def statement(*lines: StatementLine, period: int = 31, **more: Any) -> Statement:
    """A statement of so many days with these lines, which opens with nothing."""
    total = sum(one.amount for one in lines)
    made = Statement("S-1", "EUR", TODAY - timedelta(days=period - 1), TODAY, 0, total, lines)
    return replace(made, **more)


def brought(*lines: StatementLine, reconciliation: str = "recon_1", days: int = 3, **more: Any) -> OpenReconciliation:
    """A command that brings such a statement."""
    return OpenReconciliation(reconciliation, "acct_a", statement(*lines, **more), False, days)


OPEN = brought(line(1_000, "INV-1"), line(500))
MATCHED = MatchByHand("recon_1", "reconmch_1", (1,), (ENTRY,))
CLOSE = CloseReconciliation("recon_1", "carried to the next month")
ABANDON = AbandonReconciliation("recon_1", "the wrong account")
AGAIN = replace(OPEN, reconciliation="recon_2")
MANY = tuple(line(1) for _ in range(MOST_LINES))

RULES = {
    "not_a_code": no_code(
        "id of the statement", brought(line(), statement="S 1"), brought(line(), statement="S-1"), given=READY
    ),
    "statement_lines": RuleSample(
        given=READY,
        broken=brought(*MANY, line(1)),
        sentence="A statement has at most 5000 lines; this one has 5001.",
        kept=(brought(*MANY),),
    ),
    "statement_period": RuleSample(
        given=READY,
        broken=brought(line(), period=MOST_PERIOD_DAYS + 1),
        sentence=(
            "The statement is from 2025-10-17 to 2026-11-21; a period ends when it begins or later, and has at most "
            "400 days."
        ),
        kept=(brought(line(), period=MOST_PERIOD_DAYS),),
    ),
    "statement_amount": RuleSample(
        given=READY,
        broken=brought(line(), line(MAX_AMOUNT + 1)),
        sentence=(
            "Line 2 of the statement is for 10000000000000.00 EUR; a line is not for 0 or above 9999999999999.99."
        ),
        kept=(brought(line(), line(MAX_AMOUNT)),),
    ),
    "statement_day": RuleSample(
        given=READY,
        broken=brought(line(), line(day=31)),
        sentence=("Line 2 of the statement was booked on 2026-10-21, not in its period from 2026-10-22 to 2026-11-21."),
        kept=(brought(line(), line(day=30)),),
    ),
    "statement_references": RuleSample(
        given=READY,
        broken=brought(line(1_000, "A", "B", "C", "D", "E")),
        sentence="Line 1 of the statement has 5 references; the most is 4.",
        kept=(brought(line(1_000, "A", "B", "C", "D")),),
    ),
    "statement_balances": RuleSample(
        given=READY,
        broken=brought(line(), closing=999),
        sentence=(
            "The statement opens with 0.00 EUR, its lines sum to 10.00, and it closes with 9.99 and not with 10.00: it "
            "is not whole."
        ),
        kept=(brought(line(), opening=-1, closing=999),),
    ),
    "currency_mismatch": RuleSample(
        given=READY,
        broken=brought(line(), currency="USD"),
        sentence="Account acct_a is kept in EUR; the amount is in USD.",
        kept=(brought(line(), currency="EUR"),),
    ),
    "match_days": RuleSample(
        given=READY,
        broken=replace(OPEN, days_apart=32),
        sentence="The value dates of a line and an entry may differ by 0 to 31 days; the command asks for 32.",
        kept=(replace(OPEN, days_apart=31),),
    ),
    "statement_known": RuleSample(
        given=(*READY, OPEN),
        broken=brought(line(1), reconciliation="recon_2"),
        sentence="Statement S-1 of account acct_a was brought before: it is that of recon_1.",
        kept=(ABANDON, brought(line(1), reconciliation="recon_2")),
    ),
    "statement_figures_known": RuleSample(
        given=(*READY, OPEN),
        broken=replace(AGAIN, statement=replace(OPEN.statement, statement="S-2")),
        sentence=(
            "A statement of account acct_a with the same period, balances and lines was brought before: it is that of "
            "recon_1."
        ),
        kept=(
            ABANDON,
            replace(AGAIN, statement=replace(OPEN.statement, statement="S-2")),
        ),
    ),
    "reconciliation_status": RuleSample(
        given=(*READY, OPEN, CLOSE),
        broken=CLOSE,
        sentence="Reconciliation recon_1 is closed; this needs one that is open.",
        kept=(ReopenReconciliation("recon_1", "a match is wrong"), CLOSE),
    ),
    "reconciliation_lines_left": RuleSample(
        given=(*READY, OPEN, MATCHED),
        broken=CloseReconciliation("recon_1"),
        sentence="Lines of reconciliation recon_1 that are not matched: 1. Closing it needs a reason.",
        kept=(
            MatchByHand("recon_1", "reconmch_2", (2,), (OTHER_ENTRY,)),
            CloseReconciliation("recon_1"),
        ),
    ),
    "reconciliation_lines_matched": RuleSample(
        given=(*READY, OPEN, MATCHED),
        broken=ABANDON,
        sentence="Lines of reconciliation recon_1 that are matched: 1. Undo their matches before it is abandoned.",
        kept=(CLOSE,),
    ),
}

# A life


def free_entries(ledger: MemoryLedger, account: str) -> list[OwnEntry]:
    """The entries of an account that no match has."""
    found: list[OwnEntry] = []
    for event in ledger.log:
        if isinstance(event, TransactionPosted):
            for number, entry in enumerate(event.entries, 1):
                if entry.account != account:
                    continue
                claim = ledger.states.get(entry_claim(EntryName(event.originator_id, number)))
                if not isinstance(claim, Claim) or claim.holder is None:
                    found.append(OwnEntry(event.originator_id, number, entry.signed, event.value_date, event.reference))
    return found


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Somebody brings statements of what was posted, closes sessions, opens some again, and gives some up."""
    sessions = ledger.of(Reconciliation)
    if sessions and chance.random() < 0.6:
        session = chance.choice(sessions[-5:])
        id = session.id
        if session.status == "closed":
            return ReopenReconciliation(id, "a match\tis wrong")
        ambiguous = tuple(range(1, chance.randint(0, session.lines) + 1))
        reason = chance.choice([None, "carried\tover"])
        commands = (
            RunReconciliation(id),
            FinishRun(id, ambiguous),
            CloseReconciliation(id, reason),
            AbandonReconciliation(id, "the wrong\taccount"),
        )
        return chance.choice(commands)
    accounts = [one for one in ledger.of(Account) if one.balance]
    if not accounts:
        return account_samples.life(ledger, chance)
    account = chance.choice(accounts)
    mirrored = account.profile.internal
    lines = [
        replace(
            line(-entry.amount if mirrored else entry.amount, *([entry.reference] if entry.reference else ())),
            bank_reference=entry.transaction,
            counterparty="Ada\tLovelace",
            text="for\tthe engine",
        )
        for entry in free_entries(ledger, account.profile.id)[: chance.randint(1, 6)]
    ]
    id = ledger.new_id(RECONCILIATION)
    made = statement(*lines, statement=f"S-{id[-8:]}", currency=account.profile.currency)
    return OpenReconciliation(id, account.profile.id, made, mirrored, 3, "DE89 3704\t0044")


def check(ledger: MemoryLedger) -> None:
    """Each entry is in one match at most, and lines and matches name each other."""
    of_lines = {
        (part.reconciliation, line.number): line.match
        for part in ledger.of(ReconciliationPart)
        for line in part.lines
        if line.match is not None
    }
    made = [match for match in ledger.of(ReconciliationMatch) if not match.undone]
    assert of_lines == {(match.reconciliation, number): match.id for match in made for number in match.lines}
    entries = [entry for match in made for entry in match.entries]
    assert len(set(entries)) == len(entries)
    for match in made:
        for entry in match.entries:
            assert ledger[entry_claim(entry)].holder == match.id


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="reconciliation.run_finished.v1",
        stream="recon_0000000000000000000000005c",
        version=2,
        payload='{"ambiguous":[]}',
        means={"ambiguous": []},
    ),
    StoredEvent(
        type="reconciliation.closed.v1",
        stream="recon_0000000000000000000000004c",
        version=2,
        payload='{"currency":"EUR","left":0,"lines_left":0,"operator":"tester","reason":"2.myCdL9bSzG_3vsZhYbYV9xwgCW8-fLzVlrLyqUbDuDaPLM0cTLWihA=="}',
        means={"lines_left": 0, "left": 0, "currency": "EUR", "operator": "tester", "reason": "carried\tover"},
    ),
    StoredEvent(
        type="reconciliation.reopened.v1",
        stream="recon_0000000000000000000000004c",
        version=3,
        payload='{"operator":"tester","reason":"2.O0192cwfXwy8vduSfTRL00ys4UBVZWhAbmdHnVj_yb-OGqSnmqNbpD-YjPg="}',
        means={"operator": "tester", "reason": "a match\tis wrong"},
    ),
    StoredEvent(
        type="reconciliation.opened.v1",
        stream="recon_0000000000000000000000008y",
        version=1,
        payload='{"account":"acct_0000000000000000000000001b","closing":99900,"currency":"EUR","days_apart":3,"digest":"0eaebebc37bd424c62513c1131bd11f017c3cc67ebbddd8cff97f17c893e15da","lines":1,"mirrored":false,"opening":0,"operator":"tester","outside_account":"2.n4Wd6bQbbSFdGdEUHmpyTlwcu3U4oZZ8jp0zx4h7Lx5INeRJ2D7OdGGj","since":"2026-10-22","skipped":0,"statement":"S-0000008y","subject":"owner-1","until":"2026-11-21"}',
        means={
            "account": "acct_0000000000000000000000001b",
            "currency": "EUR",
            "statement": "S-0000008y",
            "mirrored": False,
            "since": "2026-10-22",
            "until": "2026-11-21",
            "opening": 0,
            "closing": 99900,
            "lines": 1,
            "skipped": 0,
            "days_apart": 3,
            "digest": "0eaebebc37bd424c62513c1131bd11f017c3cc67ebbddd8cff97f17c893e15da",
            "operator": "tester",
            "subject": "owner-1",
            "outside_account": "DE89 3704\t0044",
        },
    ),
    StoredEvent(
        type="reconciliation.abandoned.v1",
        stream="recon_000000000000000000000000ap",
        version=2,
        payload='{"operator":"tester","reason":"2.dV425eUZgF6gfeloO0IT9ikB18FKD8Foa_W8W_8RJ6nukZW6XIDJDv8Xf7mB"}',
        means={"operator": "tester", "reason": "the wrong\taccount"},
    ),
    StoredEvent(
        type="reconciliation.run_asked.v1",
        stream="recon_000000000000000000000000a8",
        version=2,
        payload='{"operator":"tester"}',
        means={"operator": "tester"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life, check=check)
