"""How often an address was refused lately: whoever guesses tokens is slowed, and cannot fill the access log.

An address is counted for a minute from its first refusal on. Who sends a right token is let in whatever others behind
the same address have sent: the count is looked at only once a token has turned out to be wrong.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import NamedTuple

from api.proxies import parse_address

MOST = 10
"""Refusals of an address within the period that are answered and written down as they come."""
PERIOD_SECONDS = 60.0
MOST_ADDRESSES = 10_000
"""Addresses that are counted: of more than these, the one that was refused longest ago is forgotten."""
_SUBSCRIBER_BITS = 64
"""What one IPv6 subscriber has at the least: whoever has one address there has all of them."""


class Count(NamedTuple):
    """The refusals of an address in the period that has begun, and for how many seconds it goes on, at least 1."""

    number: int
    seconds: int


class Refusals:
    """Counts the refusals of each address, of one kind."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counted: OrderedDict[str, tuple[int, float]] = OrderedDict()  # number, and when it began

    def add(self, address: str) -> Count:
        """Count one more."""
        key, now = network_of(address), self._monotonic()
        number, began = self._counted.pop(key, (0, now))
        if now - began >= PERIOD_SECONDS:
            number, began = 0, now
        self._counted[key] = (number + 1, began)
        if len(self._counted) > MOST_ADDRESSES:
            self._counted.popitem(last=False)
        return Count(number + 1, max(1, math.ceil(began + PERIOD_SECONDS - now)))


def network_of(address: str) -> str:
    """What is counted together: an IPv4 address, or the 64 bits that an IPv6 subscriber has."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return f"{IPv6Address(int(parsed) >> _SUBSCRIBER_BITS << _SUBSCRIBER_BITS)}/{_SUBSCRIBER_BITS}"
    return str(parsed or address)[:50]
