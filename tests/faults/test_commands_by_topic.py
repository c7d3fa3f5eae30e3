"""A process that executes commands by topic is killed, stopped and doubled, and Kafka goes away: one effect a key, and
answers that are the same to the byte."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import gates
from tests.faults.topics_process import PAUSED_SECONDS
from tests.integration.workers.running import environment
from tests.support.kafka import Kafka, own_broker
from tests.support.ledger import assert_sound, balances, ledger_on
from tests.support.postgres import Database
from tests.support.topics import ByTopic, transfer
from tests.support.waiting import wait_until
from workers.ports import free_port

STEPS = ("execute", "answer", "keep", "kept")
COMMANDS = 20


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


class World:
    """A principal by topic, two accounts, and transfers that were sent."""

    def __init__(self, database: Database, kafka: Kafka, folder: Path) -> None:
        self.database = database
        with ledger_on(database) as ledger:
            self.source, self.target = ledger.account(balance=1_000_000_00), ledger.account()
        self.topic = ByTopic(database, kafka, folder / "tokens.json")
        self.topic.make_topics()
        self.sent = 0

    def send(self) -> None:
        """Send more transfers of 1.00, each with a key of its own."""
        numbers = range(self.sent, self.sent + COMMANDS)
        self.topic.send(*[transfer(f"key-{number}", self.source, self.target) for number in numbers])
        self.sent += COMMANDS

    def wait_until_answered(self) -> None:
        wait_until(lambda: len({key for key, _ in self.topic.answered()}) == self.sent, "an answer for each key")

    @contextmanager
    def process(self, step: str, number: int) -> Iterator[subprocess.Popen[str]]:
        """A process that sends itself a signal at a step."""
        running = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.faults.topics_process", step, str(number)],
            env=environment(self.database, **self.topic.environment()),
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield running
        finally:
            running.kill()
            running.communicate()

    def assert_one_effect(self) -> None:
        """Each command has one effect, and one answer to the byte, however often it was answered."""
        answers = self.topic.answered()
        assert len({key for key, _ in answers}) == len(set(answers)) == self.sent
        assert balances(self.database)[self.target] == self.sent * 1_00
        assert_sound(self.database)


@pytest.fixture
def world(database18: Database, kafka: Kafka, tmp_path: Path) -> World:
    return World(database18, kafka, tmp_path)


def wait_for(process: subprocess.Popen[str]) -> None:
    """Wait until the process has come to its step."""
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n", "the process did not come to the step"


@pytest.mark.parametrize("step", [pytest.param(s, marks=() if s == "answer" else pytest.mark.soak) for s in STEPS])
def test_it_is_killed_between_two_steps(world: World, step: str) -> None:
    world.send()
    with world.process(step, signal.SIGKILL) as process:
        wait_for(process)
        process.wait()
    with world.topic.executing():
        world.send()
        world.wait_until_answered()
    world.assert_one_effect()


def test_it_is_killed_in_the_middle_of_an_append(world: World) -> None:
    """The append ends without it. Nobody has the answers until another process reads the commands again."""
    gates.install(world.database)
    with gates.closed(world.database, "before it returns") as gate:
        with world.process("never", signal.SIGKILL) as process:
            world.send()
            gate.wait_for_append()
            process.kill()
            process.wait()
        assert world.topic.answered() == []
        gate.open()
    with world.topic.executing():
        world.wait_until_answered()
    world.assert_one_effect()


@pytest.mark.parametrize("step", [pytest.param(s, marks=() if s == "keep" else pytest.mark.soak) for s in STEPS])
def test_it_is_stopped_replaced_and_woken(world: World, step: str) -> None:
    """When it wakes it may answer once more what the other one has answered, with the same bytes."""
    world.send()
    with world.process(step, signal.SIGSTOP) as process:
        wait_for(process)
        with world.topic.executing(paused_seconds=PAUSED_SECONDS):
            world.send()
            world.wait_until_answered()
            os.kill(process.pid, signal.SIGCONT)
            world.send()
            world.wait_until_answered()
        world.send()
        world.wait_until_answered()  # by the one that was woken
    world.assert_one_effect()


def test_of_two_processes_one_reads_a_topic(world: World) -> None:
    """The other takes over when that one ends."""
    steps: list[str] = []
    with world.topic.executing() as stop_first:
        world.send()
        world.wait_until_answered()
        with world.topic.executing(on_step=steps.append):
            for _ in range(5):
                world.send()
                world.wait_until_answered()
            assert steps == []
            stop_first.set()
            world.send()
            world.wait_until_answered()
            assert steps
    assert len(world.topic.answered()) == world.sent  # nothing was answered twice
    world.assert_one_effect()


def test_two_processes_on_one_topic_do_no_harm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should both hold the lock: each command is read by both, and has one effect and one answer."""
    monkeypatch.setattr("workers.kafka.commands.running.Ownership.acquire", _takes_all)

    def read_by_both() -> bool:
        """Whether a few were answered twice. One that begins later goes on behind what the other one has read."""
        if len(world.topic.answered()) >= world.sent:
            world.send()
        return len(world.topic.answered()) >= world.sent + 3

    with world.topic.executing(), world.topic.executing():
        wait_until(read_by_both, "commands that both have read")
    world.assert_one_effect()


def _takes_all(self: object, but: object = ()) -> set[str]:
    others, self._others = set(self._others), []  # type: ignore[attr-defined]
    self.owned |= others  # type: ignore[attr-defined]
    return others


def test_a_broker_comes_back_at_another_address(database18: Database, tmp_path: Path) -> None:
    with own_broker(tmp_path) as broker:
        later = free_port()
        world = World(database18, Kafka(f"{broker.address},127.0.0.1:{later}"), tmp_path)
        with world.topic.executing():
            world.send()
            world.wait_until_answered()
            broker.stop()
            broker.port = later
            broker.start()
            world.send()
            world.wait_until_answered()
        world.assert_one_effect()


def test_kafka_is_away_for_a_while(database18: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Commands that were sent before are executed once it is back, and those that wait for their answers get them."""
    with own_broker(tmp_path) as broker:
        world = World(database18, Kafka(broker.address), tmp_path)
        with world.topic.executing():
            world.send()
            world.wait_until_answered()
            broker.kill()
            wait_until(lambda: "Kafka cannot be used" in caplog.text, "the message")
            broker.start()
            world.send()
            world.wait_until_answered()
        world.assert_one_effect()
    assert "Kafka can be used again" in caplog.text
