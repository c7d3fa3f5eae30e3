"""`daybook replay` for people: steps with filters, what a command caused, and a refusal with its states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from psycopg import Connection
from rich.text import Text

from domain import registry
from domain.accounts.account.lifecycle import FreezeAccount
from domain.accounts.recurring import CreateRecurringPayment, Schedule
from domain.refusals import CommandRefused
from domain.registry import MANAGERS
from eventstore.log.answers import Outcome
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.replay import causes as causing
from projections.replay import steps as stepping
from projections.replay.causes import Causes, Unit
from projections.replay.refused import explained
from projections.replay.selection import Selection, walk
from projections.replay.steps import States, plain
from tests.integration.workers.running import daybook, environment
from tests.support.ledger import Ledger, codec_of, ledger_on, new_id, transfer
from tests.support.postgres import Database, Server
from tests.support.processes import processes_on, settle
from tests.tampering.books import write_books
from workers.replay_text import refusal_lines, step_lines


@dataclass(frozen=True)
class Written:
    """Two accounts, a deposit, a transfer and one that is refused."""

    ledger: Ledger
    one: str
    two: str
    paid: int  # last position of the transfer
    refused: int  # position of the refusal

    def lines(self, *arguments: str) -> list[Any]:
        """The lines of JSON of a replay."""
        return [orjson.loads(line) for line in self.said(*arguments, "--json").splitlines()]

    def said(self, *arguments: str) -> str:
        """What a replay prints."""
        done = daybook("replay", *arguments, env=environment(self.ledger.database))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def written(postgres18: Server) -> Iterator[Written]:
    with postgres18.database() as database, ledger_on(database) as ledger:
        one, two = ledger.account(100), ledger.account()
        paid = ledger.execute(transfer(one, two, 30), key="pay-1").last_position
        answer = ledger.execute(transfer(one, two, 71), key="pay-2")
        assert answer.outcome is Outcome.REFUSED
        assert paid is not None
        assert answer.last_position is not None
        yield Written(ledger, one, two, paid, answer.last_position)


def test_a_stream_step_by_step(written: Written) -> None:
    steps = written.lines(written.one, "--steps")
    assert [step["version"] for step in steps] == [1, 2, 3]
    assert [step["state"]["balance"] for step in steps] == [0, 100, 70]
    assert {"path": "balance", "before": 100, "after": 70} in steps[-1]["changes"]
    assert steps[-1]["metadata"]["key"] == "pay-1"
    assert steps[0]["data"]["name"] == "[sealed]"
    [opened] = written.lines(written.one, "--steps", "--personal", "--type", "account.opened.v1")
    assert opened["data"]["name"] not in ("[sealed]", "[erased]")


def test_steps_as_text(written: Written) -> None:
    text = written.said(written.two, "--after", str(written.paid - 3))
    assert f"account.credited.v1  {written.two} version 2" in text
    assert "with key pay-1" in text
    assert "balance 0.00 → 0.30" in text


def test_an_account_has_its_transactions(written: Written) -> None:
    steps = written.lines("--account", written.two)
    assert [step["type"] for step in steps] == ["account.opened.v1", "transaction.posted.v1", "account.credited.v1"]
    assert len({step["unit_end"] for step in steps[1:]}) == 1


def test_a_correlation_and_a_key_of_an_actor(written: Written) -> None:
    found = written.lines("--correlation", "pay-1")
    assert {step["stream"] for step in found} > {written.one, written.two}
    assert written.lines("--correlation", "pay-1", "--actor", "tester") == found
    assert written.lines("--correlation", "pay-1", "--actor", "another") == []
    assert written.lines("--correlation", "pay-") == []


def test_positions_and_times(written: Written) -> None:
    whole = written.lines("--steps")
    assert [step["position"] for step in whole] == list(range(1, written.refused + 1))
    some = written.lines("--after", "2", "--upto", "5", "--steps")
    assert [step["position"] for step in some] == [3, 4, 5]
    at = whole[3]["recorded_at"]
    early = written.lines("--steps", "--upto", at)
    late = written.lines("--steps", "--after", at)
    assert early + late == whole
    assert early[-1]["recorded_at"] == at < late[0]["recorded_at"]


def test_filters_just_inside_and_outside(written: Written) -> None:
    def found(*arguments: str) -> list[Any]:
        return [step["position"] for step in written.lines(*arguments)]

    paid = [step["position"] for step in written.lines("--correlation", "pay-1") if step["type"] != "x"]
    assert found("--currency", "EUR", "--amount-from", "0.30", "--amount-until", "0.30") == paid
    assert found("--currency", "EUR", "--amount-from", "0.31", "--amount-until", "0.99") == []
    assert found("--currency", "EUR", "--amount-from", "0.29", "--amount-until", "0.29") == []
    assert found("--currency", "USD") == []
    assert found("--type", "command.refused.v1") == [written.refused]
    assert len(found("--person", "tester")) > len(found("--person", "tester", "--type", "account.opened.v1")) > 0
    assert found("--person", "nobody") == []
    [opened] = written.lines(written.one, "--type", "account.opened.v1")
    assert opened["position"] in found("--person", opened["data"]["owner"])


def test_a_refusal_with_its_states(written: Written) -> None:
    [found] = written.lines("--refusal", "pay-2")
    assert found["decided_position"] == written.refused - 1
    states = {one["stream"]: one["state"] for one in found["states"]}
    assert states[written.one]["balance"] == 70
    assert "0.70" in found["sentence"]
    assert "0.71" in found["sentence"]
    assert written.lines("--refusal", str(written.refused)) == [found]
    text = written.said("--refusal", "pay-2")
    assert f"Decided at position {written.refused - 1}" in text
    assert "balance 0.70 EUR" in text or "balance 0.70" in text


def test_later_changes_are_not_in_the_states_of_a_refusal(written: Written) -> None:
    written.ledger.accepted(transfer(written.one, written.two, 20))
    [found] = written.lines("--refusal", "pay-2")
    assert {one["stream"]: one["state"]["balance"] for one in found["states"] if one["stream"] == written.one} == {
        written.one: 70
    }


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("acct_none", "--steps"), 3, "there is no stream acct_none"),
        (("--refusal", "pay-1"), 3, "there is no refusal"),
        (("--causes", "999"), 3, "there is no command"),
        (("--steps", "--causes", "1"), 2, "not for two"),
        (("--amount-from", "1", "--steps"), 2, "--currency"),
        (("--currency", "XXQ"), 2, "Unknown currency"),
        (("--type", "no.such"), 2, "not the type of an"),
        (("--after", "soon"), 2, "neither a position"),
        (("acct_1", "--account", "acct_1"), 2, "exclude each"),
        (("acct_1", "--actor", "a"), 2, "--actor is for a key"),
        (("acct_1", "--steps", "--version", "1"), 2, "not by --version"),
        (("acct_1", "--causes", "1"), 2, "nothing else"),
    ],
)
def test_what_cannot_be_replayed(written: Written, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = daybook("replay", *arguments, env=environment(written.ledger.database))
    assert done.returncode == code, done.stderr
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_a_payment_by_a_process_is_a_tree_to_its_posting(database18: Database) -> None:
    with processes_on(database18, MANAGERS) as processes:
        ledger = processes.ledger
        payer, payee = ledger.account(100), ledger.account()
        payment = f"recur_{payee.removeprefix('acct_')}"
        schedule = Schedule("days", 1, processes.clock().date(), runs=1)
        created = ledger.accepted(CreateRecurringPayment(payment, payer, payee, 5, "EUR", schedule, description="Rent"))
        processes.wait_until_folded()
        settle(processes.worker())
        assert created.last_position is not None
        with reading(database18) as (auditor, keys):
            codec = codec_of(keys, 1)
            root = Causes(auditor, 1, codec).tree(created.last_position)
            assert root is not None
            units = list(below(root))
            assert "account.credited.v1" in {row.type for unit in units for row in unit.events}
            assert len({unit.events[0].unit_end for unit in units}) == len(units), "each unit is there once"
            assert all(one.events[0].position > unit.events[-1].position for unit in units for one in unit.caused)
            reactions = [row for unit in units for row in unit.events if row.type == "process.reacted.v1"]
            with ledger.connect() as connection:
                [(count,)] = connection.execute("SELECT count(*) FROM log.events WHERE type = 'process.reacted.v1'")
            assert len(reactions) == count
        done = daybook("replay", "--causes", str(created.last_position), env=environment(database18))
        assert done.returncode == 0, done.stderr
        assert "recurring" in done.stdout
        assert f"account.credited.v1  {payee}" in done.stdout
        assert "not answered" not in done.stdout


@contextmanager
def reading(database: Database) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    """Two connections of an auditor: for the log, and for the keys of persons."""
    with (
        connect(database.audit_url, application_name="replay") as auditor,
        connect(database.audit_url, application_name="replay-keys") as keys,
    ):
        yield auditor, keys


def below(unit: Unit) -> Iterator[Unit]:
    """The unit and all below it."""
    yield unit
    for one in unit.caused:
        yield from below(one)


@pytest.mark.parametrize(("bound", "said"), [("MOST_DEPTH", "left out"), ("MOST_UNITS", "units at most")])
def test_a_tree_is_bounded_with_a_sentence(
    database18: Database, monkeypatch: pytest.MonkeyPatch, bound: str, said: str
) -> None:
    monkeypatch.setattr(causing, bound, 2)
    with processes_on(database18, MANAGERS) as processes:
        payer, payee = processes.ledger.account(100), processes.ledger.account()
        schedule = Schedule("days", 1, processes.clock().date(), runs=1)
        command = CreateRecurringPayment(new_id("recur"), payer, payee, 5, "EUR", schedule, description="Rent")
        created = processes.ledger.accepted(command)
        processes.wait_until_folded()
        settle(processes.worker())
        with reading(database18) as (auditor, keys):
            root = Causes(auditor, 1, codec_of(keys, 1)).tree(created.last_position or 0)
    assert root is not None
    units = list(below(root))
    assert len(units) == 2
    assert [unit.cut for unit in units if unit.cut is not None and said in unit.cut]


@pytest.mark.parametrize("kept", [stepping.MOST_STATES, 1], ids=["all", "one"])
def test_the_last_state_of_a_replay_is_the_fold_of_the_log(
    database18: Database, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """With every kind of event, and whatever number of states is kept."""
    monkeypatch.setattr(stepping, "MOST_STATES", kept)
    write_books(database18)
    with reading(database18) as (auditor, keys):
        codec, head = codec_of(keys, 1), read_head(auditor, "main")
        steps = list(walk(auditor, 1, codec, Selection(), States(auditor, 1, codec), 0, head.position))
        assert [step.recorded.position for step in steps] == list(range(1, head.position + 1))
        folded: dict[str, Any] = {}
        for step in steps:
            folded[step.recorded.stream] = registry.evolve(folded.get(step.recorded.stream), step.event)
        assert {step.recorded.stream: step.state for step in steps} == {
            stream: plain(state) for stream, state in folded.items()
        }
        for step in steps:  # each refusal of the books can be explained
            if isinstance(step.event, CommandRefused):
                found = explained(auditor, 1, codec, step.recorded.position)
                assert found is not None
                assert found.sentence
                assert "{'" not in text_of(refusal_lines(found, None)), "states are shown without Python"
        for step in steps:  # each event can be shown, with what it changed
            assert step.recorded.type in text_of(step_lines(step, 60))


def text_of(lines: Iterable[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def test_values_of_lists_are_shown_as_they_are(written: Written) -> None:
    opened = written.said(written.one, "--steps", "--type", "account.opened.v1")
    assert 'profile.owners is now ["' in opened
    assert "profile.mandates is now []" in opened


def test_a_frozen_account_explains_its_refusal(written: Written) -> None:
    written.ledger.accepted(FreezeAccount(written.two, "why"))
    answer = written.ledger.execute(transfer(written.one, written.two, 1), key="pay-3")
    assert answer.outcome is Outcome.REFUSED
    [found] = written.lines("--refusal", "pay-3", "--actor", "tester")
    [state] = [one["state"] for one in found["states"] if one["stream"] == written.two]
    assert state["status"] == "frozen"
    assert "why" not in orjson.dumps(state).decode(), "the reason is sealed"
