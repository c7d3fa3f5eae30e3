"""Consumers that are not ours read both topics: the script of the how-to, and the console consumer of Kafka."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.integration.kafka.histories import some_history
from tests.support.kafka import Kafka
from tests.support.ledger import ledger_on
from tests.support.postgres import Database
from tests.support.published import Published, published
from workers.kafka.broker import jars, java_program

HOW_TO = Path(__file__).parents[3] / "docs" / "howto" / "read-the-log-from-kafka.md"
SECONDS = 90


@pytest.fixture
def log(database18: Database, kafka: Kafka) -> Published:
    log = published(database18, kafka)
    with ledger_on(database18) as ledger:
        some_history(ledger, 3)
    return log


def test_the_script_of_the_how_to_reads_every_event_once(log: Published, tmp_path: Path) -> None:
    log.publish("events")
    [script] = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    (tmp_path / "read.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "read.py", log.kafka.address, log.topic("events")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = sorted(line.split(" ", 3) for line in done.stdout.splitlines())
    with psycopg.connect(log.database.url) as connection:
        stored = connection.execute(
            "SELECT position::text, type, stream, convert_from(payload, 'UTF8') FROM log.events"
        ).fetchall()
    assert read == sorted(map(list, stored))


@pytest.mark.parametrize("what", ["log", "events"])
def test_the_console_consumer_of_kafka_reads_both_topics(log: Published, what: str) -> None:
    log.publish(what)  # type: ignore[arg-type]
    topic, partitions = (log.topic("log"), 1) if what == "log" else (log.topic("events"), 4)
    expected = sum(len(log.kafka.records(topic, partition)) for partition in range(partitions))
    done = subprocess.run(
        [
            java_program(),
            "-Xmx256m",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{jars()}/*",
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            "--bootstrap-server",
            log.kafka.address,
            "--topic",
            topic,
            "--from-beginning",
            "--isolation-level",
            "read_committed",
            "--max-messages",
            str(expected),
            "--timeout-ms",
            "30000",
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    values = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(values) == expected, done.stderr
    if what == "log":
        assert [value["last"] for value in values][-1] == log.head()
