"""Readers: they ask for all accounts again and again, every now and then for no less than what is acknowledged."""

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
from tests.faults.histories import History, place
from tests.faults.world import Api

MOST_ACCOUNTS = 200
"""As many as a page has: pages are read one after the other, so only the rows of one page are of one position."""


class Standing(NamedTuple):
    """An account at some position."""

    balance: int
    status: str
    version: int


@dataclass
class Reading:
    """What one read of all accounts showed."""

    reader: int
    at_least: int  # the position it asked for; 0: it did not ask for any
    message: bytes

    @property
    def accounts(self) -> dict[str, Standing]:
        """Each account that it listed."""
        read = orjson.loads(self.message)
        assert read["next"] is None, f"there are more than {MOST_ACCOUNTS} accounts: they are not on one page"
        return {
            row["account"]: Standing(parse(row["balance"], row["currency"]), row["status"], row["version"])
            for row in read["items"]
        }


@contextmanager
def reading(apis: Sequence[Api], history: History, *, readers: int) -> Iterator[list[Reading]]:
    """Readers that read until the block ends. Their own failures are raised then."""
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
    """From one API after the other: twice whatever is there, twice no less than what is acknowledged."""
    with httpx.Client(headers=token("report"), timeout=15) as http:
        for turn in count(number):
            if stop.is_set():
                return
            acknowledged = history.acknowledged if turn % 4 < 2 else ""
            asked = {"limit": str(MOST_ACCOUNTS), **({"min_position": acknowledged} if acknowledged else {})}
            try:
                response = http.get(f"{apis[turn % len(apis)].url}/v1/accounts", params=asked)
            except httpx.HTTPError:
                stop.wait(0.02)  # nobody is there: not a wait for something, only not to spin
                continue
            if response.status_code == 503:  # not visible yet, or nothing to read it with
                continue
            assert response.status_code == 200, response.text
            readings.append(Reading(number, place(acknowledged) if acknowledged else 0, response.content))
