"""Clients of Kafka, made from the settings.

kafka-python retries by itself, so each client is given a bound after which it raises.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from pydantic import SecretStr

from workers.kafka.connecting import Client, connected
from workers.kafka.headers import read_every_name
from workers.settings import Settings, SettingsError, variable

logger = logging.getLogger(__name__)
read_every_name()

REQUEST_MS: Final = 10_000
"""How long a request may take before it is tried again."""
TRANSACTION_MS: Final = 15_000
"""After this time the coordinator ends a transaction that nobody ended. Until then, readers wait behind it."""
DELIVERY_MS: Final = 30_000
"""After this time a record that was not acknowledged has failed. It is longer than a transaction may last, so the
coordinator ends the transaction first: kafka-python 3.0.12 commits a transaction that lacks a failed record."""
BLOCK_MS: Final = 10_000
"""How long a call may wait for a broker before it raises."""
RECONNECT_MS: Final = 1_000
"""The longest pause before a lost connection is tried again. With the default, 30 seconds, a broker that is back is
found that late."""
_QUIET: Final = {"metrics_enabled": False, "allow_auto_create_topics": False}
BATCH_BYTES: Final = 256 * 1024
"""Bytes of a batch of records. With the default, 16 KiB, half as many records a second are sent."""
RETRY_MS: Final = 2
"""The pause before a retry. A transaction waits this long after the one before: with the default, 100 ms, one event
takes 112 ms instead of 4."""
MOST_RECORD_BYTES: Final = 1_000_000
"""A record with headers may be this large. The brokers' default is 1,048,588 bytes."""
FETCH_BYTES: Final = 8 * 1024 * 1024
"""Bytes that a consumer gets of one partition at once."""


def connection_options(settings: Settings) -> dict[str, Any]:
    """The options of every client: the brokers, TLS and SASL. Raises `SettingsError` if no broker is set."""
    if settings.kafka_bootstrap_servers is None:
        name = variable("kafka_bootstrap_servers")
        raise SettingsError(f"{name} is not set: set it to the brokers, such as localhost:9092")
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers.split(","),
        "client_id": "daybook",
        "security_protocol": settings.kafka_security_protocol,
        "request_timeout_ms": REQUEST_MS,
        "bootstrap_timeout_ms": BLOCK_MS,
        "reconnect_backoff_max_ms": RECONNECT_MS,
    }
    if "SSL" in settings.kafka_security_protocol:
        options |= {
            "ssl_cafile": _text(settings.kafka_ssl_cafile),
            "ssl_certfile": _text(settings.kafka_ssl_certfile),
            "ssl_keyfile": _text(settings.kafka_ssl_keyfile),
            "ssl_password": None
            if settings.kafka_ssl_password is None
            else settings.kafka_ssl_password.get_secret_value(),
        }
    if "SASL" in settings.kafka_security_protocol:
        if None in (settings.kafka_sasl_mechanism, settings.kafka_sasl_username, settings.kafka_sasl_password):
            names = ", ".join(map(variable, ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")))
            raise SettingsError(f"{settings.kafka_security_protocol} needs all of {names}")
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": _secret(settings.kafka_sasl_password),
        }
    return options


def transactional_producer(settings: Settings, transactional_id: str) -> KafkaProducer:
    """A producer of transactions. A later one with the same id fences it."""
    return _client(
        KafkaProducer,
        settings,
        **_QUIET,
        transactional_id=transactional_id,
        transaction_timeout_ms=TRANSACTION_MS,
        delivery_timeout_ms=DELIVERY_MS,
        max_block_ms=BLOCK_MS,
        batch_size=BATCH_BYTES,
        linger_ms=5,
        retry_backoff_ms=RETRY_MS,
        max_request_size=MOST_RECORD_BYTES,
    )


def producer(settings: Settings) -> KafkaProducer:
    """An idempotent producer: the broker keeps each record once, in the order in which it was sent."""
    return _client(
        KafkaProducer,
        settings,
        **_QUIET,
        delivery_timeout_ms=DELIVERY_MS,
        max_block_ms=BLOCK_MS,
        batch_size=BATCH_BYTES,
        linger_ms=1,
        max_request_size=MOST_RECORD_BYTES,
    )


def consumer(settings: Settings, **more: Any) -> KafkaConsumer:
    """A consumer without a group. It sees committed records only, and raises where an offset is out of range."""
    return _client(
        KafkaConsumer,
        settings,
        **{
            **_QUIET,
            "isolation_level": "read_committed",
            "auto_offset_reset": "none",
            "enable_auto_commit": False,
            "max_partition_fetch_bytes": FETCH_BYTES,
            "max_poll_records": 2_000,
            "fetch_max_wait_ms": 100,
            "retry_backoff_ms": 20,
            **more,
        },
    )


def admin(settings: Settings) -> KafkaAdminClient:
    """A client that makes and describes topics."""
    return _client(KafkaAdminClient, settings)


def _client(make: Callable[..., Client], settings: Settings, **options: Any) -> Client:
    return connected(make, settings, {**connection_options(settings), **options})


def prepare_process(settings: Settings) -> None:
    """Prepare a process that uses Kafka, once, before its first client. Raises `SettingsError` if no broker is set.

    It logs a warning where checksums would be computed in Python: a third of the rate (14,000 records a second). The
    client's own messages are left out: what matters is raised, and the process says it in one sentence.
    """
    connection_options(settings)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    if importlib.util.find_spec("crc32c") is None:
        logger.warning("the package crc32c is missing, so Kafka is three times slower: install it")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
