"""`daybook up --kafka` starts a broker and publishes to it, starts both again when they die, and ends them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.errors import KafkaError

from tests.integration.workers.running import daybook, environment, read_until, started
from tests.integration.workers.test_up import UP, Client, actions, program_of, stop, tokens
from tests.support.kafka import Kafka, kafka_alone
from tests.support.postgres import server_folder
from tests.support.waiting import wait_until
from workers.kafka import topics
from workers.ports import free_port

TOPIC = topics.log_topic("main", 1).name


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder() as made:
        yield made


def of_its_own(folder: Path) -> dict[str, str]:
    """Settings that share nothing with another Daybook of this machine."""
    return environment(
        DAYBOOK_DATA_DIR=str(folder / "var"), DAYBOOK_PORT=str(free_port()), DAYBOOK_KAFKA_PORT=str(free_port())
    )


def open_account(client: Client) -> bytes:
    """The id of a new account, as a record has it."""
    body: dict[str, object] = {"type": "checking", "currency": "EUR", "owner": "ada", "name": "Ada"}
    answer = client.post("/v1/accounts", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["account"]).encode()


def test_what_is_recorded_is_published_also_after_the_broker_and_the_publisher_were_killed(folder: Path) -> None:
    env = of_its_own(folder)
    base, kafka = f"http://127.0.0.1:{env['DAYBOOK_PORT']}", Kafka(f"127.0.0.1:{env['DAYBOOK_KAFKA_PORT']}")

    def is_published(account: bytes) -> bool:
        try:
            records = kafka.records(TOPIC)
        except KafkaError:  # it is not back yet
            return False
        return sum(b'"stream":"' + account in record.value for record in records) == 1

    with kafka_alone(), started("up", "--kafka", env=env) as process:
        assert kafka.address in read_until(process, UP)
        with Client(base, tokens(folder)["command"]) as client:
            first = open_account(client)
            wait_until(lambda: is_published(first), "the record of the account")
            os.kill(program_of(process.pid, "kafka.Kafka"), signal.SIGKILL)
            os.kill(program_of(process.pid, "workers.cli", "publish"), signal.SIGKILL)
            second = open_account(client)  # Kafka is not needed for it
            read_until(process, "Kafka ended with code -9; it is started again in 1 s")
            wait_until(lambda: is_published(second), "the record of the other account")
            assert is_published(first)
        stop(process)


def test_a_port_in_use_and_another_kafka_in_the_settings_are_one_sentence_and_start_nothing(folder: Path) -> None:
    env = of_its_own(folder)
    with socket.create_server(("127.0.0.1", int(env["DAYBOOK_KAFKA_PORT"]))):
        taken = daybook("up", "--kafka", env=env)
    assert f"port {env['DAYBOOK_KAFKA_PORT']} on 127.0.0.1 cannot be used" in taken.stderr.replace("\n", " ")
    assert "DAYBOOK_KAFKA_PORT" in taken.stderr
    named = daybook("up", "--kafka", env=env | {"DAYBOOK_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"})
    assert "leave one of them out" in named.stderr.replace("\n", " ")
    for done in (taken, named):
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
        assert actions(done.stderr) == [("up", "failed")]
    assert not (folder / "var" / "postgres").exists()
    assert not (folder / "var" / "kafka").exists()
