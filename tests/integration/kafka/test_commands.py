"""Commands by topic, on a real broker: the same decisions, checks and answers as over HTTP, and one effect a key."""

from __future__ import annotations

import logging
import random
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import MessageSizeTooLargeError

from api.gateway.principals import TokenHolder, digest
from domain.kernel import Principal
from tests.integration.workers.running import daybook, environment
from tests.support.kafka import Kafka, NotUtf8, NoValue
from tests.support.ledger import Ledger, assert_sound, balances, fold, ledger_on
from tests.support.postgres import Database
from tests.support.service import service_on
from tests.support.topics import ByTopic, Record, record, transfer
from tests.support.waiting import wait_until
from workers.clock_and_ids import now
from workers.kafka import client, topics
from workers.kafka.commands import reading

HOW_TO = Path(__file__).parents[3] / "docs" / "howto" / "send-commands-by-topic.md"
BODY_BYTES = 1_024
"""Of the setting, for the tests of its bound."""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@pytest.fixture
def client_by_topic(database18: Database, kafka: Kafka, tmp_path: Path) -> ByTopic:
    """A principal with its topics."""
    sender = ByTopic(database18, kafka, tmp_path / "tokens.json", more={"body_limit_bytes": BODY_BYTES})
    sender.make_topics()
    return sender


def two_accounts(database: Database) -> tuple[str, str]:
    """One with 100.00, and an empty one."""
    with ledger_on(database) as ledger:
        return ledger.account(balance=100_00), ledger.account()


def verified(database: Database) -> None:
    """The whole log and the tables are as they have to be."""
    assert_sound(database)
    fold(database)
    done = daybook("verify", env=environment(database))
    assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------------ the same as over HTTP


def events_of(database: Database, key: str) -> list[tuple[Any, ...]]:
    """The events of a command, without what differs each time: ids, positions and times."""
    with psycopg.connect(database.url) as connection:
        rows = connection.execute(
            "SELECT type, payload, metadata FROM log.events WHERE convert_from(metadata, 'UTF8')::jsonb ->> 'key' = %s"
            " ORDER BY position",
            (key,),
        ).fetchall()
    found = []
    for type, stored, described in rows:
        payload, metadata = orjson.loads(stored), orjson.loads(described)
        assert metadata["correlation"] == metadata.pop("key")
        for name in ("correlation", "decided_at"):
            del metadata[name]
        found.append((type, {**payload, "transaction": None}, metadata))
    return found


def test_a_command_has_the_events_and_the_answer_that_it_has_over_http(
    database18: Database, client_by_topic: ByTopic
) -> None:
    """Only `how` the actor proved who it is differs. A retry may come by the other way."""
    sender = client_by_topic
    with service_on(database18, now=now()) as service, sender.executing():
        service.grants[digest("its token")] = TokenHolder(Principal(sender.principal, ("command",)))
        source, target = service.account("100.00"), service.account()
        sent = transfer("by-topic", source, target)
        [by_topic] = sender.answer_to(sent)
        body = orjson.loads(sent[0] or b"")["body"]
        by_http = service.post("transfers", body, key="by-http", Authorization="Bearer its token")
        assert by_topic.keys() == {"body", "key", "status"}
        assert by_topic["status"] == by_http.status_code == 201
        assert by_topic["body"].keys() == by_http.json().keys()

        ours, theirs = events_of(database18, "by-topic"), events_of(database18, "by-http")
        assert {metadata["actor"].pop("how") for *_, metadata in ours} == {"topic"}
        assert {metadata["actor"].pop("how") for *_, metadata in theirs} == {"token"}
        assert [(kind, metadata) for kind, _, metadata in ours] == [(kind, metadata) for kind, _, metadata in theirs]
        assert [payload.keys() for _, payload, _ in ours] == [payload.keys() for _, payload, _ in theirs]

        again = service.post("transfers", body, key="by-topic", Authorization="Bearer its token")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == by_topic["body"]
        sender.send(transfer("by-http", source, target))
        _, repeated = sender.wait_for(2)[-1]
        assert b'{"body":%b,' % by_http.content in repeated


def test_the_client_of_the_documentation(
    client_by_topic: ByTopic, database18: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """It sends twice with one key, as after a doubt."""
    [source] = re.findall(r"^```python\n(.*?)^```$", HOW_TO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    source = source.replace("localhost:9092", client_by_topic.kafka.address).replace(
        ".importer", f".{client_by_topic.principal}"
    )
    two_accounts(database18)
    with client_by_topic.executing():
        for _ in range(2):
            exec(compile(source, "send-commands-by-topic.md", "exec"), {"__name__": "how_to"})  # noqa: S102
    first, again = capsys.readouterr().out.splitlines()
    assert first == again
    assert "'status': 201" in first


# ------------------------------------------------------------------ one effect a key


def test_repeated_and_reordered_commands_have_one_effect_and_one_answer(
    database18: Database, client_by_topic: ByTopic
) -> None:
    source, target = two_accounts(database18)
    sender = client_by_topic
    records = [transfer(f"key-{number}", source, target) for number in range(20)]
    sent = records + records[:5]
    chance = random.Random(7)
    with sender.executing():
        for _ in range(3):
            chance.shuffle(sent)
            before = len(sender.answered())
            sender.send(*sent)
            sender.wait_for(before + len(sent))
        answers = sender.answered()
    assert len(answers) == 3 * len(sent)
    assert len(set(answers)) == 20  # the same to the byte for each key
    assert balances(database18)[target] == 20_00
    verified(database18)


def test_a_key_belongs_to_one_command(database18: Database, client_by_topic: ByTopic) -> None:
    source, target = two_accounts(database18)
    with client_by_topic.executing():
        first, other = client_by_topic.answer_to(
            transfer("one", source, target, "1.00"), transfer("one", source, target, "2.00")
        )
    assert first["status"] == 201
    assert (other["status"], other["body"]["code"]) == (409, "key_reused")


# ------------------------------------------------------------------ what is refused


def raw(key: str, value: bytes | None) -> Record:
    return value, [("idempotency-key", key.encode())]


def padded(value: bytes, size: int) -> bytes:
    return value + b" " * (size - len(value))


def test_what_cannot_be_executed_is_answered_and_blocks_nothing(
    database18: Database, client_by_topic: ByTopic, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = two_accounts(database18)
    sender = client_by_topic
    good = transfer("", source, target)[0]
    assert good is not None
    body = orjson.loads(good)["body"]
    nobody = "acct_01h455vb4pex5vsknk084sn02q"
    expected: list[tuple[Record, int, str | None]] = [
        (raw("poison", b"\x00\xff Ada Lovelace"), 400, "malformed"),
        (raw("nothing", None), 400, "malformed"),
        (raw("list", b"[]"), 400, "malformed"),
        (raw("deep", b"[" * 500 + b"]" * 500), 400, "malformed"),
        (raw("twice", b'{"path": "/v1/transfers", "path": "/v1/transfers"}'), 400, "malformed"),
        (raw("larger", padded(good, BODY_BYTES + 1)), 413, "too_large"),
        (raw("as large", padded(good, BODY_BYTES)), 201, None),
        (record("key too", "transfers", body, key="key too"), 400, "malformed"),
        (record("dry run", "transfers", body, dry_run=True), 400, "malformed"),
        (record("field", "transfers", {**body, "amount": 1.5}), 400, "malformed"),
        (record("no route", "nothing", body), 404, "no_route"),
        (record("batch", "batches", body), 404, "no_route"),
        (record("escaped", "accounts/%61/deposits", body), 400, "malformed"),
        (transfer("unknown", nobody, target), 404, "unknown"),
        (transfer("poor", source, target, "1000.00"), 422, "below_minimum"),
        (record("stale", "transfers", {**body, "expected_versions": {source: 99}}), 409, "versions_stale"),
        (record("match", f"accounts/{source}/freeze", {"reason": "x"}, if_match='"99"'), 412, "version_stale"),
        (raw("x" * 255, good), 201, None),
    ]
    unanswered = [
        (good, []),
        (good, [("idempotency-key", b"x" * 256)]),
        (good, [("idempotency-key", b"a"), ("idempotency-key", b"b")]),
    ]
    with sender.executing():
        sender.send(*unanswered)
        answers = sender.answer_to(*[one for one, *_ in expected])
        [last] = sender.answer_to(transfer("last", source, target))
    assert [(a["key"], a["status"], a["body"].get("code")) for a in answers] == [
        (dict(headers)["idempotency-key"].decode(), status, code) for (_, headers), status, code in expected
    ]
    assert last["status"] == 201
    assert balances(database18)[target] == 3_00
    assert "3 records without one header idempotency-key" in caplog.text
    assert "commands were not decided: " in caplog.text
    assert "Ada" not in caplog.text
    verified(database18)


def test_headers_that_other_clients_write_stop_nothing(
    database18: Database, client_by_topic: ByTopic, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker takes names that are not UTF-8, and headers without a value. One record must not stop all topics."""
    source, target = two_accounts(database18)
    value, headers = transfer("named", source, target)
    records: list[Record] = [
        (value, [(NotUtf8("before"), b"1"), *headers, (NotUtf8("after"), NoValue())]),
        (value, [("idempotency-key", NoValue())]),
        (value, [("café", "é".encode()), ("idempotency-key", b"last")]),
    ]
    with client_by_topic.executing():
        client_by_topic.send(*records)
        answers = client_by_topic.wait_for(2)
    assert [key for key, _ in answers] == ["named", "last"]
    assert balances(database18)[target] == 2_00
    assert "1 records without one header idempotency-key" in caplog.text


def test_the_file_of_tokens_says_what_a_principal_may(database18: Database, client_by_topic: ByTopic) -> None:
    source, target = two_accounts(database18)
    sender = client_by_topic
    number = iter(range(1_000))

    def status() -> tuple[int, str | None]:
        [answer] = sender.answer_to(transfer(f"key-{next(number)}", source, target, "0.01"))
        return answer["status"], answer["body"].get("code")

    def becomes(status_and_code: tuple[int, str | None]) -> None:
        wait_until(lambda: status() == status_and_code, f"{status_and_code}: the file is read within a second")

    with sender.executing():
        assert status() == (201, None)
        sender.may("report", "audit")
        becomes((403, "forbidden"))
        sender.may("report", "command")
        becomes((201, None))
        sender.may("command", expires="2026-01-01T00:00:00Z")
        becomes((401, "token_expired"))
        sender.may()
        becomes((401, "unauthenticated"))
    verified(database18)


# ------------------------------------------------------------------ topics


def test_the_topics_are_made_and_read_on_after_a_restart(database18: Database, kafka: Kafka, tmp_path: Path) -> None:
    source, target = two_accounts(database18)
    sender = ByTopic(database18, kafka, tmp_path / "tokens.json")

    def there() -> bool:
        with closing(client.admin(sender.settings)) as admin:
            return topics.described(admin, sender.answers) is not None

    with sender.executing():
        wait_until(there, "the topics")
        sender.answer_to(transfer("first", source, target))
    sender.send(transfer("second", source, target))
    with sender.executing():
        assert [key for key, _ in sender.wait_for(2)] == ["first", "second"]


@pytest.mark.parametrize(
    ("partitions", "settings", "sentence"),
    [(2, {}, "has 2 partitions and needs 1"), (1, {"compression.type": "producer"}, "compression.type is producer")],
)
def test_a_topic_that_does_not_fit_is_not_read(
    database18: Database,
    kafka: Kafka,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    partitions: int,
    settings: dict[str, str],
    sentence: str,
) -> None:
    """It is said once, and the topics of others are read."""
    source, target = two_accounts(database18)
    sender = ByTopic(database18, kafka, tmp_path / "tokens.json")
    wrong = f"{sender.principal}-wrong"
    topic = topics.commands_topic("main", wrong)
    sender.make_topics()
    with closing(client.admin(sender.settings)) as admin:
        admin.create_topics(
            [NewTopic(topic.name, partitions, 1, topic_configs={**topic.settings, **settings})], timeout_ms=10_000
        )
    sender.more = {"kafka_principals": f"{wrong},{sender.principal}"}
    with sender.executing():
        [answer] = sender.answer_to(transfer("one", source, target))
        assert answer["status"] == 201
    assert caplog.text.count(sentence) == 1


def test_a_topic_that_is_deleted_while_it_is_read_is_made_anew(
    database18: Database, client_by_topic: ByTopic, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = two_accounts(database18)
    sender = client_by_topic
    with sender.executing():
        first = [transfer(f"first-{n}", source, target) for n in range(3)]
        sender.answer_to(*first)
        with closing(client.admin(sender.settings)) as admin:
            was = topics.identity(admin, sender.commands)
            admin.delete_topics([sender.commands], timeout_ms=10_000)

            def made_anew() -> bool:
                found = topics.described(admin, sender.commands)
                return found is not None and str(found["topic_id"]) != was.topic_id

            wait_until(made_anew, "the new topic")
        sender.answer_to(first[0], transfer("second", source, target))
    assert balances(database18)[target] == 4_00
    assert "read from the beginning" in caplog.text or "Kafka cannot be used" in caplog.text
    assert len({value for key, value in sender.answered() if key == "first-0"}) == 1


@pytest.mark.parametrize(
    ("offset", "same_topic", "sentence"),
    [(99, True, "ends at offset 1, and was read up to 99"), (1, False, "from offset 0 on")],
)
def test_where_the_offset_does_not_fit_a_topic_is_read_from_its_beginning(
    database18: Database,
    client_by_topic: ByTopic,
    caplog: pytest.LogCaptureFixture,
    offset: int,
    same_topic: bool,
    sentence: str,
) -> None:
    """It is behind the end, or of a topic that was deleted. What was carried out is answered again."""
    caplog.set_level(logging.INFO, "workers")
    source, target = two_accounts(database18)
    sender = client_by_topic
    with sender.executing():
        sender.answer_to(transfer("one", source, target))
    with closing(client.admin(sender.settings)) as admin:
        topic_id = topics.identity(admin, sender.commands).topic_id
    at = TopicPartition(sender.commands, 0)
    with closing(client.consumer(sender.settings, group_id=reading.group_of("main"))) as consumer:
        consumer.commit({at: OffsetAndMetadata(offset, topic_id if same_topic else "another", -1)})
    caplog.clear()
    with sender.executing():
        first, again = sender.wait_for(2)
    assert first == again
    assert sentence in caplog.text


@pytest.mark.parametrize(("size", "fits"), [(1_000_000, True), (50_000_000, False)])
def test_a_record_cannot_be_compressed_into_a_bomb(client_by_topic: ByTopic, size: int, fits: bool) -> None:
    """The broker measures what it stores, which is not compressed."""
    options = client.connection_options(client_by_topic.settings)
    with closing(KafkaProducer(**options, compression_type="gzip", max_request_size=100_000_000)) as producer:
        sent = producer.send(client_by_topic.commands, b" " * size)
        if fits:
            sent.get(timeout=30)
        else:
            with pytest.raises(MessageSizeTooLargeError):
                sent.get(timeout=30)


# ------------------------------------------------------------------ the database


def test_it_goes_on_after_the_database_ended_its_sessions(database18: Database, client_by_topic: ByTopic) -> None:
    source, target = two_accounts(database18)
    sender = client_by_topic
    with sender.executing():
        sender.answer_to(transfer("one", source, target))
        with psycopg.connect(database18.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'daybook-topics%'"
            )
        sender.send(transfer("two", source, target))
        wait_until(lambda: "two" in dict(sender.answered()), "the answer")
    assert orjson.loads(dict(sender.answered())["two"])["status"] == 201
    assert balances(database18)[target] == 2_00


def test_many_commands_are_appended_in_groups(database18: Database, client_by_topic: ByTopic) -> None:
    with ledger_on(database18) as ledger:
        accounts = [account_with_money(ledger) for _ in range(50)]
    sender = client_by_topic
    sender.send(*[transfer(f"k{n}", accounts[n % 50], accounts[(n + 1) % 50], "0.01") for n in range(1_000)])
    with sender.executing():
        sender.wait_for(1_000)
    with psycopg.connect(database18.url) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT recorded_at), count(*) FROM log.commands WHERE actor = %s", (sender.principal,)
        ).fetchone()
    assert row is not None
    groups, commands = row
    assert commands == 1_000
    assert groups <= 20


def account_with_money(ledger: Ledger) -> str:
    return ledger.account(balance=1_000_00)
