"""A model of what the ledger does with money in one currency, written from the rules and without the program.

It says of each command whether it is accepted, and keeps what is true after it. Value dates are the day of the command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

COUNTED = {"withdrawal", "transfer", "payment", "capture"}
UNDOING = {"reversal", "refund", "chargeback"}
DAYS_TO_APPROVE, MOST_DAYS_PENDING = timedelta(days=30), timedelta(days=366)
EPOCH, MINUTE = datetime(1970, 1, 1, tzinfo=UTC), timedelta(minutes=1)
Entries = Sequence[tuple[str, int]]  # account, change of its balance


@dataclass(frozen=True)
class Limits:
    minimum: int | None = 0
    maximum: int | None = None
    overdraft: int = 0
    overdraft_until: date | None = None
    daily: int | None = None
    monthly: int | None = None
    hourly: int | None = None
    hourly_count: int | None = None
    approve_above: int | None = None

    @property
    def outgoing(self) -> bool:
        return any(one is not None for one in (self.daily, self.monthly, self.hourly, self.hourly_count))


@dataclass
class Account:
    internal: bool = False
    limits: Limits = Limits()
    balance: int = 0
    status: str = "open"
    holds: dict[str, int] = field(default_factory=dict)
    days: Counter[date] = field(default_factory=Counter)  # what counted
    minutes: list[tuple[int, int]] = field(default_factory=list)

    @property
    def reserved(self) -> int:
        return sum(self.holds.values())

    def may_change(self, net: int, now: datetime, freed: int = 0) -> bool:
        limits = self.limits
        if net > 0:
            return limits.maximum is None or self.balance + net <= limits.maximum
        if net == 0 or limits.minimum is None:
            return True
        lasts = limits.overdraft_until is None or now.date() <= limits.overdraft_until
        floor = limits.minimum - (limits.overdraft if lasts else 0)
        return self.balance - self.reserved + freed + net >= floor

    def may_use(self, amount: int, now: datetime) -> bool:
        limits, today = self.limits, now.date()
        hour = [used for minute, used in self.minutes if minute >= (now - EPOCH) // MINUTE - 60]
        month = sum(used for day, used in self.days.items() if day >= today.replace(day=1))
        spent = ((limits.daily, self.days[today]), (limits.monthly, month), (limits.hourly, sum(hour)))
        fits = all(most is None or used + amount <= most for most, used in spent)
        return fits and (limits.hourly_count is None or len(hour) < limits.hourly_count)


@dataclass
class Transaction:
    kind: str
    entries: Entries
    day: date
    status: str = "posted"
    awaits: str = "request"
    initiator: str | None = None
    expires_at: datetime | None = None
    undone: list[int] = field(default_factory=list)
    counted_at: datetime | None = None


@dataclass
class Bank:
    accounts: dict[str, Account]
    now: datetime
    most_holds: int
    threshold: int | None = None  # above it another person approves
    transactions: dict[str, Transaction] = field(default_factory=dict)

    def _net(self, entries: Entries) -> Counter[str]:
        net: Counter[str] = Counter()
        for account, change in entries:
            net[account] += change
        return net

    def _fits(self, kind: str, entries: Entries, day: date, freed: Mapping[str, int]) -> bool:
        """Whether the accounts take the entries. `freed` is what was reserved for them."""
        for id, net in self._net(entries).items():
            account = self.accounts[id]
            if account.status != "open" or not account.may_change(net, self.now, freed.get(id, 0)):
                return False
            if net < 0 and kind in COUNTED and not account.may_use(-net, self.now):
                return False
        return len(entries) > 1 and all(change for _, change in entries) and day <= self.now.date()

    def _needs_person(self, kind: str, entries: Entries) -> bool:
        if kind in UNDOING:
            return False
        above = ((-net, self.accounts[id].limits.approve_above) for id, net in self._net(entries).items())
        debits = -sum(change for _, change in entries if change < 0)
        return any(most is not None and amount > max(0, most) for amount, most in (*above, (debits, self.threshold)))

    def _book(self, id: str, new: Transaction) -> bool:
        new.status, self.transactions[id] = "posted", new
        for account_id, net in self._net(new.entries).items():
            account = self.accounts[account_id]
            account.balance += net
            if net < 0 and new.kind in COUNTED and account.limits.outgoing:
                account.days[self.now.date()] -= net
                account.minutes.append(((self.now - EPOCH) // MINUTE, -net))
                new.counted_at = self.now
        return True

    def _reserved(self, entries: Entries) -> dict[str, int]:
        return {id: -net for id, net in self._net(entries).items() if net < 0 and not self.accounts[id].internal}

    def post(self, id: str, kind: str, entries: Entries, person: str | None) -> bool:
        if self._needs_person(kind, entries):
            return self.pend(id, kind, entries, person, "approval", self.now + DAYS_TO_APPROVE)
        if not self._fits(kind, entries, self.now.date(), {}):
            return False
        return self._book(id, Transaction(kind, entries, self.now.date()))

    def pend(
        self, id: str, kind: str, entries: Entries, person: str | None, awaits: str, expires_at: datetime | None
    ) -> bool:
        on_time = expires_at is None or self.now < expires_at <= self.now + MOST_DAYS_PENDING
        reserved = self._reserved(entries)
        full = any(len(self.accounts[one].holds) >= self.most_holds for one in reserved)
        if not on_time or full or not self._fits(kind, entries, self.now.date(), {}):
            return False
        awaits = "approval" if self._needs_person(kind, entries) else awaits
        self.transactions[id] = Transaction(kind, entries, self.now.date(), "pending", awaits, person, expires_at)
        for account, amount in reserved.items():
            self.accounts[account].holds[id] = amount
        return True

    def end(self, id: str, how: str, person: str | None) -> bool:
        """Post, approve, reject, cancel or expire what waits."""
        one = self.transactions[id]
        late = one.expires_at is not None and one.expires_at <= self.now
        other = person is not None and person != one.initiator and one.awaits == "approval" and not late
        may = {"cancel": True, "expire": late, "approve": other, "reject": other}
        may["post"] = one.awaits == "request" and not late and not self._needs_person(one.kind, one.entries)
        reserved, posts = self._reserved(one.entries), how in ("post", "approve")
        if one.status != "pending" or not may[how]:
            return False
        if posts and not self._fits(one.kind, one.entries, one.day, reserved):
            return False
        for account in reserved:
            del self.accounts[account].holds[id]
        one.status = how
        return self._book(id, one) if posts else True

    def undo(self, id: str, kind: str, original: str, amount: int | None, rate: Decimal, fees: str) -> bool:
        """Reverse, refund or charge back an amount, or what is left."""
        one = self.transactions[original]
        gone = one.undone or [0] * len(one.entries)
        left = [abs(change) - undone for (_, change), undone in zip(one.entries, gone, strict=True)]
        if one.status not in ("posted", "part") or one.kind in UNDOING or (amount is not None and len(left) != 2):
            return False
        some = left if amount is None else [amount] * 2
        fee = 0 if amount is None else int((amount * rate).quantize(Decimal(1), ROUND_HALF_EVEN))
        if any(a > b for a, b in zip(some, left, strict=True)) or (amount is not None and fee >= amount):
            return False
        swapped = zip(one.entries, some, strict=True)
        entries = [(account, part - fee if was < 0 else -part) for (account, was), part in swapped if part]
        entries += [(fees, fee)] if fee else []
        if not self._fits(kind, entries, self.now.date(), {}):
            return False
        for account, paid in self._net(entries).items():
            used, state = -self._net(one.entries)[account], self.accounts[account]
            if one.counted_at is not None and state.limits.outgoing and min(used, paid) > 0:
                day = one.counted_at.date()
                state.days[day] = max(0, state.days[day] - min(used, paid))
        one.undone = [a + b for a, b in zip(gone, some, strict=True)]
        one.status = "undone" if some == left else "part"
        return self._book(id, Transaction(kind, entries, self.now.date()))

    def hold(self, account: str, id: str, amount: int) -> bool:
        one = self.accounts[account]
        if one.internal or one.status != "open" or len(one.holds) >= self.most_holds:
            return False
        if not one.may_change(-amount, self.now):
            return False
        one.holds[id] = amount
        return True

    def release(self, account: str, id: str) -> bool:
        return id not in self.transactions and self.accounts[account].holds.pop(id, None) is not None

    def capture(self, account: str, hold: str, id: str, target: str, amount: int) -> bool:
        held, entries = self.accounts[account].holds.get(hold), ((account, -amount), (target, amount))
        if held is None or hold in self.transactions or amount > held or account == target:
            return False
        if self._needs_person("capture", entries):
            return False
        if not self._fits("capture", entries, self.now.date(), {account: held}):
            return False
        del self.accounts[account].holds[hold]
        return self._book(id, Transaction("capture", entries, self.now.date()))

    def set_status(self, account: str, status: str) -> bool:
        one = self.accounts[account]
        empty = not one.holds and one.balance == 0
        allowed = one.status == ("frozen" if status == "open" else "open") and (status != "closed" or empty)
        one.status = status if allowed else one.status
        return allowed

    def set_limits(self, account: str, limits: Limits) -> bool:
        one, until = self.accounts[account], limits.overdraft_until
        crossed = None not in (limits.minimum, limits.maximum) and (limits.minimum or 0) > (limits.maximum or 0)
        ended = until is not None and until < self.now.date()
        if one.internal or one.status == "closed" or crossed or ended or one.limits == limits:
            return False
        if limits.overdraft and limits.minimum is None:
            return False
        one.limits = replace(limits)
        return True
