"""Publisher and replica connect with TLS, a certificate and a password. What does not fit is one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from bench.harness.tables import make_read_tables
from tests.integration.kafka.histories import some_history
from tests.integration.kafka.test_replica import Replica, assert_a_copy
from tests.integration.workers.running import environment, started
from tests.support.kafka import Kafka
from tests.support.ledger import ledger_on
from tests.support.postgres import Database, Server
from tests.support.published import published
from tests.support.secure_kafka import KEY_PASSWORD, PASSWORD, Authority, SecureKafka, secure_kafka
from tests.support.waiting import wait_until
from workers.settings import variable

PUBLISH, COPY = ("publish",), ("work", "--from-kafka")
WRONG_PASSWORD = "another password"
REFUSED = "the connection is ended, as after a wrong password; see DAYBOOK_KAFKA_SASL_USERNAME"
UNTRUSTED = "the certificate is not trusted (unable to get local issuer certificate); see DAYBOOK_KAFKA_SSL_CAFILE"


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path) as broker:
        yield broker


def test_a_log_is_published_and_copied_and_who_is_not_let_in_says_why(
    database18: Database, postgres18: Server, secure: SecureKafka, tmp_path: Path
) -> None:
    log = published(database18, Kafka(secure.plain))

    def process(command: Sequence[str], database: Database, **more: Any) -> AbstractContextManager[Popen[str]]:
        given = {**secure.settings, "kafka_generation": log.settings.kafka_generation, "log_level": "warning", **more}
        return started(*command, env=environment(database, **{variable(name): str(given[name]) for name in given}))

    with ledger_on(database18) as ledger, postgres18.database() as copy:
        make_read_tables(copy)
        replica = Replica(copy, log)
        with process(PUBLISH, database18), process(COPY, copy):
            some_history(ledger)
            replica.wait_for(log.head())
        log.assert_exactly_once()
        assert_a_copy(copy, database18)
        another = Authority(tmp_path / "another").certificate
        with (
            process(PUBLISH, database18, kafka_sasl_password=WRONG_PASSWORD) as publisher,
            process(COPY, copy, kafka_ssl_cafile=another) as copier,
        ):
            wait_until(lambda: log.waiting() is not None, "the sentence of the publisher")
            wait_until(lambda: replica.waiting() != "", "the sentence of the replica")
            said_once(publisher, log.waiting(), REFUSED)
            said_once(copier, replica.waiting(), UNTRUSTED)
    log.assert_exactly_once()


def said_once(process: Popen[str], waiting: str | None, reason: str) -> None:
    """The process said this, nothing else, and no secret. Lag says it, too."""
    process.kill()
    assert process.stdout is not None
    said = process.stdout.read()
    assert said.count("\n") == 1, said
    assert reason in said
    assert reason in (waiting or "")
    assert not [secret for secret in (PASSWORD, WRONG_PASSWORD, KEY_PASSWORD) if secret in said + (waiting or "")]
