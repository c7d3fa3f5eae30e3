"""The broker starts, keeps its records, survives `kill -9` of itself and its parent, and explains errors."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.support.kafka import Kafka, own_broker, own_cluster
from tests.support.waiting import wait_until
from workers.kafka import client, topics
from workers.kafka.broker import Broker, BrokerError
from workers.ports import free_port

ROOT: Final = Path(__file__).parents[3]
TOPIC: Final = topics.Topic("kept", 1, topics.KEPT_FOR_EVER)


def create(kafka: Kafka, replication_factor: int = 1) -> None:
    with closing(client.admin(kafka.settings())) as admin:
        topics.create(admin, TOPIC, replication_factor)


def send(kafka: Kafka, *values: bytes) -> None:
    kafka.send(TOPIC.name, *((None, value, []) for value in values))


def values(kafka: Kafka) -> list[bytes]:
    return [record.value for record in kafka.records(TOPIC.name)]


def test_records_are_kept_when_it_is_stopped_and_when_it_is_killed(tmp_path: Path) -> None:
    with own_broker(tmp_path) as broker:
        kafka = Kafka(broker.address)
        create(kafka)
        send(kafka, b"one")
        broker.stop()
        assert broker.pid is None
        broker.start()
        send(kafka, b"two")
        broker.kill()
        broker.start()
        assert values(kafka) == [b"one", b"two"]


def test_a_second_one_is_refused_on_the_same_data_and_on_the_same_port(tmp_path: Path) -> None:
    with own_broker(tmp_path) as broker:
        with pytest.raises(BrokerError, match=r"another Kafka is running on .*: stop the Daybook that uses it"):
            Broker(broker.data_dir, port=free_port()).start()
        another = Broker(tmp_path / "another", port=broker.port)
        with pytest.raises(BrokerError, match=r"did not start on .*another: Address already in use"):
            another.start()
        assert another.pid is None
        create(Kafka(broker.address))  # the first one still works


def test_it_ends_with_a_parent_that_was_killed_and_the_next_one_starts(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom workers.kafka.broker import Broker\n"
        "broker = Broker(Path(sys.argv[1]), port=int(sys.argv[2]))\nbroker.start()\n"
        "print(broker.pid, flush=True)\ntime.sleep(600)\n"
    )
    with own_broker(tmp_path) as broker:
        broker.stop()
        command = [sys.executable, "-W", "ignore", "-c", program, str(broker.data_dir), str(broker.port)]
        parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert parent.stdout is not None
        with parent.stdout:
            pid = int(parent.stdout.readline())
            create(Kafka(broker.address))
            parent.kill()
            parent.wait()
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the broker")
        broker.start()
        send(Kafka(broker.address), b"one")


@pytest.mark.soak
def test_a_cluster_keeps_what_it_has_acknowledged_when_a_leader_is_killed(tmp_path: Path) -> None:
    with own_cluster(tmp_path) as brokers:
        kafka = Kafka(",".join(broker.address for broker in brokers))
        create(kafka, replication_factor=3)
        for number, broker in enumerate(brokers):
            send(kafka, b"%d" % number)
            broker.kill()
            send(kafka, b"and %d" % number)
            broker.start()
        assert values(kafka) == [value for number in range(3) for value in (b"%d" % number, b"and %d" % number)]
