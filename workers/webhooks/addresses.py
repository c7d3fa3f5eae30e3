"""Decides which addresses a message may be sent to.

Whoever creates a webhook chooses a name, and whoever owns the name chooses its addresses, also after it was checked. So
the name is resolved once for each attempt, every address is checked, and the connection is made to a checked address.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeAlias

from workers.webhooks.failure import DeliveryError

Lookup: TypeAlias = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host. Raises OSError or UnicodeError."""

_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOW_32: Final = (1 << 32) - 1
REFUSED: Final = tuple(
    map(ip_network, ("168.63.129.16/32", "192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16"))
)
"""Networks that are not public and that Python, or an older version of it, takes for public: the host of a machine at
Azure, what IANA keeps for protocols, local translation (RFC 8215), documentation (RFC 9637), and segment routing."""


def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, and so is every IPv4 address inside it."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    return all(_is_public(one) for one in (address, *_inside(address)))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global:
        return isinstance(address, IPv6Address) and address in _NAT64  # reserved, and judged by what is inside
    return not any(address in network for network in REFUSED)


def _inside(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & _LOW_32))
    return [one for one in found if one is not None]


def resolved(host: str, port: int, seconds: float, *, private: bool, lookup: Lookup = look_up) -> Sequence[str]:
    """The addresses of a host, all of them checked. With `private` any address will do.

    Raises `DeliveryError` if there is none within so many seconds, or if one of them is not public.
    """
    addresses = _looked_up(host, port, seconds, lookup)
    if not addresses:
        raise DeliveryError("unresolvable")
    if not private and not all(map(is_public, addresses)):
        raise DeliveryError("address_refused")
    return addresses


def _looked_up(host: str, port: int, seconds: float, lookup: Lookup) -> Sequence[str]:
    """The system's resolver has no time limit that a caller can set, so another thread waits for it."""
    found: SimpleQueue[Sequence[str]] = SimpleQueue()

    def ask() -> None:
        try:
            found.put(lookup(host, port))
        except (OSError, UnicodeError):
            found.put(())

    Thread(target=ask, name="webhook-lookup", daemon=True).start()
    try:
        return found.get(timeout=max(seconds, 0.0))
    except Empty:
        raise DeliveryError("unresolvable") from None
