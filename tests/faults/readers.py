"""Readers: they read all accounts repeatedly, and sometimes require the last acknowledged position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Event
from typing import NamedTuple

import httpx
import orjson

from domain.money import parse
from tests.faults.clients import token
from tests.faults.histories import History, position_number
from tests.faults.world import Api

MOST_ACCOUNTS = 200
"""The size of a page. Only the rows of one page are of one position, because pages are read separately."""


class AccountState(NamedTuple):
    """The state of an account at a position."""

    balance: int
    status: str
    version: int


@dataclass
class Reading:
    """The response to one read of all accounts."""

    reader: int
    at_least: int  # the requested position; 0 without one
    message: bytes

    @property
    def accounts(self) -> dict[str, AccountState]:
        """The listed accounts."""
        read = orjson.loads(self.message)
        assert read["next"] is None, f"there are more than {MOST_ACCOUNTS} accounts, which do not fit on one page"
        return {
            row["account"]: AccountState(parse(row["balance"], row["currency"]), row["status"], row["version"])
            for row in read["items"]
        }


@contextmanager
def reading(apis: Sequence[Api], history: History, *, readers: int) -> Iterator[list[Reading]]:
    """Run readers until the block ends. Their failures are raised then."""
    readings: list[Reading] = []
    stop = Event()
    with ThreadPoolExecutor(readers) as pool:
        running = [pool.submit(_read, number, apis, history, readings, stop) for number in range(readers)]
        try:
            yield readings
        finally:
            stop.set()
            for one in running:
                one.result()


def _read(number: int, apis: Sequence[Api], history: History, readings: list[Reading], stop: Event) -> None:
    """Read from the APIs in turn: two reads of any position, then two that require the acknowledged position."""
    with httpx.Client(headers=token("report"), timeout=15) as http:
        for turn in count(number):
            if stop.is_set():
                return
            acknowledged = history.acknowledged if turn % 4 < 2 else ""
            parameters = {"limit": str(MOST_ACCOUNTS), **({"min_position": acknowledged} if acknowledged else {})}
            try:
                response = http.get(f"{apis[turn % len(apis)].url}/v1/accounts", params=parameters)
            except httpx.HTTPError:
                stop.wait(0.02)  # the API is away: limits the rate of retries
                continue
            if response.status_code == 503:  # not visible yet, or no connection is free
                continue
            assert response.status_code == 200, response.text
            readings.append(Reading(number, position_number(acknowledged) if acknowledged else 0, response.content))
