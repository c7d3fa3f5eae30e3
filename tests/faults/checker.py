"""What the clients were told against what is there: nothing lost, nothing twice, nothing without a reason."""

from __future__ import annotations

from collections import Counter, defaultdict

import orjson
import psycopg

from domain.money import parse
from tests.faults.clients import Call, History
from tests.faults.world import World
from tests.support.ledger import assert_sound

ACCEPTED, REFUSED = 201, 422


def check(world: World, history: History, *, folded: bool = True, marked: bool = True) -> None:
    """Everything that must hold after anything. Raises AssertionError.

    `marked`: whether every answer given again must say so. A process that lost its connection under a command and finds
    the key in the log cannot always tell its own first append from one before it; then it does not say so.
    """
    assert_sound(world.database)
    _answers_agree(history, marked=marked)
    _answers_are_in_the_log(world, history)
    _balances_are_those_told(world, history)
    _refusals_were_right(world, history)
    if folded:
        world.wait_until_folded()
        report = world.verified()
        assert report.ok, report.as_json()


def _answers_agree(history: History, *, marked: bool) -> None:
    """Every answer to one key is the same, to the byte; only the first may come without the mark of a replay."""
    for call in history.answered:
        assert {status for status, _, _ in call.answers} <= {ACCEPTED, REFUSED}, call
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
        said = orjson.loads(call.answers[0][1])
        if call.status == ACCEPTED:
            assert outcome == 1, call
            assert said["position"] == f"main.1.{last}", call
            assert units[call.key] == 1, call
        else:
            assert (outcome, last, units[call.key]) == (2, None, 0), call
    for call in history.calls:  # without an answer it may be in or out, but not twice
        assert units[call.key] <= 1, call
    strangers = {key for key in recorded if key.startswith("client-")} - keys
    assert not strangers, strangers


def _balances_are_those_told(world: World, history: History) -> None:
    """Each account's history replayed in the order of positions gives the very balance that each answer told."""
    entries = _entries(world)
    balance: dict[str, int] = defaultdict(int)
    after: dict[tuple[str, int], int] = {}
    for stream, unit_end, amount in entries:
        balance[stream] += amount
        after[stream, unit_end] = balance[stream]
    assert sum(balance.values()) == 0, "money is conserved"
    for call in history.answered:
        if call.status == ACCEPTED:
            said = orjson.loads(call.answers[0][1])
            end = int(said["position"].rsplit(".", 1)[1])
            for account, told in said["balances"].items():
                assert parse(told["balance"], told["currency"]) == after[account, end], (call.key, account)


def _entries(world: World) -> list[tuple[str, int, int]]:
    """(account, end of the unit, signed amount) of every entry, in the order of positions, from the shares alone."""
    with psycopg.connect(world.database.url) as connection:
        return connection.execute(
            "SELECT stream, unit_end, ((payload->>'amount')::numeric"
            " * CASE type WHEN 'account.credited.v1' THEN 1 ELSE -1 END)::bigint FROM log.events_as_json"
            " WHERE type IN ('account.credited.v1', 'account.debited.v1') ORDER BY position"
        ).fetchall()


def _refusals_were_right(world: World, history: History) -> None:
    """At the position at which a command was refused, the account had not what it asked for."""
    with psycopg.connect(world.database.url) as connection:
        decided: dict[str, int] = dict(
            connection.execute(
                "SELECT key, decided_position FROM log.commands WHERE actor = 'the-command' AND outcome = 2"
            ).fetchall()
        )
    entries = _entries(world)
    for call in history.answered:
        if call.status == REFUSED:
            call.decided = decided[call.key]
            account = call.body.get("source") or call.path.split("/")[3]
            there = sum(amount for stream, end, amount in entries if stream == account and end <= call.decided)
            assert there < parse(call.body["amount"], call.body["currency"]), call


def order_is_that_of_time(history: History) -> None:
    """Whoever was answered before another began stands before it in the log: the order is linearizable.

    A refusal stands behind the position it was decided at. To be called after `check`, which finds that position.
    """
    calls = sorted(history.answered, key=lambda c: c.began)
    by_end = sorted(calls, key=lambda c: c.ended)
    ended, highest = 0, 0.0
    for call in calls:
        while ended < len(by_end) and by_end[ended].ended < call.began:
            highest = max(highest, _place(by_end[ended]))
            ended += 1
        assert _place(call) >= highest if call.status == REFUSED else _place(call) > highest, call


def _place(call: Call) -> float:
    if call.status == REFUSED:
        return call.decided + 0.5
    return int(orjson.loads(call.answers[0][1])["position"].rsplit(".", 1)[1])
