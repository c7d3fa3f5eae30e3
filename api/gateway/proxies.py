"""The address of a client behind reverse proxies.

Anybody can send a header such as `X-Forwarded-For`, so it is read only if the connection comes from a trusted proxy.
Each proxy appends the address that connected to it. The header is therefore read from right to left: the first address
that is not a trusted proxy is the client. Everything to its left may be invented.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Header = Literal["x-forwarded-for", "forwarded"]

MOST_HOPS = 20
"""Most addresses that are read, from the right."""

MOST_CHARACTERS = 64
"""Most characters of a text that is read as an address. The longest one, of IPv6 in quotes and with a port, has 55."""
MOST_KNOWN = 1024
"""Most addresses that are cached by their text. Those of proxies repeat, and those of clients often do."""

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([0-9.]+):\d+", re.ASCII)


class _Hop(NamedTuple):
    """An address as Python writes it, and whether it is a trusted proxy."""

    address: str
    trusted: bool


class TrustedProxies:
    """ASGI middleware that replaces the proxy's address by the client's."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network], header: Header) -> None:
        """`header` is the one that trusted proxies write. The other one may come from the client and is not read."""
        self._app = app
        self._trusted = tuple(trusted)
        self._header = header.encode()
        self._known = lru_cache(MOST_KNOWN)(self._hop)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if scope["type"] == "http" and peer is not None:
            hop = self._read(peer[0])
            if hop is not None and hop.trusted:
                self._set_client(scope)
        await self._app(scope, receive, send)

    def _set_client(self, scope: Scope) -> None:
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == self._header]
        hops = ",".join(values).rsplit(",", MOST_HOPS)[-MOST_HOPS:]
        client = self._client(map(_for, hops) if self._header == b"forwarded" else hops)
        if client is not None:
            scope["client"] = (client, 0)

    def _client(self, hops: Iterable[str]) -> str | None:
        """The right-most address that is not a trusted proxy. Stops at a malformed value."""
        client = None
        for text in reversed(list(hops)):
            hop = self._read(text)
            if hop is None:
                break  # the values to the left cannot be attributed to a proxy
            client = hop.address
            if not hop.trusted:
                break
        return client

    def _read(self, text: str) -> _Hop | None:
        """The address in a text, from the cache if possible. A client can invent texts, so long ones are not cached."""
        text = text.strip()
        return self._known(text) if len(text) <= MOST_CHARACTERS else None

    def _hop(self, text: str) -> _Hop | None:
        address = parse_address(text)
        if address is None:
            return None
        return _Hop(str(address), any(address in network for network in self._trusted))


def parse_address(text: str) -> Address | None:
    """The address of a text such as `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`, or None."""
    text = text.strip().strip('"')
    if len(text) > MOST_CHARACTERS:
        return None
    found = _WITH_PORT.fullmatch(text)
    if found is not None:
        text = found[1] if found[1] is not None else found[2]
    if "%" in text:  # an IPv6 zone can be any text
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _for(hop: str) -> str:
    """The address in an element of `Forwarded` such as `for=192.0.2.1;proto=https`; empty if there is none."""
    for pair in hop.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value
    return ""
