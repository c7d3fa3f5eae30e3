"""Workers of long batches on a running service, and a client that sends long batches to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import orjson

from api.services import CommandServices
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.executor.executor import Executor
from eventstore.postgres.connect import connect
from tests.support.ledger import codec_of
from tests.support.service import TOKENS, Service
from workers.batches.running import make_worker
from workers.batches.worker import OnStep, Worker
from workers.clock_and_ids import new_id
from workers.composition import WriteSide

CENT = {"amount": "0.01", "currency": "EUR"}
_keys = count(1)


@contextmanager
def long_batch_worker(
    service: Service,
    on_step: OnStep = lambda step: None,
    *,
    commands: Callable[[Executor], AsyncExecutor] = AsyncExecutor,
) -> Iterator[Worker]:
    """A worker with connections of its own, and the executor, clock and tokens of the service."""
    database, services = service.database, service.services
    with (
        connect(database.query_url, application_name="batches", read_only=True) as reads,
        connect(database.api_url, application_name="batches-lock") as connection,
        connect(database.api_url, application_name="batches-keys") as keys,
        asyncio.Runner() as runner,
    ):
        side = WriteSide("main", services.log_number, services.executor, codec_of(keys, services.log_number))
        served = CommandServices(
            log=side.log,
            log_number=side.log_number,
            executor=side.executor,
            commands=commands(side.executor),
            numbers=services.numbers,
            new_id=new_id,
            clock=services.clock,
        )
        principals: Any = services.principals
        yield make_worker(served, side, principals, reads, connection, runner, on_step)


def fresh(what: str) -> str:
    """A key that no other test uses."""
    return f"{what}-{next(_keys)}"


def deposit(account: str, key: str | None = None, **body: Any) -> dict[str, Any]:
    """An item that deposits a cent."""
    return {"key": key or fresh("deposit"), "path": f"/v1/accounts/{account}/deposits", "body": CENT | body}


def opened(service: Service, items: int, **more: Any) -> str:
    """A long batch that waits for its parts."""
    answer = service.post("long-batches", {"items": items}, **more)
    assert answer.status_code == 201, answer.text
    batch: str = answer.json()["batch"]
    return batch


def send_part(service: Service, batch: str, part: int, items: Sequence[Any], **more: Any) -> Any:
    """Send a part. It needs no key: its number is one."""
    token = more.get("token") or TOKENS[more.get("role", "command")]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    content = more.get("content") or orjson.dumps(list(items))
    answer = service.http.post(f"/v1/long-batches/{batch}/parts/{part}", content=content, headers=headers)
    if "Daybook-Position" in answer.headers:
        service.saw(answer.headers["Daybook-Position"])
    return answer


def sent(service: Service, items: Sequence[Any], size: int, **more: Any) -> str:
    """A long batch whose parts of so many items all came."""
    batch = opened(service, len(items), **more)
    for part, start in enumerate(range(0, len(items), size), 1):
        answer = send_part(service, batch, part, items[start : start + size], **more)
        assert answer.status_code == 201, answer.text
    return batch


def shown(service: Service, batch: str, **more: Any) -> dict[str, Any]:
    """A long batch as its sender reads it, once everything is folded."""
    wait_for_head(service)
    answer = service.get(f"long-batches/{batch}", **{"role": "command", **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def outcomes(service: Service, batch: str) -> dict[str, int]:
    """How many items have which outcome, without those that none has."""
    return {name: number for name, number in shown(service, batch)["outcomes"].items() if number}


def items_of(service: Service, batch: str, limit: int = 200, **more: Any) -> list[dict[str, Any]]:
    """What became of each item, read page by page."""
    wait_for_head(service)
    items: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = service.get(f"long-batches/{batch}/items", **{"role": "command", "limit": limit, **cursor, **more})
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        if answer.json()["next"] is None:
            return items
        cursor = {"cursor": answer.json()["next"]}


def wait_for_head(service: Service) -> None:
    """Let the next reads wait for the end of the log: a worker appended, and its answers have not come by here."""
    with connect(service.database.query_url, application_name="head", read_only=True) as connection:
        row = connection.execute("SELECT epoch, position FROM log.logs WHERE name = 'main'").fetchone()
    assert row is not None
    service.saw(f"main.{row[0]}.{row[1]}")
