"""Clients of Kafka leave nothing behind in a process that waits for its brokers."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError

from workers.kafka import client
from workers.settings import Settings


def open_files() -> int:
    """How many files and sockets this process has open. A cycle may still hold some that are closed by and by."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    "make",
    [client.admin, client.consumer, client.producer, partial(client.transactional_producer, transactional_id="t")],
)
def test_a_client_that_finds_no_broker_leaves_nothing_behind(
    make: Callable[[Settings], Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that waits makes one with each try, and would run out of open files within the hour."""
    monkeypatch.setattr(client, "BLOCK_MS", 100)
    nobody = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    files, threads = open_files(), threading.active_count()
    for _ in range(3):
        with pytest.raises(KafkaConnectionError, match=r"cannot connect to 127\.0\.0\.1:1: "):
            make(nobody)
    caplog.clear()  # its records hold errors, whose tracebacks hold sockets
    assert open_files() <= files
    assert threading.active_count() <= threads
