"""Random commands about money, compared with a model that was written from the rules (`tests.support.money_model`)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.accounts.account.holds import MOST_HOLDS, PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, UnfreezeAccount
from domain.accounts.account.limits import ChangeLimits
from domain.accounts.account.limits import Limits as DomainLimits
from domain.accounts.account.state import Account
from domain.accounts.posting import Entry, Side
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.transaction import (
    ApprovePending,
    CancelPending,
    CaptureHold,
    ChargeBack,
    ChargeFee,
    Deposit,
    ExpirePending,
    PendTransaction,
    PendTransfer,
    PostPending,
    PostTransaction,
    RefundTransaction,
    RejectPending,
    ReverseTransaction,
    TransactionState,
    Transfer,
    Withdraw,
)
from domain.kernel import Accepted, Principal
from tests.support import money_model as model
from tests.support.bank import ADA, BOB, CASH, FEES, FOREIGN, FUNDED, REVENUE, A, B, bank, set_clock
from tests.support.memory_ledger import NOW, By, MemoryLedger

STEPS = 80
DAY = timedelta(days=1)
OURS = (A, B, FOREIGN)
STATUS = {"post": "posted", "approve": "posted", "reject": "rejected", "cancel": "cancelled", "expire": "expired"}
STATUSES = {"undone": "reversed", "part": "partly_reversed", "pending": "pending", "posted": "posted"} | STATUS
PEOPLE = (None, ADA, BOB)


class Compared:
    """A ledger and a model, to which the same commands are sent."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.ledger: MemoryLedger = bank()
        accounts = {id: model.Account() for id in OURS}
        accounts |= {id: model.Account(True, model.Limits(None)) for id in (CASH, FEES, REVENUE)}
        accounts[A].balance, accounts[CASH].balance = FUNDED, -FUNDED
        self.model = model.Bank(accounts, NOW, MOST_HOLDS)
        self.number = 0

    def new(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}_m{self.number}"

    def step(self) -> None:
        steps = (self.move, self.move, self.move, self.journal, self.pend, self.end, self.end, self.undo, self.undo)
        rarely = (self.hold, self.held, self.limits, self.limits, self.status, self.time, self.threshold)
        self.chance.choice((*steps, *rarely))()
        self.compare()

    def sent(self, expected: bool, command: Any, person: str | None = None) -> None:
        """The ledger answers to the command of this person as the model does."""
        decision = self.ledger.execute_by(By(Principal("somebody", ("operator",), person=person), command))
        assert isinstance(decision, Accepted) is expected, (command, decision)

    def compare(self) -> None:
        total = 0
        for id, account in self.model.accounts.items():
            state: Account = self.ledger[id]
            assert (state.balance, state.reserved, state.status) == (account.balance, account.reserved, account.status)
            total += state.balance
        assert total == 0
        for id, transaction in self.model.transactions.items():
            found: TransactionState = self.ledger[id]
            assert found.status == STATUSES[transaction.status]
            assert list(found.reversed) == transaction.undone

    def amount(self) -> int:
        return self.chance.choice((1, 40, self.chance.randint(1, 500), self.chance.randint(1, 2_000)))

    def move(self) -> None:
        chance, amount, person = self.chance, self.amount(), self.chance.choice(PEOPLE)
        id, account, other = self.new("txn"), *chance.sample(OURS, 2)
        kinds: dict[str, tuple[type, str, str]] = {
            "deposit": (Deposit, CASH, account),
            "withdrawal": (Withdraw, account, CASH),
            "fee": (ChargeFee, account, FEES),
        }
        kind = chance.choice(("transfer", *kinds))
        today = self.model.now.date()
        if kind == "transfer":
            command: Any = Transfer(id, account, other, amount, "EUR", today)
            source, target = account, other
        else:
            make, source, target = kinds[kind]
            command = make(id, account, amount, "EUR", today)
        self.sent(self.model.post(id, kind, ((source, -amount), (target, amount)), person), command, person)

    def entries(self) -> list[tuple[str, int]]:
        """Two or three lines between any accounts, which may name one twice."""
        amount, fee = self.amount() + 1, self.chance.choice((0, 1))
        source, target, third = (self.chance.choice((*OURS, CASH, REVENUE)) for _ in range(3))
        lines = [(source, -amount), (target, amount - fee), (self.chance.choice((third, FEES)), fee)]
        return [line for line in lines if line[1]]

    def journal(self) -> None:
        id, lines, person = self.new("txn"), self.entries(), self.chance.choice(PEOPLE)
        kind: Any = self.chance.choice(("journal", "payment"))
        command = PostTransaction(id, kind, booked(lines), self.model.now.date())
        self.sent(self.model.post(id, kind, lines, person), command, person)

    def pend(self) -> None:
        chance, id, now, person = self.chance, self.new("txn"), self.model.now, self.chance.choice(PEOPLE)
        awaits: Any = chance.choice(("request", "approval"))
        expires_at = chance.choice((None, now + timedelta(minutes=chance.randint(0, 90))))
        more: Any = {"expires_at": expires_at, "awaits": awaits}
        if chance.random() < 0.5:
            (source, target), amount = chance.sample(OURS, 2), self.amount()
            lines, kind = [(source, -amount), (target, amount)], "transfer"
            command: Any = PendTransfer(id, source, target, amount, "EUR", now.date(), **more)
        else:
            lines, kind = self.entries(), "payment"
            command = PendTransaction(id, "payment", booked(lines), now.date(), **more)
        self.sent(self.model.pend(id, kind, lines, person, awaits, expires_at), command, person)

    def end(self) -> None:
        known = self.model.transactions
        waiting = [id for id, one in known.items() if one.status == "pending"] or list(known)
        if not waiting:
            return
        id, person = self.chance.choice(waiting), self.chance.choice((ADA, BOB))
        how = self.chance.choice(tuple(STATUS))
        command: Any = {
            "post": PostPending(id),
            "approve": ApprovePending(id),
            "reject": RejectPending(id, "why"),
            "cancel": CancelPending(id),
            "expire": ExpirePending(id),
        }[how]
        self.sent(self.model.end(id, how, person), command, person)

    def undo(self) -> None:
        if not self.model.transactions:
            return
        chance, id, today = self.chance, self.new("txn"), self.model.now.date()
        original = chance.choice(list(self.model.transactions))
        amount = chance.choice((None, self.amount()))
        kind, rate = chance.choice(("reversal", "chargeback", "refund")), 0
        if kind == "refund" and amount is not None:
            rate = chance.choice((0, 25_000, 600_000))
            command: Any = RefundTransaction(id, original, today, "why", amount=amount, currency="EUR", fee_rate=rate)
        else:
            kind = "reversal" if kind == "refund" else kind
            make = ReverseTransaction if kind == "reversal" else ChargeBack
            currency = None if amount is None else "EUR"
            command = make(id, original, today, "why", amount=amount, currency=currency)
        self.sent(self.model.undo(id, kind, original, amount, Decimal(rate) / 1_000_000, FEES), command)

    def hold(self) -> None:
        id, account, amount = self.new("hold"), self.chance.choice((*OURS, CASH)), self.amount()
        self.sent(self.model.hold(account, id, amount), PlaceHold(account, id, amount, "EUR"))

    def held(self) -> None:
        """Release or capture a hold, also one of a pending transaction, which is refused."""
        holds = [(id, hold) for id in OURS for hold in self.model.accounts[id].holds]
        if not holds:
            return
        account, hold = self.chance.choice(holds)
        id, target, amount = self.new("txn"), self.chance.choice(OURS), self.amount()
        if self.chance.random() < 0.5:
            self.sent(self.model.release(account, hold), ReleaseHold(account, hold))
        else:
            command = CaptureHold(account, hold, id, target, amount, "EUR", self.model.now.date())
            self.sent(self.model.capture(account, hold, id, target, amount), command)

    def limits(self) -> None:
        chance, today = self.chance, self.model.now.date()
        values: dict[str, Any] = {
            "minimum": chance.choice((None, 0, -100, 100)),
            "maximum": chance.choice((None, None, None, 5_000)),
            "overdraft": chance.choice((0, 300)),
            "overdraft_until": chance.choice((None, today, today + DAY, today, today - DAY)),
            "daily": chance.choice((None, 300, 700)),
            "monthly": chance.choice((None, 1_000)),
            "hourly": chance.choice((None, None, 400)),
            "hourly_count": chance.choice((None, None, 2)),
            "approve_above": chance.choice((None, None, 300)),
        }
        account = chance.choice((*OURS, *OURS, CASH))
        command = ChangeLimits(account, "EUR", DomainLimits(**values), "why")
        self.sent(self.model.set_limits(account, model.Limits(**values)), command)

    def status(self) -> None:
        account = self.chance.choice(OURS)
        changes: list[tuple[str, type]] = [("frozen", FreezeAccount), ("closed", CloseAccount)]
        status, make = self.chance.choice([*changes, *[("open", UnfreezeAccount)] * 4])
        self.sent(self.model.set_status(account, status), make(account, "why"))

    def time(self) -> None:
        self.model.now += self.chance.choice((timedelta(seconds=50), timedelta(minutes=20), timedelta(hours=7)))
        set_clock(self.ledger, self.model.now)

    def threshold(self) -> None:
        self.model.threshold = self.chance.choice((None, 600))
        above = {} if self.model.threshold is None else {"EUR": self.model.threshold}
        self.ledger.execute(ChangePostingPolicy(None, None, above))


def booked(lines: list[tuple[str, int]]) -> tuple[Entry, ...]:
    sides: dict[bool, Side] = {True: "credit", False: "debit"}
    return tuple(Entry(account, sides[change > 0], abs(change), "EUR") for account, change in lines)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_the_ledger_does_what_the_model_says(seed: int) -> None:
    compared = Compared(Random(seed))
    for _ in range(STEPS):
        compared.step()
    compared.ledger.check()
