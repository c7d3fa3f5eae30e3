"""A real broker for tests: one that a whole run shares, and one of its own for a test that kills, stops or cuts it.

The shared broker is started by the first test that needs it, whatever process of pytest that is in. A keeper process
runs it, and ends with the run, also when the run is killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, Final
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from workers.kafka import client
from workers.kafka.broker import Broker, free_port
from workers.kafka.last_records import records_between
from workers.settings import Settings

PREFIX: Final = "daybook-test-kafka-"
MISSING: Final = "Java or Maven is not installed: the tests of Kafka are left out"
_numbers = count(1)
_keepers: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Kafka:
    """A broker, and the names that a test uses on it."""

    address: str

    def log_name(self) -> str:
        """A name for a log whose topics no other test uses."""
        return f"t{os.getpid()}-{next(_numbers)}-{uuid4().hex[:8]}"

    def settings(self, **more: Any) -> Settings:
        """Settings for clients of this broker."""
        return Settings(kafka_bootstrap_servers=self.address, **more)

    def records(self, topic: str, partition: int = 0) -> list[Any]:
        """All committed records of a partition."""
        with closing(client.consumer(self.settings())) as consumer:
            return committed(consumer, topic, partition)

    @contextmanager
    def producer(self) -> Iterator[KafkaProducer]:
        """A producer without transactions."""
        with closing(client.producer(self.settings())) as producer:
            yield producer

    def send(self, topic: str, *records: tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]) -> None:
        """Send records (key, value, headers) to partition 0, and wait until they are there."""
        with self.producer() as producer:
            for future in [producer.send(topic, value, key, headers, 0) for key, value, headers in records]:
                future.get(timeout=30)


def committed(consumer: KafkaConsumer, topic: str, partition: int = 0) -> list[Any]:
    """All committed records of a partition."""
    at = TopicPartition(topic, partition)
    consumer.assign([at])
    return records_between(consumer, at, consumer.beginning_offsets([at])[at], consumer.end_offsets([at])[at])


def can_run() -> bool:
    """Whether this machine has what a broker needs."""
    return shutil.which("java") is not None and shutil.which("mvn") is not None


def _run_id() -> int:
    """The process id of the run: that of pytest, or of the pytest that this one works for."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"{PREFIX}{_run_id()}"


def shared_broker() -> Kafka:
    """The broker that the whole run shares; the first caller starts it."""
    if not can_run():
        pytest.skip(MISSING)
    folder = _folder()
    folder.mkdir(exist_ok=True)
    address = folder / "address"
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not address.exists():
            _remove_left_behind()
            keeper = subprocess.Popen(
                [sys.executable, "-m", "tests.support.kafka", str(folder), str(_run_id())],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=Path(__file__).parents[2],
            )
            _keepers.append(keeper)  # it outlives this function
            while not address.exists():
                assert keeper.poll() is None, "the keeper of the broker ended; its message is above"
                time.sleep(0.05)
    return Kafka(address.read_text())


def end_shared_broker() -> None:
    """End the broker that the run shares, if there is one. Called once, at the end of the run."""
    pid_file = _folder() / "keeper"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    for keeper in _keepers:
        keeper.wait()
    while _folder().exists() and Path(f"/proc/{pid}").exists():
        time.sleep(0.02)


def _keep(folder: Path, run: int) -> None:
    """Run the broker until the run has ended."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    (folder / "keeper").write_text(str(os.getpid()))
    try:
        with Broker(folder / "broker", port=free_port()) as broker:
            unfinished = folder / "address.new"
            unfinished.write_text(broker.address)
            unfinished.rename(folder / "address")
            while not stop.wait(0.5) and Path(f"/proc/{run}").exists():
                pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left_behind() -> None:
    """Remove the folders of runs that were killed together with their keeper."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        run = folder.name.removeprefix(PREFIX)
        if run.isdigit() and not Path(f"/proc/{run}").exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_broker(folder: Path, **options: Any) -> Iterator[Broker]:
    """A broker of its own. One test of the run at a time has one: two cores carry no more."""
    if not can_run():
        pytest.skip(MISSING)
    _folder().mkdir(exist_ok=True)
    with (_folder() / "own.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        broker = Broker(folder / "kafka", port=free_port(), **options)
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
