"""What the clients were told against what is there: nothing lost, nothing twice, nothing without a reason."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import psycopg

from domain.money import parse
from tests.faults.histories import ACCEPTED, REFUSED, Call, History, kept
from tests.faults.readers import Reading, Standing
from tests.faults.world import CASH, FEES, World
from tests.support.ledger import assert_sound
from workers.verify.schema import SCHEMA

OPEN, FROZEN, CLOSED = "open", "frozen", "closed"
UNOPENED = Standing(0, "", 0)
FAR = 2**62
"""Behind every position."""
STATUS = {
    "account.opened.v1": OPEN,
    "account.frozen.v1": FROZEN,
    "account.unfrozen.v1": OPEN,
    "account.closed.v1": CLOSED,
}
"""What an account is after an event; entries leave it as it is."""


def check(world: World, *histories: History, marked: bool = True) -> None:
    """Everything that must hold after anything, of all that was told: `world.history` and the histories of loads.

    Raises AssertionError. `marked`: whether every answer given again must say so. A process that lost its connection
    under a command and finds the key in the log cannot always tell its own first append from one before it; then it
    does not say so.
    """
    history = History([call for answered in (world.history, *histories) for call in answered.calls])
    with kept(history):
        assert_sound(world.database)
        _answers_agree(history, marked=marked)
        _answers_are_in_the_log(world, history)
        book = Book.of(world)
        effects_are_those_told(book, history)
        _refusals_were_right(world, book, history)
        order_is_that_of_time(history)
        world.fold()
        report = world.verified()
        broken = {check.name for check in report.checks if not check.ok} - {SCHEMA}  # gates are put into log.append
        assert (broken, report.tables.findings) == (set(), ()), report.as_json()


def _answers_agree(history: History, *, marked: bool) -> None:
    """Every answer to one key is the same, to the byte; only the first may come without the mark of a replay."""
    for call in history.answered:
        assert call.status in {*ACCEPTED, REFUSED}, call
        assert len({(answer.status, answer.body) for answer in call.answers}) == 1, call
        assert not marked or all(answer.replayed for answer in call.answers[1:]), call


def _answers_are_in_the_log(world: World, history: History) -> None:
    """What was acknowledged is there, once; what was refused has its record and no event; nobody else is there.

    A key has at most one record, and each unit is that of exactly one: so nothing is there twice, answered or not.
    """
    with psycopg.connect(world.database.url) as connection:
        recorded = {
            (actor, key): (outcome, last)
            for actor, key, outcome, last in connection.execute(
                "SELECT actor, key, outcome, last_position FROM log.commands WHERE starts_with(actor, 'the-')"
            )
        }
        unaccounted = connection.execute(
            "SELECT unit_end, array_agg(c.key) FROM (SELECT DISTINCT log, unit_end FROM log.events) u"
            " LEFT JOIN log.commands c ON c.log = u.log AND c.last_position = u.unit_end"
            " GROUP BY unit_end HAVING count(c.key) <> 1"
        ).fetchall()
    assert unaccounted == [], f"units of no command, or of several: {unaccounted}"
    for call in history.answered:
        answered = (1, call.position) if call.accepted else (2, None)
        there = recorded.get((call.actor, call.key))
        assert there == answered, f"{call} was told (outcome, position) {answered}, and in the log is {there}"
    strangers = recorded.keys() - {(call.actor, call.key) for call in history.calls}
    assert not strangers, f"nobody asked for {strangers}"


class AccountEvent(NamedTuple):
    """An event on an account."""

    account: str
    end: int  # of its unit
    type: str
    amount: int  # added to the balance
    version: int


class Book:
    """What each account was after each unit that touched it: its events alone, replayed in the order of positions.

    Raises AssertionError where an account that is frozen or closed has an entry, or one is closed with money on it.
    """

    def __init__(self, events: Iterable[AccountEvent]) -> None:
        """`events` in the order of positions."""
        self._ends: dict[str, list[int]] = defaultdict(list)
        self._after: dict[str, list[Standing]] = defaultdict(list)
        self._touched: dict[int, set[str]] = defaultdict(set)
        for account, end, type, amount, version in events:
            balance, status, before = self._after[account][-1] if self._after[account] else UNOPENED
            assert version == before + 1, (account, end, version)
            if type in STATUS:
                assert (type == "account.opened.v1") == (status == ""), (account, end, status)
                assert status != CLOSED, (account, end, type)
                assert type != "account.unfrozen.v1" or status == FROZEN, (account, end)
                assert type not in ("account.frozen.v1", "account.closed.v1") or status == OPEN, (account, end, type)
                assert type != "account.closed.v1" or balance == 0, (account, end, balance)
                status = STATUS[type]
            else:
                assert status == OPEN, (account, end, status)
            self._ends[account].append(end)
            self._touched[end].add(account)
            self._after[account].append(Standing(balance + amount, status, version))

    @classmethod
    def of(cls, world: World) -> Book:
        """That of the world's log."""
        with psycopg.connect(world.database.url) as connection:
            rows = connection.execute(
                "SELECT stream, unit_end, type, coalesce(((payload->>'amount')::numeric"
                " * CASE type WHEN 'account.credited.v1' THEN 1 ELSE -1 END)::bigint, 0), version"
                " FROM log.events_as_json WHERE type = ANY (%s) ORDER BY position",
                ([*STATUS, "account.credited.v1", "account.debited.v1"],),
            ).fetchall()
        return cls(AccountEvent(*row) for row in rows)

    def at(self, account: str, position: int) -> Standing:
        """How it stands at a position."""
        place = bisect_right(self._ends[account], position)
        return self._after[account][place - 1] if place else UNOPENED

    def while_at(self, account: str, version: int) -> range:
        """The positions at which it is at a version: none if no unit ends with that."""
        ends = self._ends[account]
        if not 1 <= version <= len(ends):
            return range(0)
        return range(ends[version - 1], ends[version] if version < len(ends) else FAR)

    def after(self, end: int) -> dict[str, Standing]:
        """The accounts that the unit with this end has touched, as it left them."""
        return {account: self.at(account, end) for account in self._touched[end]}

    @property
    def opened(self) -> dict[str, int]:
        """Where each account was opened."""
        return {account: ends[0] for account, ends in self._ends.items() if ends}

    @property
    def total(self) -> int:
        """Of all accounts, at the end."""
        return sum(after[-1].balance for after in self._after.values())


class Draft:
    """Commands carried out one after the other on what the book has at a position: what they should come to."""

    def __init__(self, book: Book, position: int, key: str) -> None:
        """`key`: of the call that they are part of."""
        self._book = book
        self._position = position
        self._key = key
        self.now: dict[str, Standing] = {}  # the accounts touched

    def at(self, account: str) -> Standing:
        """How it stands by now."""
        return self.now.get(account) or self._book.at(account, self._position)

    def carry_out(self, path: str, body: dict[str, Any], opened: str) -> None:
        """One more, which must be allowed. `opened`: the account that it opens, if that is what it does."""
        if path == "/v1/accounts":
            self._change(opened, 0, "", OPEN)
        elif path == "/v1/transfers":
            amount = parse(body["amount"], body["currency"])
            self._change(body["source"], -amount, OPEN, OPEN)
            self._change(body["target"], amount, OPEN, OPEN)
        else:
            account, kind = path.removeprefix("/v1/accounts/").split("/")
            if kind in ENTRIES:
                sign, other = ENTRIES[kind]
                amount = sign * parse(body["amount"], body["currency"])
                self._change(account, amount, OPEN, OPEN)
                self._change(other, -amount, OPEN, OPEN)
            else:
                self._change(account, 0, *CHANGES[kind])

    def _change(self, account: str, amount: int, before: str, after: str) -> None:
        balance, status, version = self.at(account)
        assert status == before, f"{self._key}: {account} is {status!r}, not {before!r}"
        assert account == CASH or balance + amount >= 0, f"{self._key}: {account} has {balance}, {-amount} is taken"
        assert after != CLOSED or balance == 0, f"{self._key}: {account} is closed with {balance} on it"
        self.now[account] = Standing(balance + amount, after, version + 1)


ENTRIES = {"deposits": (1, CASH), "withdrawals": (-1, CASH), "fees": (-1, FEES)}
"""What each adds to its account, as a sign, and which internal account has the other side."""
CHANGES = {"freeze": (OPEN, FROZEN), "unfreeze": (FROZEN, OPEN), "close": (OPEN, CLOSED)}
"""The status before and after."""


def effects_are_those_told(book: Book, history: History) -> None:
    """Each unit is what its key was sent for, no more and no less, and left what its answer told: balances, states."""
    assert book.total == 0, "money is conserved"
    for call in history.answered:
        if call.accepted:
            draft = Draft(book, call.position - 1, call.key)
            results = call.message["results"] if call.atomic else [call.message]
            for (path, body), message in zip(call.commands, results, strict=True):
                draft.carry_out(path, body, message.get("account", ""))
                for account, answered in message.get("balances", {}).items():
                    assert parse(answered["balance"], answered["currency"]) == draft.at(account).balance, call
                if "balances" not in message:  # opened, frozen, unfrozen or closed
                    assert draft.at(message["account"]).status == message.get("status", OPEN), call
            assert draft.now == book.after(call.position), call


def _refusals_were_right(world: World, book: Book, history: History) -> None:
    """At the position at which a command was refused, what it was told of the account was so.

    An item of an atomic batch is refused for what those before it would have left.
    """
    with psycopg.connect(world.database.url) as connection:
        decided = {
            (actor, key): position
            for actor, key, position in connection.execute(
                "SELECT actor, key, decided_position FROM log.commands WHERE outcome = 2"
            )
        }
    for call in history.answered:
        if call.status == REFUSED:
            call.decided = decided[call.actor, call.key]
            rule, figures, number = call.message["code"], call.message["figures"], 1
            if call.atomic:
                assert rule == "item_refused", call
                rule, figures, number = figures["rule"], figures["figures"], figures["item"]
            draft = Draft(book, call.decided, call.key)
            for item, (path, body) in enumerate(call.commands[: number - 1], 1):
                draft.carry_out(path, body, f"the account that item {item} would have opened")
            _, body = call.commands[number - 1]
            balance, status, _ = draft.at(figures["account"])
            if rule == "below_minimum":
                assert status == OPEN, call
                assert balance < parse(body["amount"], body["currency"]), call
                assert balance == parse(figures["balance"], figures["currency"]), call
            elif rule == "balance_not_zero":
                assert status == OPEN, call
                assert balance == parse(figures["balance"], figures["currency"]) != 0, call
            else:
                assert status in _STATUS_REFUSED[rule], call


_STATUS_REFUSED = {"account_frozen": {FROZEN}, "account_closed": {CLOSED}, "account_not_frozen": {OPEN}}


def order_is_that_of_time(history: History) -> None:
    """Whoever was answered before another began stands before it in the log: the order is linearizable.

    A refusal stands behind the position it was decided at, which `_refusals_were_right` finds.
    """
    calls = sorted(history.answered, key=lambda c: c.began)
    by_end = sorted(calls, key=lambda c: c.ended)
    ended, highest = 0, 0.0
    for call in calls:
        while ended < len(by_end) and by_end[ended].ended < call.began:
            highest = max(highest, _place(by_end[ended]))
            ended += 1
        place = _place(call)
        assert place >= highest if call.status == REFUSED else place > highest, f"{call} began after {highest}"


def _place(call: Call) -> float:
    if call.status == REFUSED:
        return call.decided + 0.5
    return call.position


def reads_are_of_one_position(book: Book, readings: Sequence[Reading], *, crashes: bool = False) -> None:
    """Each read shows all accounts as they were at one position of the log.

    That is not before the position the read asked for, nor before the one its reader has seen last; but where the
    server `crashes`, which takes the last commits of projectors, what is not asked for may be of before.
    """
    seen: dict[int, int] = {}
    for reading in readings:
        accounts = reading.accounts
        begin, end = 0, FAR
        for account, answered in accounts.items():
            there = book.while_at(account, answered.version)
            assert there, f"{account} was never at version {answered.version} when a unit ended"
            true = book.at(account, there.start)
            assert answered == true, f"{account} was read as {answered} and is {true}"
            begin, end = max(begin, there.start), min(end, there.stop)
        end = min([end, *(opened for account, opened in book.opened.items() if account not in accounts)])
        assert begin < end, f"one account is read as at {begin} or later, another as before {end}, by {reading.reader}"
        assert reading.at_least < end, f"position {reading.at_least} was asked for, and the read is of before {end}"
        before = 0 if crashes else seen.get(reading.reader, 0)
        assert before < end, f"reader {reading.reader} has seen position {before}, and reads what was before {end}"
        seen[reading.reader] = max(begin, reading.at_least, before)
