"""What the API works with, handed to it from outside: it reads no settings and opens nothing of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from psycopg import Connection
from starlette.requests import HTTPConnection

from api.gateway.principals import Principals
from api.gateway.proxies import Header, Network
from api.gateway.tickets import Tickets
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.executor.executor import Executor
from eventstore.log.codec import Codec
from eventstore.log.numbers import Numbers
from projections.engine.waiting import Checkpoints


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what comes in."""

    body_bytes: int = 1024 * 1024
    body_seconds: float = 30.0  # for a body to come whole
    held_bytes: int = 256 * 1024 * 1024  # of the bodies of all requests under way, whole or not
    wait_seconds: float = 2.0  # for a `min_position`
    waiting: int = 1_000  # reads, for theirs
    followers: int = 32  # at once
    batch_bytes: int = 16 * 1024 * 1024
    batch_seconds: float = 60.0  # for its body to come whole
    batch_items: int = 10_000
    batches: int = 4  # at once
    principal_share: float = 0.5  # of `held_bytes`, `waiting`, `followers` and `batches`, for one principal

    def share_of(self, most: int) -> int:
        """What one principal may have of so many: at least one."""
        return max(1, int(most * self.principal_share))


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need."""

    log: str
    log_number: int
    executor: Executor
    commands: AsyncExecutor
    codec: Codec
    reads: Callable[[], AbstractContextManager[Connection[Any]]]  # pooled connections that cannot write
    checkpoints: Checkpoints
    numbers: Numbers
    new_id: Callable[[str], str]  # a fresh, time-ordered public id with this prefix
    clock: Callable[[], datetime]  # aware, UTC
    principals: Principals | None  # None: authentication is off
    allowed_hosts: tuple[str, ...]
    limits: Limits = Limits()
    tickets: Tickets | None = None  # None: nobody follows the log without a token
    allowed_origins: tuple[str, ...] = ()  # whose pages may ask the API from a browser
    trusted_proxies: tuple[Network, ...] = ()
    proxy_header: Header = "x-forwarded-for"


def services(request: HTTPConnection) -> Services:
    """The services of the application that serves this request."""
    return cast(Services, request.app.state.services)
