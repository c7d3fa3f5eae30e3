"""A real broker for tests: one that a whole run shares, and one of its own for a test that kills, stops or cuts it.

The shared broker is started by the first test that needs it, whatever process of pytest that is in. A keeper process
runs it, and ends with the run, also when the run is killed. Where Kafka cannot run, the tests that need it are skipped
with one sentence, which CI does not allow.
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
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, Final
from unittest.mock import patch
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatchBuilder

from tests.support.kafka_proxy import KafkaProxy, kafka_proxy
from workers.kafka import client
from workers.kafka.broker import Broker, BrokerError, jars, java_program, new_cluster_id
from workers.kafka.last_records import records_between
from workers.ports import free_port
from workers.settings import Settings

PREFIX: Final = "daybook-test-kafka-"
OF_THREE: Final = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "min.insync.replicas": "2",
}
"""Properties of brokers that are three."""
_COMPACTS_AT_ONCE: Final = {"log.cleaner.backoff.ms": "200"}
"""By default a broker looks every 15 seconds whether a topic can be compacted."""
_numbers = count(1)


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
        with patch.object(memory_records, "DefaultRecordBatchBuilder", AnyHeaders), self.producer() as producer:
            for future in [producer.send(topic, value, key, headers, 0) for key, value, headers in records]:
                future.get(timeout=30)


class NotUtf8(str):
    """The name of a header that is not UTF-8. Other clients may write one."""

    def encode(self, *_: Any) -> bytes:
        return b"caf\xe9"


class NoValue(bytes):
    """What a header has that has no value. Other clients may write one, and kafka-python cannot."""


class AnyHeaders(DefaultRecordBatchBuilder):  # type: ignore[misc]
    """Writes headers as other clients do."""

    def append(self, offset: Any, timestamp: Any, key: Any, value: Any, headers: Any) -> Any:
        """See the base class."""
        given = [(name, None if isinstance(value, NoValue) else value) for name, value in headers]
        return super().append(offset, timestamp, key, value, given)


def committed(consumer: KafkaConsumer, topic: str, partition: int = 0) -> list[Any]:
    """All committed records of a partition."""
    at = TopicPartition(topic, partition)
    consumer.assign([at])
    return records_between(consumer, at, consumer.beginning_offsets([at])[at], consumer.end_offsets([at])[at])


def _require_kafka() -> None:
    """Skip the test where Java or the jars are missing. `make test` says so in one line before."""
    try:
        java_program()
        jars()
    except BrokerError as error:
        pytest.skip(str(error))


def _run_id() -> int:
    """The process id of the run: that of pytest, or of the pytest that this one works for."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _folder() -> Path:
    """A folder of the run, which all its processes use."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{_run_id()}"


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Wait until no other process of the run is in a block of this name."""
    _folder().mkdir(exist_ok=True)
    with (_folder() / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def shared_broker() -> Kafka:
    """The broker that the whole run shares; the first caller starts it."""
    _require_kafka()
    folder = _folder()
    with _one_at_a_time("starting.lock"):
        if _keeper_of(folder) is None:
            _remove_left_behind()
            _start_keeper(folder)
        return Kafka((folder / "address").read_text())


def _start_keeper(folder: Path) -> None:
    for old in ("address", "keeper", "broker"):  # of a run that had the same process id and was killed
        _remove(folder / old)
    messages = folder / "keeper.log"
    with messages.open("w") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.kafka", str(folder), str(_run_id())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )
    while not (folder / "address").exists():
        assert keeper.poll() is None, f"the broker of the tests did not start: {messages.read_text()}"
        time.sleep(0.05)
    keeper.returncode = 0  # nobody waits for it: it outlives this process, which else warns that it still runs


def _keeper_of(folder: Path) -> int | None:
    """The process id of the keeper in a folder, None if none runs. A keeper holds a lock on its file."""
    with suppress(FileNotFoundError), (folder / "keeper").open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(handle.read())
    return None


def end_shared_broker() -> None:
    """End the broker that the run shares, if there is one. Called once, at the end of the run."""
    folder = _folder()
    pid = _keeper_of(folder)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        while _keeper_of(folder) is not None:
            time.sleep(0.02)
    _remove(folder)


def _keep(folder: Path, run: int) -> None:
    """Run the broker until the run has ended."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with (folder / "keeper").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write(str(os.getpid()))
        handle.flush()
        with Broker(folder / "broker", port=free_port(), properties=_COMPACTS_AT_ONCE) as broker:
            unfinished = folder / "address.new"
            unfinished.write_text(broker.address)
            unfinished.rename(folder / "address")
            while not stop.wait(0.5) and _runs(run):
                pass
        _remove(folder)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_left_behind() -> None:
    """Remove the folders of runs that were killed together with their keeper."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        run = folder.name.removeprefix(PREFIX)
        if run.isdigit() and not _runs(int(run)) and _keeper_of(folder) is None:
            _remove(folder)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def kafka_alone() -> Iterator[None]:
    """For a test that starts a broker of its own. One test of the run at a time does: two cores carry no more."""
    _require_kafka()
    with _one_at_a_time("own.lock"):
        yield


@dataclass(frozen=True)
class OwnKafka:
    """A broker of its own, and a proxy in front of its second listener. Both may be stopped, killed and cut."""

    broker: Broker
    proxy: KafkaProxy

    @property
    def direct(self) -> Kafka:
        """For clients that no fault of the proxy reaches."""
        return Kafka(self.broker.address)

    @property
    def proxied(self) -> Kafka:
        """For clients whose every connection goes through the proxy."""
        return Kafka(f"127.0.0.1:{self.proxy.port}")


@contextmanager
def own_kafka(folder: Path) -> Iterator[OwnKafka]:
    """A broker of its own behind a proxy."""
    with kafka_proxy() as proxy, own_broker(folder, advertised={"PROXY": proxy.port}) as broker:
        proxy.target = broker.listeners["PROXY"]
        yield OwnKafka(broker, proxy)


@contextmanager
def own_broker(folder: Path, **options: Any) -> Iterator[Broker]:
    """A broker of its own."""
    with kafka_alone(), Broker(folder / "kafka", **{"port": free_port(), **options}) as broker:
        yield broker


@contextmanager
def own_cluster(folder: Path, **properties: str) -> Iterator[list[Broker]]:
    """A cluster of three brokers, which keeps three copies of a topic and needs two of them to accept a record."""
    voters = [(node, free_port()) for node in (1, 2, 3)]
    cluster_id = new_cluster_id()
    with kafka_alone(), ExitStack() as running:
        brokers = [
            Broker(
                folder / f"kafka-{node}",
                port=free_port(),
                controller_port=controller_port,
                node_id=node,
                voters=voters,
                cluster_id=cluster_id,
                properties={**OF_THREE, **properties},
            )
            for node, controller_port in voters
        ]
        for broker in brokers:
            running.callback(broker.stop)
            broker.start(wait=False)
        for broker in brokers:
            broker.wait_until_ready()
        yield brokers


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
