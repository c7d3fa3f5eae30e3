"""The records of commands by topic: which can be answered, and what is answered where a command was not decided."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import orjson
import pytest
from kafka.errors import MessageSizeTooLargeError

from api import registry
from api.commands.batch_items import Items
from api.gateway.principals import FixedPrincipals, TokenHolder
from api.gateway.problems import Problem
from api.gateway.routes import RouteTable
from api.services import CommandServices
from domain.kernel import Principal
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.executor.reply_sinks import ExecutorError, FaultError, QueueFullError, StoppedError, UnavailableError
from eventstore.executor.statistics import Statistics
from eventstore.log.answers import ACCEPTED, Answer
from tests.support.ledger import NOW, new_id
from workers.kafka.commands import execution, running
from workers.kafka.commands.execution import MOST_ATTEMPTS, Replies, TopicExecution
from workers.kafka.commands.records import Command, commands_of, key_of
from workers.kafka.topics import _fits, answers_topic, commands_topic
from workers.settings import Settings, SettingsError, load

TOPIC = "daybook.main.commands.importer"
ROUTES = RouteTable(registry.routes())
PRINCIPAL = Principal("importer", ("command",), "topic")
A, B = "acct_01h455vb4pex5vsknk084sn02q", "acct_01h455vb4pex5vsknk084sn02r"
TRANSFER = {"source": A, "target": B, "amount": "1.00", "currency": "EUR"}


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize("key", ["k", "x" * 255, "with a space", "~"])
def test_the_key_is_a_header(key: str) -> None:
    assert key_of([("other", b"x"), ("idempotency-key", key.encode())]) == key
    assert key_of([("Idempotency-Key", key.encode())]) == key


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("idempotency-key", None)],
        [("idempotency-key", b"")],
        [("idempotency-key", b"x" * 256)],
        [("idempotency-key", b" k")],
        [("idempotency-key", b"k\n")],
        [("idempotency-key", "schlüssel".encode())],
        [("idempotency-key", b"k"), ("idempotency-key", b"k")],
        [("idempotency-key", b"k"), ("Idempotency-Key", b"l")],
    ],
)
def test_a_record_without_one_valid_key_cannot_be_answered(headers: list[tuple[str, bytes | None]]) -> None:
    assert key_of(headers) is None


class _Record(NamedTuple):
    offset: int
    headers: list[tuple[str, bytes]]
    value: bytes | None


def test_records_with_a_key_are_commands_in_their_order() -> None:
    key = [("idempotency-key", b"k")]
    records = [_Record(3, key, b"{}"), _Record(4, [], b"{}"), _Record(7, key, None)]
    assert commands_of(records) == [Command(3, "k", b"{}"), Command(7, "k", b"")]


# ------------------------------------------------------------------ execution


class _Executor:
    """Answers each submission with what comes next for its key; without that, it accepts."""

    queue_limit = 100

    def __init__(self, coming: dict[str, list[Any]]) -> None:
        self.coming = coming
        self.submitted: list[str] = []
        self.statistics = Statistics()

    def submit_all(self, submissions: Sequence[Any], sink: Any) -> None:
        results = []
        for number, one in enumerate(submissions):
            self.submitted.append(one.key)
            left = self.coming.get(one.key)
            results.append((number, left.pop(0) if left else accepted()))
        sink.deliver(results)


def accepted() -> Answer:
    return Answer(
        outcome=ACCEPTED,
        code=201,
        rule=None,
        result={"versions": {}},
        decided_position=7,
        first_position=8,
        last_position=9,
        epoch=1,
        stored=b'{"versions":{}}',
    )


def command(offset: int, key: str, body: dict[str, Any] | None = None, path: str = "/v1/transfers") -> Command:
    return Command(offset, key, orjson.dumps({"path": path, "body": TRANSFER if body is None else body}))


def execute(
    executor: _Executor,
    *commands: Command,
    principal: Principal | Problem = PRINCIPAL,
    most_bytes: int = 1_000,
    check: Any = lambda: None,
) -> Replies:
    async def run() -> Replies:
        served = CommandServices(
            log="main",
            log_number=1,
            executor=executor,  # type: ignore[arg-type]
            commands=AsyncExecutor(executor),  # type: ignore[arg-type]
            numbers=None,  # type: ignore[arg-type]
            new_id=new_id,
            clock=lambda: NOW,
        )
        return await TopicExecution(served, ROUTES, most_bytes).execute(principal, TOPIC, commands, check)

    return asyncio.run(run())


def statuses(replies: Replies) -> list[tuple[str, int, str | None]]:
    return [
        (key, (found := orjson.loads(value))["status"], found["body"].get("code")) for key, value in replies.answers
    ]


def test_commands_are_submitted_in_order_and_answered_in_order() -> None:
    executor = _Executor({})
    replies = execute(executor, command(0, "a"), Command(1, "b", b"nonsense"), command(2, "c"))
    assert executor.submitted == ["a", "c"]
    assert statuses(replies) == [("a", 201, None), ("b", 400, "malformed"), ("c", 201, None)]
    assert replies.refused == {"malformed": 1}


def test_a_value_has_the_bound_of_a_body() -> None:
    fits = command(0, "a")
    larger = Command(1, "b", fits.value + b" ")
    replies = execute(_Executor({}), fits, larger, most_bytes=len(fits.value))
    assert statuses(replies) == [("a", 201, None), ("b", 413, "too_large")]


def test_the_key_is_not_named_in_the_value_too() -> None:
    twice = Command(0, "a", orjson.dumps({"path": "/v1/transfers", "body": TRANSFER, "key": "a"}))
    assert statuses(execute(_Executor({}), twice)) == [("a", 400, "malformed")]


@pytest.mark.parametrize("error", [UnavailableError("lost"), QueueFullError("full")])
def test_a_command_without_an_answer_is_tried_again_alone(
    error: ExecutorError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "FIRST_PAUSE_SECONDS", 0)
    checked: list[int] = []
    executor = _Executor({"b": [error, error]})
    replies = execute(executor, *[command(n, key) for n, key in enumerate("abc")], check=lambda: checked.append(1))
    assert executor.submitted == ["a", "b", "c", "b", "b"]
    assert statuses(replies) == [(key, 201, None) for key in "abc"]
    assert len(checked) == 2


def test_a_command_that_never_gets_an_answer_does_not_block_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "FIRST_PAUSE_SECONDS", 0)
    executor = _Executor({"a": [UnavailableError("lost")] * MOST_ATTEMPTS})
    replies = execute(executor, command(0, "a"), command(1, "b"))
    assert executor.submitted.count("a") == MOST_ATTEMPTS
    assert statuses(replies) == [("a", 503, "unavailable"), ("b", 201, None)]


def test_nothing_is_tried_again_while_the_database_is_away() -> None:
    def away() -> None:
        raise ConnectionError

    executor = _Executor({"a": [UnavailableError("lost")]})
    with pytest.raises(ConnectionError):
        execute(executor, command(0, "a"), check=away)
    assert executor.submitted == ["a"]


def test_an_executor_that_has_ended_ends_the_process() -> None:
    with pytest.raises(StoppedError):
        execute(_Executor({"a": [StoppedError("over")]}), command(0, "a"))


def test_an_error_in_daybook_is_answered_and_the_next_command_is_executed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Any, item: Any, *, keyed: bool) -> Any:
        if item.key == "b":
            raise ZeroDivisionError(name)
        return real(self, item, keyed=keyed)

    name = "Ada Lovelace"
    real = Items._check
    monkeypatch.setattr(Items, "_check", broken)
    replies = execute(_Executor({"c": [FaultError("stopped")]}), *[command(n, key) for n, key in enumerate("abcd")])
    assert statuses(replies) == [("a", 201, None), ("b", 500, "internal"), ("c", 500, "internal"), ("d", 201, None)]
    assert "offset 1" in caplog.text
    assert name not in caplog.text


def test_what_a_principal_may_not_send_is_forbidden() -> None:
    reporter = Principal("importer", ("report",), "topic")
    replies = execute(_Executor({}), command(0, "a"), principal=reporter)
    assert statuses(replies) == [("a", 403, "forbidden")]


def test_every_command_of_a_topic_without_a_principal_is_refused() -> None:
    executor = _Executor({})
    replies = execute(executor, command(0, "a"), command(1, "b"), principal=Problem("token_expired", "It is over."))
    assert statuses(replies) == [("a", 401, "token_expired"), ("b", 401, "token_expired")]
    assert executor.submitted == []


class _Producer:
    def __init__(self, most: int) -> None:
        self.most = most
        self.sent: list[bytes] = []

    def send(self, topic: str, value: bytes, key: bytes, partition: int) -> None:
        if len(value) > self.most:
            raise MessageSizeTooLargeError
        self.sent.append(value)


def test_an_answer_that_is_too_large_for_a_record_is_replaced_by_a_problem() -> None:
    producer: Any = _Producer(500)
    for size in (500, 501):
        running.answer(producer, "answers", "k", b"x" * size)
    whole, problem = producer.sent
    assert whole == b"x" * 500
    assert orjson.loads(problem)["body"]["figures"] == {"bytes": 501}


# ------------------------------------------------------------------ principals, settings, topics


def test_a_principal_has_the_roles_of_its_tokens_that_are_valid() -> None:
    def holder(id: str, role: Any, seconds: int | None = None) -> TokenHolder:
        return TokenHolder(Principal(id, (role,)), None if seconds is None else NOW + timedelta(seconds=seconds))

    held = [
        holder("a", "report"),
        holder("a", "command", 1),
        holder("a", "operator", 0),
        holder("b", "audit", 0),
        holder("c", "audit", 1),
    ]
    found = FixedPrincipals({bytes([n]): one for n, one in enumerate(held)}, lambda: NOW)
    assert found.named("a") == Principal("a", ("command", "report"))
    assert found.named("c") == Principal("c", ("audit",))
    expired, unknown = found.named("b"), found.named("d")
    assert [getattr(one, "code", None) for one in (expired, unknown)] == ["token_expired", "unauthenticated"]


def test_topics_are_named_after_principals(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = "x" * 100
    monkeypatch.setenv("DAYBOOK_KAFKA_PRINCIPALS", f"a.B-9_, {longest}")
    assert load().kafka_principals == ("a.B-9_", longest)
    assert len(commands_topic("l" * 63, longest).name) <= 249
    assert answers_topic("main", "a").name == "daybook.main.answers.a"


@pytest.mark.parametrize("names", ["x" * 101, "a b", "ä", "a/b", "a.b,a_b", "a,a"])
def test_principals_that_cannot_name_topics_are_refused(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK_KAFKA_PRINCIPALS", names)
    with pytest.raises(SettingsError, match="KAFKA_PRINCIPALS"):
        load()


def test_without_principals_there_is_nothing_to_execute() -> None:
    with pytest.raises(SettingsError, match="DAYBOOK_KAFKA_PRINCIPALS is not set"):
        running.execute_until(Settings(), asyncio.Event())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "is_now", "needed", "fits"),
    [
        ("retention.ms", "7", "7", True),
        ("retention.ms", "8", "7", True),
        ("retention.ms", "6", "7", False),
        ("retention.ms", "-1", "7", True),
        ("retention.ms", "7", "-1", False),
        ("cleanup.policy", "compact", "delete", False),
        ("compression.type", "producer", "uncompressed", False),
    ],
)
def test_a_topic_may_keep_records_for_longer(name: str, is_now: str, needed: str, fits: bool) -> None:
    assert _fits(name, is_now, needed) is fits
