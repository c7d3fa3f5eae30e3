"""What the clients were told against what is there: nothing lost, nothing twice, nothing without a reason."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import psycopg

from domain.money import parse
from tests.faults.clients import ACCEPTED, REFUSED, Call, History, kept
from tests.faults.readers import Reading, Standing
from tests.faults.world import World
from tests.support.ledger import assert_sound

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


def check(world: World, history: History, *, folded: bool = True, marked: bool = True) -> None:
    """Everything that must hold after anything. Raises AssertionError.

    `marked`: whether every answer given again must say so. A process that lost its connection under a command and finds
    the key in the log cannot always tell its own first append from one before it; then it does not say so.
    """
    with kept(history):
        assert_sound(world.database)
        _answers_agree(history, marked=marked)
        _answers_are_in_the_log(world, history)
        book = Book.of(world)
        _balances_are_those_told(book, history)
        _refusals_were_right(world, book, history)
        if folded:
            world.wait_until_folded()
            report = world.verified()
            assert report.ok, report.as_json()


def _answers_agree(history: History, *, marked: bool) -> None:
    """Every answer to one key is the same, to the byte; only the first may come without the mark of a replay."""
    for call in history.answered:
        assert {status for status, _, _ in call.answers} <= {*ACCEPTED, REFUSED}, call
        assert len({(status, body) for status, body, _ in call.answers}) == 1, call
        assert not marked or all(replayed for _, _, replayed in call.answers[1:]), call


def _answers_are_in_the_log(world: World, history: History) -> None:
    """What was acknowledged is there, once; what was refused has its record and no event; nobody else is there."""
    with psycopg.connect(world.database.url) as connection:
        recorded = {
            key: (outcome, last)
            for key, outcome, last in connection.execute(
                "SELECT key, outcome, last_position FROM log.commands WHERE actor = 'the-command'"
            )
        }
        units = Counter(
            correlation
            for (correlation,) in connection.execute(
                "SELECT DISTINCT ON (unit_end) metadata->>'correlation' FROM log.events_as_json"
            )
        )
    keys = {call.key for call in history.calls}
    for call in history.answered:
        outcome, last = recorded[call.key]
        if call.accepted:
            assert outcome == 1, call
            assert call.said["position"] == f"main.1.{last}", call
            assert units[call.key] == 1, call
        else:
            assert (outcome, last, units[call.key]) == (2, None, 0), call
    for call in history.calls:  # without an answer it may be in or out, but not twice
        assert units[call.key] <= 1, call
    strangers = {key for key in recorded if key.startswith("client-")} - keys
    assert not strangers, strangers


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

    @property
    def opened(self) -> dict[str, int]:
        """Where each account was opened."""
        return {account: ends[0] for account, ends in self._ends.items() if ends}

    @property
    def total(self) -> int:
        """Of all accounts, at the end."""
        return sum(after[-1].balance for after in self._after.values())


def _balances_are_those_told(book: Book, history: History) -> None:
    """Each account's history replayed in the order of positions gives what each answer told: balances, and states."""
    assert book.total == 0, "money is conserved"
    for call in history.answered:
        if call.accepted:
            said = call.said
            for account, told in said.get("balances", {}).items():
                assert parse(told["balance"], told["currency"]) == book.at(account, call.position).balance, call
            if "balances" not in said:  # opened, frozen, unfrozen or closed
                assert book.at(said["account"], call.position).status == said.get("status", OPEN), call


def _refusals_were_right(world: World, book: Book, history: History) -> None:
    """At the position at which a command was refused, what it was told of the account was so."""
    with psycopg.connect(world.database.url) as connection:
        decided: dict[str, int] = dict(
            connection.execute(
                "SELECT key, decided_position FROM log.commands WHERE actor = 'the-command' AND outcome = 2"
            ).fetchall()
        )
    for call in history.answered:
        if call.status == REFUSED:
            call.decided = decided[call.key]
            rule, figures = call.said["code"], call.said["figures"]
            balance, status, _ = book.at(figures["account"], call.decided)
            if rule == "below_minimum":
                assert status == OPEN, call
                assert balance < parse(call.body["amount"], call.body["currency"]), call
                assert balance == parse(figures["balance"], figures["currency"]), call
            elif rule == "balance_not_zero":
                assert status == OPEN, call
                assert balance == parse(figures["balance"], figures["currency"]) != 0, call
            else:
                assert status in _STATUS_REFUSED[rule], call


_STATUS_REFUSED = {"account_frozen": {FROZEN}, "account_closed": {CLOSED}, "account_not_frozen": {OPEN}}


def order_is_that_of_time(history: History) -> None:
    """Whoever was answered before another began stands before it in the log: the order is linearizable.

    A refusal stands behind the position it was decided at. To be called after `check`, which finds that position.
    """
    calls = sorted(history.answered, key=lambda c: c.began)
    by_end = sorted(calls, key=lambda c: c.ended)
    ended, highest = 0, 0.0
    with kept(history):
        for call in calls:
            while ended < len(by_end) and by_end[ended].ended < call.began:
                highest = max(highest, _place(by_end[ended]))
                ended += 1
            assert _place(call) >= highest if call.status == REFUSED else _place(call) > highest, call


def _place(call: Call) -> float:
    if call.status == REFUSED:
        return call.decided + 0.5
    return call.position


def reads_are_of_one_position(book: Book, readings: Sequence[Reading]) -> None:
    """Each read shows all accounts as they were at one position of the log.

    That is not before the position the read asked for, nor before the one its reader has seen last.
    """
    seen: dict[int, int] = {}
    for reading in readings:
        accounts = reading.accounts
        begin, end = 0, FAR
        for account, told in accounts.items():
            there = book.while_at(account, told.version)
            assert there, f"{account} was never at version {told.version} when a unit ended"
            true = book.at(account, there.start)
            assert told == true, f"{account} was read as {told} and is {true}"
            begin, end = max(begin, there.start), min(end, there.stop)
        end = min([end, *(opened for account, opened in book.opened.items() if account not in accounts)])
        assert begin < end, f"one account is read as at {begin} or later, another as before {end}, by {reading.reader}"
        assert reading.at_least < end, f"position {reading.at_least} was asked for, and the read is of before {end}"
        before = seen.get(reading.reader, 0)
        assert before < end, f"reader {reading.reader} has seen position {before}, and reads what was before {end}"
        seen[reading.reader] = max(begin, reading.at_least, before)
