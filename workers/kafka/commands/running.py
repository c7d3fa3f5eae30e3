"""The process that executes commands by topic: `daybook execute-from-kafka`.

It reads records, executes them, writes the answers, and only then keeps how far it read. So a crash in between repeats
commands, and their keys answer them with what is recorded: one effect, and the same answer to the byte (ADR 0035).

One process at a time reads a topic: it owns an advisory lock in the log's database, and another takes over once that
session ends. The lock keeps the order and saves work; two readers at once do no harm.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event
from time import monotonic
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from msgspec.structs import replace
from psycopg import Connection

from api import registry
from api.commands.windows import problem_line
from api.gateway.problems import Problem, problem
from api.gateway.routes import RouteTable
from api.gateway.tokens_file import PrincipalsFile
from api.services import CommandServices
from domain.kernel import Principal
from domain.registry import RULES
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.log.numbers import Numbers
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect, pool_of
from eventstore.postgres.ownership import Ownership, Purpose
from projections.engine.follow import IDLE_POLL_SECONDS, PAUSED_SECONDS, end_when_silent
from projections.engine.outage import Outage
from workers.clock_and_ids import new_id, now
from workers.composition import write_side
from workers.kafka import client
from workers.kafka.commands.execution import Replies, TopicExecution
from workers.kafka.commands.reading import Page, TopicReader
from workers.kafka.commands.records import NAMED_KEY, commands_of
from workers.kafka.outage import KafkaOutage
from workers.kafka.publishing.publisher import FLUSH_SECONDS, dispose
from workers.metrics.serving import metrics_served
from workers.metrics.sources import TopicCounts, of_executor
from workers.outages import through_outages
from workers.settings import Settings, SettingsError, variable
from workers.tuning import tune_for_commands

logger = logging.getLogger(__name__)

EXECUTING: Final = Purpose("execute", "topic", "daybook_api")
LOOK_SECONDS: Final = 1.0
"""How often the lock is checked, topics of ended processes are taken over, and deleted topics are noticed."""
FLUSH_PART_SECONDS: Final = 5.0
"""While Kafka keeps the answers waiting, the session that has the lock shows this often that it lives."""
NUMBERS_SECONDS, STATEMENT_SECONDS = 5.0, 30.0
"""Seconds that an account number may be waited for."""

OnStep = Callable[[str], None]


def execute_from_kafka(settings: Settings) -> None:
    """Execute the commands of the topics of the settings until SIGTERM or SIGINT.

    Raises `SettingsError`, `TokensError`, `DatabaseAwayError`, `UnknownLogError`, and `StoppedError` after an error in
    Daybook that ended the executor.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it stands for a new file of tokens, which is read within a second
    client.prepare_process(settings)
    execute_until(settings, stop)


def execute_until(
    settings: Settings, stop: Event, *, on_step: OnStep = lambda step: None, paused_seconds: float = PAUSED_SECONDS
) -> None:
    """Execute until `stop` is set. `on_step` is called with the name of each step, before it, for tests."""
    if not settings.kafka_principals:
        raise SettingsError(
            f"{variable('kafka_principals')} is not set: set it to the principals that send commands by topic"
        )
    find = _principals(settings)
    counts = TopicCounts()
    kafka = KafkaOutage("commands by topic", "no command is executed", stop)

    def run_connected(database: Outage) -> None:
        with _services(settings) as served, asyncio.Runner() as runner:
            sources = [of_executor(served.executor, RULES), counts.read]
            with metrics_served(settings, sources):
                execution = TopicExecution(served, RouteTable(registry.routes()), settings.body_limit_bytes)
                carry_out = _Execution(execution, runner, find, counts)
                _run_connected(settings, stop, carry_out, database, kafka, on_step, paused_seconds)

    through_outages(settings, stop, run_connected)


def _run_connected(
    settings: Settings,
    stop: Event,
    execution: _Execution,
    database: Outage,
    kafka: KafkaOutage,
    on_step: OnStep,
    paused_seconds: float,
) -> None:
    """Execute until `stop` is set, through failures of Kafka. Raises `TRANSIENT` errors of the database."""
    tune_for_commands()
    while not stop.is_set():
        try:
            with connect(settings.api_url(), application_name="daybook-topics-lock") as connection:
                session = _Session(settings, connection, execution, stop, on_step, paused_seconds)
                session.run(database, kafka)
        except KafkaError as error:
            kafka.failed(error)


@contextmanager
def _services(settings: Settings) -> Iterator[CommandServices]:
    url = settings.api_url()
    with (
        write_side(settings, "daybook-topics") as side,
        pool_of(
            url,
            application_name="daybook-topics-numbers",
            most=1,
            wait_seconds=NUMBERS_SECONDS,
            statement_seconds=STATEMENT_SECONDS,
        ) as numbers,
    ):
        yield CommandServices(
            log=side.log,
            log_number=side.log_number,
            executor=side.executor,
            commands=AsyncExecutor(side.executor, settings.principal_limit),
            numbers=Numbers(numbers.connection),
            new_id=new_id,
            clock=now,
        )


Find = Callable[[str], Principal | Problem]
"""Finds the principal of a topic by its id."""


def _principals(settings: Settings) -> Find:
    """Raises `TokensError`, and `OSError` if the file of tokens cannot be read."""
    if settings.auth == "off":
        return lambda id: Principal(id, ("operator",), "topic")
    file = PrincipalsFile(settings.tokens_file, now)

    def find(id: str) -> Principal | Problem:
        found = file.named(id)
        return found if isinstance(found, Problem) else replace(found, how="topic")

    return find


class _Execution:
    """Executes pages of records, and says in the messages what was left out or refused."""

    def __init__(self, execution: TopicExecution, runner: asyncio.Runner, find: Find, counts: TopicCounts) -> None:
        self._execution = execution
        self._runner = runner
        self._find = find
        self._counts = counts

    def execute(self, pages: Sequence[Page], check: Callable[[], object]) -> list[Replies]:
        """Execute the records of each page in order. The pages are executed together."""
        return self._runner.run(self._together(pages, check))

    async def _together(self, pages: Sequence[Page], check: Callable[[], object]) -> list[Replies]:
        results = await asyncio.gather(*[self._one(page, check) for page in pages], return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Replies)]

    async def _one(self, page: Page, check: Callable[[], object]) -> Replies:
        commands = commands_of(page.records)
        replies = await self._execution.execute(self._find(page.principal), page.topic, commands, check)
        if left_out := len(page.records) - len(commands):
            logger.warning(
                "topic %s, up to offset %d: %d records without %s were left out, and cannot be answered",
                page.topic,
                page.upto - 1,
                left_out,
                NAMED_KEY,
            )
        if replies.refused:
            codes = ", ".join(f"{number} {code}" for code, number in sorted(replies.refused.items()))
            logger.warning("topic %s, up to offset %d: commands were not decided: %s", page.topic, page.upto - 1, codes)
        self._counts.answered += len(commands)
        self._counts.left_out += left_out
        return replies


class _Session:
    """Executes over one connection to the database, which has the locks."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection[Any],
        execution: _Execution,
        stop: Event,
        on_step: OnStep,
        paused_seconds: float,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._execution = execution
        self._stop = stop
        self._on_step = on_step
        self._paused_seconds = paused_seconds
        number = read_head(connection, settings.log).log_number
        self._ownership = Ownership(connection, EXECUTING, number, settings.kafka_principals)
        end_when_silent(connection, paused_seconds)

    def run(self, database: Outage, kafka: KafkaOutage) -> None:
        """Execute as the owner of topics, until told to stop. Raises what fails."""
        if not self._ownership.wait(self._stop, IDLE_POLL_SECONDS, self._paused_seconds, database.ended):
            return
        with ExitStack() as opened:
            producer = client.producer(self._settings)
            opened.callback(dispose, producer)
            reader = TopicReader(self._settings, opened)
            look_at = 0.0
            while not self._stop.is_set():
                if monotonic() >= look_at:
                    self._take_over()
                    reader.look(self._ownership.owned)
                    database.ended()
                    kafka.ended()
                    look_at = monotonic() + LOOK_SECONDS
                if pages := reader.poll():
                    self._carry_out(pages, reader, producer)
                elif not reader.reads:
                    self._stop.wait(IDLE_POLL_SECONDS)

    def _take_over(self) -> None:
        """Check that the locks are still held, and get those of processes that have ended."""
        self._lives()
        self._ownership.acquire()
        self._ownership.end_silent(self._paused_seconds)

    def _lives(self) -> None:
        """Raise if the session of the locks has ended: another process may own the topics now."""
        self._connection.execute("SELECT 1")

    def _carry_out(self, pages: Sequence[Page], reader: TopicReader, producer: KafkaProducer) -> None:
        self._on_step("execute")
        replies = self._execution.execute(pages, self._lives)
        self._on_step("answer")
        sent = [
            answer(producer, page.answers_topic, key, value)
            for page, found in zip(pages, replies, strict=True)
            for key, value in found.answers
        ]
        self._flush(producer)
        for future in sent:
            if future.failed():
                raise future.exception
        self._on_step("keep")
        self._lives()
        reader.keep(pages)
        self._on_step("kept")

    def _flush(self, producer: KafkaProducer) -> None:
        """Wait until the answers are there or have failed. Raises `KafkaTimeoutError`."""
        until = monotonic() + FLUSH_SECONDS
        while True:
            try:
                producer.flush(FLUSH_PART_SECONDS)
            except KafkaTimeoutError:
                if monotonic() >= until:
                    raise
                self._lives()
            else:
                return


def answer(producer: KafkaProducer, topic: str, key: str, value: bytes) -> Any:
    """Send an answer. One that is too large for a record is replaced by a problem that says where it can be read."""
    try:
        return producer.send(topic, value, key.encode(), partition=0)
    except MessageSizeTooLargeError:
        detail = f"The answer has {len(value)} bytes, too many for a record; read it with GET /v1/commands."
        message = problem("too_large", detail, {"bytes": len(value)})
        return producer.send(topic, problem_line(key, topic, message), key.encode(), partition=0)
