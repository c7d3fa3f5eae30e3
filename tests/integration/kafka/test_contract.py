"""What is published fits the committed schemas and the AsyncAPI document: also logs of earlier versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import orjson
import psycopg
import pytest
from kafka import KafkaConsumer
from psycopg import Connection

from eventstore.keys.master_keys import MasterKeys
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.unit_records import MOST_PIECE_BYTES
from eventstore.postgres.connect import connect
from migrations import runner
from tests.support.before import as_it_was
from tests.support.ledger import MASTER_KEY, deposit, ledger_on, transfer
from tests.support.postgres import Database, Server
from tests.support.schemas import errors
from workers.kafka.key_records import KeyFeed
from workers.kafka.publishing.events_publication import HEARTBEAT, EventsPublication
from workers.kafka.publishing.log_publication import LogPublication
from workers.kafka.publishing.publisher import Outgoing, Publication

LOG: Final = 1
_PIECE: Final = "/components/messages/unit_piece/headers"
PARTITIONS: Final = 3
NO_CONSUMER: Final = cast(KafkaConsumer, None)
"""Nothing is read from Kafka before the first record."""
OPAQUE: Final = "UPDATE log.events SET encoding = 1 WHERE unit_end = (SELECT max(unit_end) FROM log.events)"
"""As events of the library are stored."""


@pytest.fixture(scope="module", params=["ce8ce5d", "d399098", "now"])
def connection(request: pytest.FixtureRequest, postgres18: Server) -> Iterator[Connection[Any]]:
    """A log of this age. The last unit is opaque."""
    with postgres18.database(migrated=request.param == "now") as database:
        if request.param == "now":
            write(database)
        else:
            as_it_was(database, request.param)
            runner.upgrade(database.url)
        with psycopg.connect(database.url, autocommit=True) as superuser:
            superuser.execute(OPAQUE)
        with connect(database.url, application_name="test") as connection:
            yield connection


def write(database: Database) -> None:
    with ledger_on(database) as ledger:
        first, second = ledger.account(), ledger.account()
        ledger.accepted(deposit(first, 100_000))
        ledger.accepted(transfer(first, second, 1))
        ledger.execute(transfer(second, first, 2))  # refused
        ledger.accepted(transfer(first, second, 1))


def records(publication: Publication) -> list[Outgoing]:
    """The whole log as it would be sent."""
    found: list[Outgoing] = []
    position = 0
    while (page := publication.page(position, 50)) is not None:
        found += page.records
        position = page.upto
    return found


def headers(record: Outgoing) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def wrong(message: str, record: Outgoing) -> list[str]:
    """What is wrong with a record by its message of the AsyncAPI document."""
    return [
        *errors("asyncapi.json", headers(record), f"/components/messages/{message}/headers"),
        *wrong_value(message, record),
    ]


def wrong_value(message: str, record: Outgoing) -> list[str]:
    value = None if record.value is None else orjson.loads(record.value)
    return errors("asyncapi.json", value, f"/components/messages/{message}/payload")


def test_events_and_heartbeats_are_as_described(connection: Connection[Any]) -> None:
    sent = records(EventsPublication(connection, "main", NO_CONSUMER, "topic", PARTITIONS))
    seen = set()
    for record in sent:
        attributes = headers(record)
        seen.add(attributes["ce_type"])
        if attributes["content-type"] == "application/octet-stream":
            assert not errors("asyncapi.json", attributes, "/components/messages/opaque/headers")
            continue
        beats = attributes["ce_type"] == HEARTBEAT
        assert wrong("heartbeat" if beats else attributes["ce_type"], record) == []
        assert record.key == (HEARTBEAT if beats else attributes["ce_subject"]).encode()
    assert {"account.opened.v1", "transaction.posted.v1", HEARTBEAT} <= seen
    assert seen & {"order.placed.v1", "command.refused.v1"}, "versions of events from then, or of now"
    assert any(headers(record)["content-type"] == "application/octet-stream" for record in sent)


def test_units_and_keys_are_as_described(connection: Connection[Any]) -> None:
    feed = KeyFeed(connection, LOG, MasterKeys(SubjectKeys(connection, LOG), MASTER_KEY), bytes(32))
    sent = records(LogPublication(connection, "main", NO_CONSUMER, "topic", "keys", feed))
    sent += [Outgoing("keys", 0, subject, value, []) for subject, value in feed.missing({})]
    units = [record for record in sent if record.topic == "topic"]
    keys = [record for record in sent if record.topic == "keys"]
    assert units
    assert keys
    assert [found for record in units if (found := wrong("unit", record))] == []
    assert [found for record in keys if (found := wrong_value("key", record))] == []
    assert all("piece" not in headers(record) for record in units), f"a unit has more than {MOST_PIECE_BYTES} bytes"


def test_pieces_are_as_described(connection: Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.log.unit_records.pieces.__defaults__", (300,))
    feed = KeyFeed(connection, LOG, MasterKeys(SubjectKeys(connection, LOG), MASTER_KEY), bytes(32))
    sent = records(LogPublication(connection, "main", NO_CONSUMER, "topic", "keys", feed))
    pieces = [headers(record) for record in sent if "piece" in headers(record)]
    assert len(pieces) > 1
    assert [found for one in pieces if (found := errors("asyncapi.json", one, _PIECE))] == []
