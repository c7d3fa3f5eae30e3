"""The services that the API uses. The caller passes them in: the API reads no settings and opens no connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from psycopg import Connection
from starlette.requests import HTTPConnection

from api.gateway.access_tokens import AccessTokens
from api.gateway.persons import Persons
from api.gateway.principals import Principals
from api.gateway.proxies import Header, Network
from api.gateway.recorded_reads import TakesReads
from api.gateway.tickets import Tickets
from eventstore.batches.spool import Spool, SpoolLimits
from eventstore.credentials.api_keys import ApiKeys
from eventstore.credentials.attempts import Attempts
from eventstore.credentials.mail_tokens import MailTokens
from eventstore.credentials.passwords import Passwords
from eventstore.credentials.rates import Rates
from eventstore.credentials.second_factor import SecondFactor
from eventstore.credentials.sessions import Sessions
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.executor.executor import Executor
from eventstore.executor.followed_states import FollowedStates
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.codec import Codec
from eventstore.log.numbers import Numbers
from projections.engine.waiting import Checkpoints


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on requests."""

    body_bytes: int = 1024 * 1024
    body_seconds: float = 30.0  # until a body is complete
    held_bytes: int = 256 * 1024 * 1024  # of the bodies of all requests under way, complete or not
    wait_seconds: float = 2.0  # that a read waits for its `min_position`
    waiting: int = 1_000  # reads that wait for their `min_position` at once
    followers: int = 32  # at once
    batch_bytes: int = 16 * 1024 * 1024
    batch_seconds: float = 60.0  # until the body of a batch is complete
    batch_items: int = 10_000
    batches: int = 4  # at once
    part_bytes: int = 4 * 1024 * 1024  # of a part of a long batch
    long_batch_bytes: int = 1024 * 1024 * 1024  # of the parts of all long batches that wait
    long_batches: int = 10  # of one principal that wait
    principal_share: float = 0.5
    """Of `held_bytes`, `waiting`, `followers`, `batches` and `long_batch_bytes`, for one principal."""

    def share_of(self, most: int) -> int:
        """The share of a bound that one principal may use, at least one."""
        return max(1, int(most * self.principal_share))

    @property
    def spool(self) -> SpoolLimits:
        """The bounds of what waits of long batches."""
        return SpoolLimits(self.long_batch_bytes, self.share_of(self.long_batch_bytes), self.long_batches)


@dataclass(frozen=True, slots=True)
class CommandServices:
    """The services that commands use, wherever they come from."""

    log: str
    log_number: int
    executor: Executor
    commands: AsyncExecutor
    numbers: Numbers
    new_id: Callable[[str], str]  # makes a new public id with this prefix; ids are ordered by time
    clock: Callable[[], datetime]  # aware, UTC


@dataclass(frozen=True, slots=True)
class People:
    """The services of people who sign in: credentials, which have a database login of their own, and latest states."""

    states: FollowedStates
    persons: Persons
    tokens: AccessTokens
    hashes: KeyedHashes
    passwords: Passwords
    sessions: Sessions
    mail_tokens: MailTokens
    second_factor: SecondFactor
    api_keys: ApiKeys
    attempts: Attempts
    visits: Rates = field(default_factory=Rates)  # of addresses that register, or use mails
    visits_a_minute: int = 30  # from one address


@dataclass(frozen=True, slots=True)
class Services(CommandServices):
    """The services that requests use."""

    codec: Codec
    reads: Callable[[], AbstractContextManager[Connection[Any]]]  # pooled connections that cannot write
    checkpoints: Checkpoints
    principals: Principals | None  # None: authentication is off
    allowed_hosts: tuple[str, ...]
    limits: Limits = Limits()
    tickets: Tickets | None = None  # None: following the log always needs a token
    allowed_origins: tuple[str, ...] = ()  # origins of pages that may use the API from a browser
    trusted_proxies: tuple[Network, ...] = ()
    proxy_header: Header = "x-forwarded-for"
    reads_only: bool = False  # the log is a copy: commands are refused, and the executor does not run
    people: People | None = None  # None: nobody can sign in here
    refusals: Counter[str] = field(default_factory=Counter)  # refused accesses, by the code of the problem
    spool: Spool | None = None  # the bodies of long batches; None: the log is a copy
    recorder: TakesReads | None = None  # takes reads of personal data; None: they are lines of the access log only


def services(request: HTTPConnection) -> Services:
    """The services of the application that serves this request."""
    return cast(Services, request.app.state.services)
