"""Turns the items of a batch, or of a topic, into submissions.

An item has the path, key, `If-Match` and body of a single request. By topic, its key comes beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

import psycopg
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.commands.execution import actor_of, checked_key, expected_of, metadata_of, request_hash, submission_of
from api.commands.routes import Caller, CommandRoute, Intent, command_of, validator_of
from api.gateway.problems import Problem, malformed, problem, unavailable
from api.gateway.request_guard import UnkeptError, parse_each
from api.gateway.request_heads import escaped_command
from api.gateway.request_traces import times_of
from api.gateway.routes import RouteTable
from domain.registry import unwrapped
from eventstore.executor.decided_commands import Submission
from eventstore.log.metadata import Shared, with_key, without_key

A = TypeVar("A")
B = TypeVar("B")


class Item(BaseModel):
    """One command of a batch."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "key": "payout-4711",
                    "path": "/v1/transfers",
                    "body": {
                        "source": "acct_01h455vb4pex5vsknk084sn02q",
                        "target": "acct_01h455vb4pex5vsknk084sn02r",
                        "amount": "12.30",
                        "currency": "EUR",
                    },
                }
            ]
        },
    )

    path: Annotated[str, Field(max_length=500, description="The path of a single request with this command")]
    key: Annotated[
        str | None, Field(max_length=255, description="The Idempotency-Key of the item; left out in an atomic batch")
    ] = None
    if_match: Annotated[str | None, Field(max_length=30, description="The If-Match of the item")] = None
    body: dict[str, Any] = {}


class Ready(Struct):
    """An item that is ready to be executed."""

    key: str
    path: str
    intent: Intent
    submission: Submission


class RefusedItem(Struct):
    """An item that is refused before it is executed."""

    key: str | None
    path: str
    problem: dict[str, Any]


class _Checked(Struct):
    """An item with a valid path, key and body."""

    item: Item
    route: CommandRoute
    names: Mapping[str, str]
    body: BaseModel


class Items:
    """Makes submissions from the items that came together."""

    def __init__(
        self,
        caller: Caller,
        routes: RouteTable,
        origin: str,
        state: Mapping[str, Any],
        *,
        address: str,
        correlation: str | None,
        dry_run: bool = False,
    ) -> None:
        """`state` is that of the request. `address` is where the items came to.

        `correlation` is that of all items; without one, each item is a command of its own, and its key is used.
        """
        self._caller = caller
        self._state = state
        self._routes = routes
        self._origin = origin
        self._address = address
        self._dry_run = dry_run
        self._correlation = correlation
        self._shared: dict[type, Shared] = {}  # by class of command: the metadata without the key
        self.forbidden = 0  # number of items that the principal may not post

    async def prepare(
        self, raw: Sequence[bytes], *, keyed: bool = True, keys: Sequence[str] | None = None
    ) -> list[Ready | RefusedItem]:
        """Parse and validate each of these items like a single request. `keyed`: whether each has its own key.

        `keys` are their keys if those came beside the items. Then no item names one itself.

        Each step uses another library, so it is done for all items before the next step. With all steps for one item
        after the other, the libraries would evict each other from the caches of the processor, and the work would take
        50 % more time.
        """
        parsed = [self._unkept(one) if isinstance(one, UnkeptError) else one for one in parse_each(raw)]
        items = _each(_item, parsed, self._address)
        if keys is not None:
            items = [_with_key(item, key) for item, key in zip(items, keys, strict=True)]
        checked = _each(partial(self._check, keyed=keyed), items, self._address, lambda item: item)
        ready: list[Ready | RefusedItem] = []
        for one in checked:
            if isinstance(one, RefusedItem):
                ready.append(one)
                continue
            try:
                built = one.route.build(self._caller, body=one.body, **one.names)
                ready.append(self._ready(one, built if isinstance(built, Intent) else await built))
            except Problem as message:
                self.forbidden += message.code == "forbidden"
                ready.append(_refused(message, one.item, self._address))
            except psycopg.OperationalError as error:  # the database could not give a number for an account
                ready.append(_refused(unavailable(error), one.item, self._address))
        return ready

    def _unkept(self, error: UnkeptError) -> RefusedItem:
        return _refused(Problem("malformed", f"{error}.", **(error.figures or {})), None, self._address)

    def _check(self, item: Item, *, keyed: bool) -> _Checked:
        if keyed:
            checked_key(item.key)
        elif item.key is not None:
            raise Problem("malformed", "key: an atomic batch has one key, the Idempotency-Key of its request.")
        if "%" in item.path:
            code, detail, _ = escaped_command(item.path)
            raise Problem(code, detail)
        command = command_of(self._routes.find(item.path))
        if command is None:
            raise Problem("no_route", f"No command is posted to {item.path[:100]!r}; see /docs.")
        route, names = command
        if route.secret:
            raise Problem("malformed", f"A command to {item.path[:100]!r} has a secret; send it alone.")
        return _Checked(item=item, route=route, names=names, body=route.validate(item.body))

    def _ready(self, checked: _Checked, intent: Intent) -> Ready:
        item = checked.item
        submission = submission_of(
            self._caller,
            intent,
            key=item.key or "",
            digest=request_hash(item.path, item.if_match, item.body),
            recorded=self._metadata(intent.command, item.key or ""),
            expected=expected_of(intent, checked.body, item.if_match),
            status=checked.route.status,
            if_match=item.if_match is not None,
            origin=self._origin,
            dry_run=self._dry_run,
            times=None if item.key is None else times_of(self._state, intent.command),  # the keyless are one command
        )
        return Ready(key=item.key or "", path=item.path, intent=intent, submission=submission)

    def _metadata(self, command: Any, key: str) -> bytes:
        if self._correlation is None:
            return metadata_of(self._caller, command, key)
        kind = type(unwrapped(command))
        shared = self._shared.get(kind)
        if shared is None:
            context = self._caller.context
            shared = without_key(
                actor=actor_of(self._caller.principal),
                command=kind.__name__,
                decided_at=context.decided_at,
                rules=context.rules,
                correlation=self._correlation,
            )
            self._shared[kind] = shared
        return with_key(shared, key)


_item = validator_of(Item)


def _with_key(item: Item | RefusedItem, key: str) -> Item | RefusedItem:
    """The item with a key that came beside it."""
    if isinstance(item, RefusedItem):
        return RefusedItem(key, item.path, item.problem)
    if item.key is not None:
        given = problem("malformed", "key: the key of this command comes beside it; leave it out here.")
        return RefusedItem(key, item.path, given)
    item.key = key
    return item


def _each(
    step: Callable[[A], B],
    given: Iterable[A | RefusedItem],
    address: str,
    item_of: Callable[[A], Item | None] = lambda _: None,
) -> list[B | RefusedItem]:
    """Apply a step to each item that is not refused yet. An error of the step makes the item a refused one."""
    results: list[B | RefusedItem] = []
    for one in given:
        if isinstance(one, RefusedItem):
            results.append(one)
            continue
        try:
            results.append(step(one))
        except (ValidationError, Problem) as error:
            results.append(_refused(error, item_of(one), address))
    return results


def _refused(error: ValidationError | Problem, item: Item | None, address: str) -> RefusedItem:
    message = (
        problem(error.code, error.detail, error.figures)
        if isinstance(error, Problem)
        else malformed(error.errors(include_url=False, include_context=False))
    )
    return RefusedItem(None, address, message) if item is None else RefusedItem(item.key, item.path, message)
