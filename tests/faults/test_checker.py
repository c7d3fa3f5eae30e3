"""The checker detects reads, effects, answers and tables that are wrong but look right."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from domain.money import show
from tests.faults.checker import (
    AccountEvent,
    Book,
    check,
    effects_match_answers,
    order_is_linearizable,
    reads_are_of_one_position,
)
from tests.faults.clients import deposit, open_accounts, post
from tests.faults.histories import ATOMIC, Answer, Call, History
from tests.faults.readers import Reading
from tests.faults.world import CASH, World

BOOK = Book(
    [
        AccountEvent("a", 1, "account.opened.v1", 0, 1),
        AccountEvent("b", 2, "account.opened.v1", 0, 1),
        AccountEvent("a", 5, "account.debited.v1", -100, 2),
        AccountEvent("b", 5, "account.credited.v1", 100, 2),
        AccountEvent("b", 6, "account.frozen.v1", 0, 3),
        AccountEvent("b", 7, "account.unfrozen.v1", 0, 4),
        AccountEvent("a", 12, "account.debited.v1", -10, 3),
        AccountEvent("b", 12, "account.credited.v1", 10, 5),
        AccountEvent("a", 12, "account.debited.v1", -10, 4),  # a second transfer in the same unit
        AccountEvent("b", 12, "account.credited.v1", 10, 6),
        AccountEvent("c", 13, "account.opened.v1", 0, 1),
    ]
)


def read(*rows: tuple[str, int, str, int], at_least: int = 0) -> Reading:
    """A read of these rows: account, balance, status, version."""
    items: list[dict[str, Any]] = [
        {"account": account, "balance": show(balance, "EUR"), "currency": "EUR", "status": status, "version": version}
        for account, balance, status, version in rows
    ]
    return Reading(1, at_least, orjson.dumps({"items": items, "next": None}))


AT_2 = ("a", 0, "open", 1), ("b", 0, "open", 1)
AT_5 = ("a", -100, "open", 2), ("b", 100, "open", 2)
AT_6 = ("a", -100, "open", 2), ("b", 100, "frozen", 3)
AT_12 = ("a", -120, "open", 4), ("b", 120, "open", 6)
AT_13 = *AT_12, ("c", 0, "open", 1)


def test_true_reads_pass() -> None:
    in_their_order = [read(), read(*AT_2), read(*AT_5), read(*AT_6, at_least=6), read(*AT_6), read(*AT_12)]
    reads_are_of_one_position(BOOK, [*in_their_order, read(*AT_13, at_least=13), read(*AT_13, at_least=99)])


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        pytest.param([read(("a", -101, "open", 2), ("b", 101, "open", 2))], "was read as", id="the sum is zero"),
        pytest.param([read(("a", 100, "open", 2), ("b", -100, "open", 2))], "was read as", id="swapped"),
        pytest.param([read(("a", -100, "open", 2), ("b", 100, "open", 3))], "was read as", id="the status is another"),
        pytest.param([read(AT_5[0], AT_2[1])], "one account is read at 5", id="half of a transfer"),
        pytest.param([read(AT_2[0], AT_6[1])], "one account is read at 6", id="a freeze before its predecessor"),
        pytest.param([read(("a", -110, "open", 3), ("b", 110, "open", 5))], "never at version 3", id="half of a unit"),
        pytest.param([read(("a", -130, "open", 5))], "never at version 5", id="a version that does not exist"),
        pytest.param([read(AT_5[0])], "one account is read at 5", id="a row is missing"),
        pytest.param([read(*AT_5, at_least=6)], "position 6 was requested", id="older than the requested position"),
        pytest.param([read(*AT_12, at_least=13)], "position 13 was requested", id="an account that does not exist yet"),
        pytest.param([read(*AT_6), read(*AT_5)], "has seen position 6", id="back in time"),
    ],
)
def test_a_read_that_matches_no_position_is_detected(readings: list[Reading], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        reads_are_of_one_position(BOOK, readings)


def test_after_a_crash_a_read_may_be_older_than_the_last_but_not_than_the_requested_position() -> None:
    reads_are_of_one_position(BOOK, [read(*AT_6), read(*AT_5), read(*AT_6, at_least=6)], crashes=True)
    with pytest.raises(AssertionError, match="position 6 was requested"):
        reads_are_of_one_position(BOOK, [read(*AT_6), read(*AT_5, at_least=6)], crashes=True)


def transfer(amount: str) -> tuple[str, dict[str, Any]]:
    return "/v1/transfers", {"source": "a", "target": "b", "amount": amount, "currency": "EUR"}


def answered(balance: str) -> dict[str, Any]:
    return {"balances": {"b": {"balance": balance, "currency": "EUR"}}}


def alone(command: tuple[str, dict[str, Any]], message: dict[str, Any], position: int) -> Call:
    answer = orjson.dumps({"position": f"main.1.{position}", **message})
    return Call("alone", *command, answers=[Answer(201, answer, False)])


def together(commands: list[tuple[str, dict[str, Any]]], results: list[dict[str, Any]], position: int) -> Call:
    answer = orjson.dumps({"position": f"main.1.{position}", "results": results})
    items = [{"path": path, "body": body} for path, body in commands]
    return Call("together", ATOMIC, items, answers=[Answer(201, answer, False)])


PAID = Book(
    [
        AccountEvent("a", 1, "account.opened.v1", 0, 1),
        AccountEvent("b", 2, "account.opened.v1", 0, 1),
        AccountEvent(CASH, 3, "account.opened.v1", 0, 1),
        AccountEvent("a", 6, "account.credited.v1", 100, 2),
        AccountEvent(CASH, 6, "account.debited.v1", -100, 2),
        AccountEvent("a", 9, "account.debited.v1", -30, 3),
        AccountEvent("b", 9, "account.credited.v1", 30, 2),
        AccountEvent("a", 15, "account.debited.v1", -10, 4),
        AccountEvent("b", 15, "account.credited.v1", 10, 3),
        AccountEvent("a", 15, "account.debited.v1", -20, 5),
        AccountEvent("b", 15, "account.credited.v1", 20, 4),
    ]
)
FROZEN_B = ("/v1/accounts/b/freeze", {"reason": "a test"})


def test_true_effects_pass() -> None:
    one = alone(transfer("0.30"), answered("0.30"), 9)
    two = together([transfer("0.10"), transfer("0.20")], [answered("0.40"), answered("0.60")], 15)
    effects_match_answers(PAID, History([one, two]))


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(alone(transfer("0.30"), answered("0.20"), 9), id="another balance in the answer"),
        pytest.param(alone(transfer("0.20"), {"balances": {}}, 9), id="another amount in the log"),
        pytest.param(alone(transfer("0.10"), answered("0.40"), 15), id="more than was requested"),
        pytest.param(together([transfer("0.30"), transfer("0.10")], [answered("0.30")] * 2, 9), id="half of a batch"),
        pytest.param(
            together([transfer("0.30"), FROZEN_B], [answered("0.30"), {"account": "b", "status": "frozen"}], 9),
            id="no freeze",
        ),
        pytest.param(
            together([transfer("0.20"), transfer("0.10")], [answered("0.40"), answered("0.60")], 15), id="another order"
        ),
    ],
)
def test_an_effect_that_differs_from_the_command_is_detected(call: Call) -> None:
    with pytest.raises(AssertionError):
        effects_match_answers(PAID, History([call]))


def deposited(key: str, began: float, ended: float, position: int) -> Call:
    answer = Answer(201, orjson.dumps({"position": f"main.1.{position}"}), False)
    return Call(key, "/v1/accounts/a/deposits", {}, began=began, ended=ended, answers=[answer])


def test_an_order_that_is_not_linearizable_is_detected() -> None:
    order_is_linearizable(
        History([deposited("one", 1, 2, 3), deposited("two", 2.5, 4, 9), deposited("at once", 3, 5, 6)])
    )
    with pytest.raises(AssertionError, match="later"):
        order_is_linearizable(History([deposited("earlier", 1, 2, 9), deposited("later", 3, 4, 3)]))


FALSE_ANSWERS: dict[str, tuple[Callable[[dict[str, Call]], object], str]] = {
    "lost": (
        lambda answered: answered.update(new=alone(transfer("0.30"), answered["in"].message, 9)),
        "in the log is .None, None",
    ),
    "refused, with an answer that it was accepted": (
        lambda answered: answered["out"].answers.__setitem__(0, answered["in"].answers[0]),
        "in the",
    ),
    "another repeated answer": (lambda answered: answered["in"].record(Answer(201, b"{}", True)), "^Call"),
    "a repeated answer without the mark of a replay": (
        lambda answered: answered["in"].record(answered["in"].answers[0]),
        "^Call",
    ),
    "a status that no answer has": (
        lambda answered: answered["in"].answers.__setitem__(0, Answer(500, b"", False)),
        "^Call",
    ),
    "refused for another balance": (
        lambda answered: answered["out"].answers.__setitem__(
            0, Answer(422, answered["out"].answers[0].body.replace(b'"6.00"', b'"6.01"'), False)
        ),
        "^Call",
    ),
    "no client sent it": (lambda answered: answered.pop("in"), "no client sent"),
}
"""Changes of the recorded answers, and the message of the check for each."""

DAMAGE = {
    "units of no command": "DELETE FROM log.commands WHERE key = 'in'",
    "positions are dense": "UPDATE log.logs SET position = position + 1",
    "versions are contiguous": "UPDATE log.events SET version = version + 10 WHERE position = 1",
    "refused commands end with their refusal": "UPDATE log.commands SET first_position = NULL, last_position = NULL"
    " WHERE key = 'out'",
    "each refusal has its command": "UPDATE log.commands SET outcome = 1, rule = NULL WHERE key = 'out'",
    "'table': 'accounts'": "UPDATE read.accounts SET balance = balance + 1",
}
"""The message of the check, and the damage that causes it."""


def test_false_answers_and_damage_are_detected(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change is made alone, in a history and a database that are right otherwise."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # each failed check writes its history
    api = world.api()
    (account,) = open_accounts(api, 1, "5.00")
    assert deposit(api, account, "in").status_code == 201
    much = {"amount": "7.00", "currency": "EUR"}
    assert post(api, f"/v1/accounts/{account}/withdrawals", much, "out").status_code == 422
    check(world)
    sound = world.history
    for change, why in FALSE_ANSWERS.values():
        answered = {call.key: call for call in deepcopy(sound.calls)}
        change(answered)
        world.history = History(list(answered.values()))
        with pytest.raises(AssertionError, match=why):
            check(world)
    world.history = sound
    api.kill()
    for why, statement in DAMAGE.items():
        with world.server.database(like=world.database) as copy:
            with psycopg.connect(copy.url) as connection:
                connection.execute(
                    "SET session_replication_role = replica"
                )  # disables the triggers that protect the log
                assert connection.execute(statement.encode()).rowcount > 0, why
            with pytest.raises(AssertionError, match=why):
                check(replace(world, database=copy))
