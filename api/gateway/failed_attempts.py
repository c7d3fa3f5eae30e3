"""Counts refused requests per address, to slow the guessing of tokens and to bound the access log.

The count of an address starts with its first refusal and ends after a minute. It is read only after a token was found
wrong, so a valid token is accepted even if others behind the same address send wrong ones.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import NamedTuple

from api.gateway.proxies import parse_address

MOST = 10
"""Most refusals of an address within the period before it is slowed."""
PERIOD_SECONDS = 60.0
MOST_ADDRESSES = 10_000
"""Most addresses that are counted. If there are more, the one that was refused longest ago is dropped."""
_SUBSCRIBER_BITS = 64
"""An IPv6 subscriber has at least a network of this prefix length, and can use every address in it."""


class Count(NamedTuple):
    """The number of refusals of an address in its current period, and the seconds left of it, at least 1."""

    number: int
    seconds: int


class FailedAttempts:
    """Counts refusals of one kind per address."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counted: OrderedDict[str, tuple[int, float]] = OrderedDict()  # (number, start)

    def add(self, address: str) -> Count:
        """Count one more refusal."""
        key, now = network_of(address), self._monotonic()
        number, began = self._counted.pop(key, (0, now))
        if now - began >= PERIOD_SECONDS:
            number, began = 0, now
        self._counted[key] = (number + 1, began)
        if len(self._counted) > MOST_ADDRESSES:
            self._counted.popitem(last=False)
        return Count(number + 1, max(1, math.ceil(began + PERIOD_SECONDS - now)))


def network_of(address: str) -> str:
    """The unit that is counted: an IPv4 address, or the /64 network of an IPv6 address."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return f"{IPv6Address(int(parsed) >> _SUBSCRIBER_BITS << _SUBSCRIBER_BITS)}/{_SUBSCRIBER_BITS}"
    return str(parsed or address)[:50]
