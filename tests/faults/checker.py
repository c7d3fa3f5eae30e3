"""Compares the answers of the clients with the log: nothing is lost, duplicated or without a request."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import psycopg

from domain.money import parse
from tests.faults.histories import ACCEPTED, REFUSED, Call, History, saved_on_failure
from tests.faults.readers import AccountState, Reading
from tests.faults.world import CASH, FEES, World
from tests.support.ledger import assert_sound
from workers.verify.schema import SCHEMA

OPEN, FROZEN, CLOSED = "open", "frozen", "closed"
UNOPENED = AccountState(0, "", 0)
FAR = 2**62
"""After every position."""
STATUS = {
    "account.opened.v1": OPEN,
    "account.frozen.v1": FROZEN,
    "account.unfrozen.v1": OPEN,
    "account.closed.v1": CLOSED,
}
"""The status of an account after an event. Entries do not change it."""


def check(world: World, *histories: History, marked: bool = True) -> None:
    """Check everything that must hold after any fault, for the calls of `world.history` and of the histories of loads.

    Raises AssertionError. `marked`: whether every repeated answer must have the mark of a replay. A process that lost
    its connection during a command and finds the key in the log cannot always distinguish its own first append from an
    earlier one. It then sends no mark.
    """
    history = History([call for answered in (world.history, *histories) for call in answered.calls])
    with saved_on_failure(history):
        assert_sound(world.database)
        _answers_agree(history, marked=marked)
        _answers_are_in_the_log(world, history)
        book = Book.of(world)
        effects_match_answers(book, history)
        _refusals_were_right(world, book, history)
        order_is_linearizable(history)
        world.fold()
        report = world.verified()
        broken = {check.name for check in report.checks if not check.ok} - {
            SCHEMA
        }  # gates change the source of log.append
        assert (broken, report.tables.findings) == (set(), ()), report.as_json()


def _answers_agree(history: History, *, marked: bool) -> None:
    """All answers to one key are the same bytes. Only the first may come without the mark of a replay."""
    for call in history.answered:
        assert call.status in {*ACCEPTED, REFUSED}, call
        assert len({(answer.status, answer.body) for answer in call.answers}) == 1, call
        assert not marked or all(answer.replayed for answer in call.answers[1:]), call


def _answers_are_in_the_log(world: World, history: History) -> None:
    """An accepted call is in the log once, and so is the refusal of a refused one. The log has no other commands.

    A key has at most one record, and each unit belongs to exactly one key. So nothing is duplicated, whether a
    call was answered or not.
    """
    with psycopg.connect(world.database.url) as connection:
        recorded = {
            (actor, key): (outcome, last)
            for actor, key, outcome, last in connection.execute(
                "SELECT actor, key, outcome, last_position FROM log.commands WHERE starts_with(actor, 'the-')"
            )
        }
        refusals = {
            (actor, key): position
            for actor, key, position in connection.execute(
                "SELECT payload->>'actor', payload->>'key', position FROM log.events_as_json"
                " WHERE type = 'command.refused.v1'"
            )
        }
        unaccounted = connection.execute(
            "SELECT unit_end, array_agg(c.key) FROM (SELECT DISTINCT log, unit_end FROM log.events) u"
            " LEFT JOIN log.commands c ON c.log = u.log AND c.last_position = u.unit_end"
            " GROUP BY unit_end HAVING count(c.key) <> 1"
        ).fetchall()
    assert unaccounted == [], f"units of no command, or of several: {unaccounted}"
    for call in history.answered:
        outcome, last = recorded.get((call.actor, call.key), (None, None))
        answered = (1, call.position) if call.accepted else (2, refusals.get((call.actor, call.key)))
        there = (outcome, last)
        assert there == answered, f"{call} was answered with (outcome, position) {answered}; in the log is {there}"
    strangers = recorded.keys() - {(call.actor, call.key) for call in history.calls}
    assert not strangers, f"no client sent {strangers}"


class AccountEvent(NamedTuple):
    """An event on an account."""

    account: str
    end: int  # of its unit
    type: str
    amount: int  # added to the balance
    version: int


class Book:
    """The state of each account after each unit that changed it, from its events in the order of positions.

    Raises AssertionError if a frozen or closed account has an entry, or if an account is closed with a balance.
    """

    def __init__(self, events: Iterable[AccountEvent]) -> None:
        """`events` in the order of positions."""
        self._ends: dict[str, list[int]] = defaultdict(list)
        self._after: dict[str, list[AccountState]] = defaultdict(list)
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
            self._after[account].append(AccountState(balance + amount, status, version))

    @classmethod
    def of(cls, world: World) -> Book:
        """The book of the log of the world."""
        with psycopg.connect(world.database.url) as connection:
            rows = connection.execute(
                "SELECT stream, unit_end, type, coalesce(((payload->>'amount')::numeric"
                " * CASE type WHEN 'account.credited.v1' THEN 1 ELSE -1 END)::bigint, 0), version"
                " FROM log.events_as_json WHERE type = ANY (%s) ORDER BY position",
                ([*STATUS, "account.credited.v1", "account.debited.v1"],),
            ).fetchall()
        return cls(AccountEvent(*row) for row in rows)

    def at(self, account: str, position: int) -> AccountState:
        """The state of an account at a position."""
        place = bisect_right(self._ends[account], position)
        return self._after[account][place - 1] if place else UNOPENED

    def positions_at_version(self, account: str, version: int) -> range:
        """The positions at which an account has a version: none if no unit ends with this version."""
        ends = self._ends[account]
        if not 1 <= version <= len(ends):
            return range(0)
        return range(ends[version - 1], ends[version] if version < len(ends) else FAR)

    def after(self, end: int) -> dict[str, AccountState]:
        """The states of the accounts that a unit changed, after it. `end` is the last position of the unit."""
        return {account: self.at(account, end) for account in self._touched[end]}

    @property
    def opened(self) -> dict[str, int]:
        """The position at which each account was opened."""
        return {account: ends[0] for account, ends in self._ends.items() if ends}

    @property
    def total(self) -> int:
        """The sum of the balances of all accounts at the end."""
        return sum(after[-1].balance for after in self._after.values())


class Draft:
    """Computes the expected states after commands that start from the book at a position."""

    def __init__(self, book: Book, position: int, key: str) -> None:
        """`key` is the key of their call."""
        self._book = book
        self._position = position
        self._key = key
        self.now: dict[str, AccountState] = {}  # the accounts touched

    def at(self, account: str) -> AccountState:
        """The current state of an account."""
        return self.now.get(account) or self._book.at(account, self._position)

    def apply(self, path: str, body: dict[str, Any], opened: str) -> None:
        """Apply a command, which must be allowed. `opened` is the account that it opens, if it opens one."""
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
        assert account == CASH or balance + amount >= 0, (
            f"{self._key}: {account} has {balance}, and {-amount} is withdrawn"
        )
        assert after != CLOSED or balance == 0, f"{self._key}: {account} is closed with the balance {balance}"
        self.now[account] = AccountState(balance + amount, after, version + 1)


ENTRIES = {"deposits": (1, CASH), "withdrawals": (-1, CASH), "fees": (-1, FEES)}
"""The sign of the amount on the account, and the internal account with the other entry."""
CHANGES = {"freeze": (OPEN, FROZEN), "unfreeze": (FROZEN, OPEN), "close": (OPEN, CLOSED)}
"""The status before and after."""


def effects_match_answers(book: Book, history: History) -> None:
    """Each unit has exactly the effects of its command, and the balances and states in its answer."""
    assert book.total == 0, "money is conserved"
    for call in history.answered:
        if call.accepted:
            draft = Draft(book, call.position - 1, call.key)
            results = call.message["results"] if call.atomic else [call.message]
            for (path, body), message in zip(call.commands, results, strict=True):
                draft.apply(path, body, message.get("account", ""))
                for account, answered in message.get("balances", {}).items():
                    assert parse(answered["balance"], answered["currency"]) == draft.at(account).balance, call
                if "balances" not in message:  # opened, frozen, unfrozen or closed
                    assert draft.at(message["account"]).status == message.get("status", OPEN), call
            assert draft.now == book.after(call.position), call


def _refusals_were_right(world: World, book: Book, history: History) -> None:
    """Each refusal states what was true of the account at the position at which the command was decided.

    An item of an atomic batch is decided on the states that the items before it would have made.
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
                draft.apply(path, body, f"the account that item {item} would have opened")
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


def order_is_linearizable(history: History) -> None:
    """A call that was answered before another call began comes before it in the log: the order is linearizable.

    A refusal comes directly after the position at which it was decided, which `_refusals_were_right` finds.
    """
    calls = sorted(history.answered, key=lambda c: c.began)
    by_end = sorted(calls, key=lambda c: c.ended)
    ended, highest = 0, 0.0
    for call in calls:
        while ended < len(by_end) and by_end[ended].ended < call.began:
            highest = max(highest, _order_key(by_end[ended]))
            ended += 1
        place = _order_key(call)
        assert place >= highest if call.status == REFUSED else place > highest, f"{call} began after {highest}"


def _order_key(call: Call) -> float:
    if call.status == REFUSED:
        return call.decided + 0.5
    return call.position


def reads_are_of_one_position(book: Book, readings: Sequence[Reading], *, crashes: bool = False) -> None:
    """Each read shows all accounts as they were at one position of the log.

    This position is not before the one that the read requested, and not before the last one that its reader has seen.
    If the server `crashes`, the last commits of projectors can be lost, so the second condition does not hold.
    """
    seen: dict[int, int] = {}
    for reading in readings:
        accounts = reading.accounts
        begin, end = 0, FAR
        for account, answered in accounts.items():
            there = book.positions_at_version(account, answered.version)
            assert there, f"{account} was never at version {answered.version} when a unit ended"
            true = book.at(account, there.start)
            assert answered == true, f"{account} was read as {answered} and is {true}"
            begin, end = max(begin, there.start), min(end, there.stop)
        end = min([end, *(opened for account, opened in book.opened.items() if account not in accounts)])
        assert begin < end, f"one account is read at {begin} or later, another before {end}, by reader {reading.reader}"
        assert reading.at_least < end, f"position {reading.at_least} was requested, and the read is of before {end}"
        before = 0 if crashes else seen.get(reading.reader, 0)
        assert before < end, (
            f"reader {reading.reader} has seen position {before}, and now reads a state of before {end}"
        )
        seen[reading.reader] = max(begin, reading.at_least, before)
