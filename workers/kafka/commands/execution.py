"""Executes the records of a topic in order, as the items of a batch are, and makes the answers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.commands.batch_items import Items, RefusedItem
from api.commands.execution import problem_of
from api.commands.routes import Caller
from api.commands.windows import WINDOW, Answered, Prepared, executed, rendered, windows_of
from api.gateway.problems import Problem, problem, too_large
from api.gateway.routes import RouteTable
from api.services import CommandServices
from domain.kernel import Context, Principal
from eventstore.executor.reply_sinks import ExecutorError, StoppedError
from eventstore.log.answers import Answer, Outcome
from eventstore.tracebacks import traceback_of
from workers.kafka.commands.records import Command

logger = logging.getLogger(__name__)

MOST_ATTEMPTS: Final = 5
"""How often a command without an answer is tried while the database answers. Then its client has to send it again."""
FIRST_PAUSE_SECONDS: Final = 0.1
_AGAIN: Final = frozenset({"unavailable", "busy", "too_many"})
"""Codes of problems that another try may end."""


@dataclass(frozen=True, slots=True)
class Replies:
    """The answers to commands, each with its key, in their order. `refused` counts those that were not decided."""

    answers: Sequence[tuple[str, bytes]]
    refused: Counter[str]  # by the code of the problem


class TopicExecution:
    """Executes the commands of topics. For one event loop."""

    def __init__(self, served: CommandServices, routes: RouteTable, most_bytes: int) -> None:
        """`most_bytes` is the size of the largest value, as of a body in HTTP."""
        self._served = served
        self._routes = routes
        self._most_bytes = most_bytes

    async def execute(
        self, principal: Principal | Problem, topic: str, commands: Sequence[Command], check: Callable[[], object]
    ) -> Replies:
        """Execute the commands in order. `principal` is who sends them, or why nobody may.

        `check` raises if the database does not answer; it is called before a command is tried again. Raises
        `StoppedError` if the executor does not run.
        """
        if isinstance(principal, Problem):
            return self._refuse_all(principal, topic, commands)
        served = self._served
        caller = Caller(served, principal, Context(served.clock(), served.log, principal))
        items = Items(caller, self._routes, topic, {}, address=topic, correlation=None)
        answers: dict[int, bytes] = {}
        refused: Counter[str] = Counter()
        waiting, attempts = commands, 0
        while waiting:
            attempts += 1
            results = await self._attempt(caller, items, topic, waiting)
            again = [command for command, one in results if attempts < MOST_ATTEMPTS and _code_of(one) in _AGAIN]
            later = {command.offset for command in again}
            for command, one in results:
                if command.offset not in later:
                    answers[command.offset] = rendered(served, one, marks_replays=False)
                    refused.update(_refusal_of(one))
            waiting = again
            if again:
                check()
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempts - 1))
        return Replies([(command.key, answers[command.offset]) for command in commands], refused)

    def _refuse_all(self, why: Problem, topic: str, commands: Sequence[Command]) -> Replies:
        message = problem(why.code, why.detail, why.figures)
        refused = [RefusedItem(command.key, topic, message) for command in commands]
        answers = [rendered(self._served, (item, None), marks_replays=False) for item in refused]
        return Replies([(c.key, a) for c, a in zip(commands, answers, strict=True)], Counter({why.code: len(answers)}))

    async def _attempt(
        self, caller: Caller, items: Items, topic: str, commands: Sequence[Command]
    ) -> list[tuple[Command, Answered]]:
        answered: list[Answered] = []
        async for window in executed(caller, self._prepared(items, topic, commands)):
            answered += window
        for _, answer in answered:
            if isinstance(answer, StoppedError):
                raise answer
        return list(zip(commands, answered, strict=True))

    async def _prepared(self, items: Items, topic: str, commands: Sequence[Command]) -> AsyncIterator[list[Prepared]]:
        most, at = min(WINDOW, self._served.commands.most_together), 0
        for raw in windows_of([command.value for command in commands], most):
            yield await self._prepare(items, topic, commands[at : at + len(raw)])
            at += len(raw)

    async def _prepare(self, items: Items, topic: str, commands: Sequence[Command]) -> list[Prepared]:
        fitting = [command for command in commands if len(command.value) <= self._most_bytes]
        ready = iter(await _prepared_each(items, topic, fitting))
        return [
            next(ready) if len(command.value) <= self._most_bytes else self._oversized(command, topic)
            for command in commands
        ]

    def _oversized(self, command: Command, topic: str) -> RefusedItem:
        why = too_large(self._most_bytes, "The record's value")
        return RefusedItem(command.key, topic, problem(why.code, why.detail, why.figures))


async def _prepared_each(items: Items, topic: str, commands: Sequence[Command]) -> list[Prepared]:
    """Prepare commands together. If one of them meets an error in Daybook, each is prepared alone."""
    try:
        return list(await items.prepare([c.value for c in commands], keys=[c.key for c in commands]))
    except Exception as fault:  # the records behind it must not wait for a new version of Daybook
        if len(commands) == 1:
            logger.error("%s: the record at offset %d failed with %s", topic, commands[0].offset, traceback_of(fault))
            message = problem("internal", "Something went wrong here; it has been logged.")
            return [RefusedItem(commands[0].key, topic, message)]
        return [one for command in commands for one in await _prepared_each(items, topic, [command])]


def _code_of(answered: Answered) -> str | None:
    """The code of the problem of a command that was not decided; None for one that was."""
    item, answer = answered
    if isinstance(item, RefusedItem):
        code: str = item.problem["code"]
        return code
    return problem_of(answer).code if isinstance(answer, ExecutorError) else None


def _refusal_of(answered: Answered) -> dict[str, Any]:
    """What is counted of an answer: a command that was not decided, or that the principal may not send."""
    answer = answered[1]
    forbidden = isinstance(answer, Answer) and answer.outcome is Outcome.FORBIDDEN
    code = "forbidden" if forbidden else _code_of(answered)
    return {} if code is None else {code: 1}
