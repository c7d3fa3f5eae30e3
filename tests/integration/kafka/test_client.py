"""Clients of Kafka leave nothing behind in a process that waits for its brokers."""

from __future__ import annotations

import subprocess
import sys

_TRIES = """
import gc, os, threading
from functools import partial
from kafka.errors import KafkaConnectionError
from workers.kafka import client
from workers.settings import Settings

def left_open():
    gc.collect()  # a cycle may still hold some that are closed by and by
    return len(os.listdir("/proc/self/fd")), threading.active_count()

client.BLOCK_MS = 100
nobody = Settings(kafka_bootstrap_servers="127.0.0.1:1")
client.prepare_process(nobody)
before, tries = left_open(), 0
transactional = partial(client.transactional_producer, transactional_id="t")
for make in (client.admin, client.consumer, client.producer, transactional):
    for _ in range(3):
        try:
            make(nobody)
        except KafkaConnectionError as error:
            assert "cannot connect to 127.0.0.1:1" in str(error), error
            tries += 1
    assert left_open() <= before, (make, before, left_open())
print(tries)
"""


def test_a_client_that_finds_no_broker_leaves_nothing_behind() -> None:
    """A process that waits makes one with each try, and would run out of open files within the hour.

    It is a process of its own: pytest keeps what is logged, and so the sockets that the tracebacks of errors hold.
    """
    done = subprocess.run([sys.executable, "-c", _TRIES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(4 * 3)]
