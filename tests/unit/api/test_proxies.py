"""The address of a client: which proxies are trusted, and for which part of the header."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from api.gateway.proxies import MOST_CHARACTERS, MOST_HOPS, Address, Header, Network, TrustedProxies, parse_address

TRUSTED = tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.1", "2001:db8:1::/48")))
PROXY, INNER = "10.0.0.1", "10.0.0.2"
CLIENT, FORGED = "203.0.113.7", "198.51.100.9"


def client_of(*values: str, peer: Any = (PROXY, 4711), header: Header = "x-forwarded-for", sent: str = "") -> Any:
    """The address that the application gets for these values of the header."""
    headers = [((sent or header).encode(), value.encode("latin-1")) for value in values]
    return seen_through(proxies(header=header), peer, headers)


def proxies(trusted: tuple[Network, ...] = TRUSTED, header: Header = "x-forwarded-for") -> TrustedProxies:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    return TrustedProxies(app, trusted, header)


def seen_through(known: TrustedProxies, peer: Any, headers: list[tuple[bytes, bytes]]) -> Any:
    scope = {"type": "http", "client": peer, "headers": headers}
    asyncio.run(known(scope, None, None))  # type: ignore[arg-type]
    return scope["client"]


@pytest.mark.parametrize(
    ("values", "client"),
    [
        ([CLIENT], CLIENT),
        ([f"{CLIENT}:50123"], CLIENT),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]:443"], "2001:db8::7"),
        (["::ffff:203.0.113.7"], CLIENT),
        ([f"{CLIENT}, {INNER}"], CLIENT),
        ([f"{CLIENT}, 2001:db8:1::5", f"192.0.2.1 , {INNER}"], CLIENT),
        ([f"{FORGED}, {CLIENT}"], CLIENT),
        ([f"{FORGED}, {INNER}, {CLIENT}, {INNER}"], CLIENT),
        ([FORGED, CLIENT], CLIENT),
        ([f"10.1.1.1, {INNER}"], "10.1.1.1"),
        ([f"{FORGED}, nonsense, {INNER}"], INNER),
        ([", ".join([FORGED, *[INNER] * MOST_HOPS])], INNER),
    ],
)
def test_the_last_address_that_is_not_a_proxy_is_the_client(values: list[str], client: str) -> None:
    assert client_of(*values) == (client, 0)


@pytest.mark.parametrize("value", ["", "nonsense", "1.2.3", "unknown", f"{CLIENT} {FORGED}", "fe80::1%eth0", "\xff"])
def test_a_malformed_header_is_ignored(value: str) -> None:
    assert client_of(value) == (PROXY, 4711)
    assert client_of(f"{FORGED}, {value}") == (PROXY, 4711)


@pytest.mark.parametrize("peer", [("127.0.0.1", 1), ("11.0.0.1", 1), ("192.0.2.2", 1), ("::1", 1), ("", 1), None])
def test_a_header_of_any_other_peer_is_ignored(peer: Any) -> None:
    assert client_of(CLIENT, peer=peer) == peer


def test_a_proxy_with_a_mapped_address_is_recognised() -> None:
    assert client_of(CLIENT, peer=("::ffff:10.0.0.1", 1)) == (CLIENT, 0)


def test_without_the_header_the_proxy_is_the_client() -> None:
    assert client_of() == (PROXY, 4711)


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (f"for={CLIENT}", CLIENT),
        (f'proto=https;For="{CLIENT}:443";by={PROXY}', CLIENT),
        ('for="[2001:db8::7]:443"', "2001:db8::7"),
        (f"for={FORGED}, for={CLIENT};proto=http, for={INNER}", CLIENT),
        (f"for={FORGED}, for=_hidden, for={INNER}", INNER),
        (f"for={FORGED}, by={CLIENT}, for={INNER}", INNER),
    ],
)
def test_the_standard_header_is_read_if_the_proxies_write_it(value: str, client: str) -> None:
    assert client_of(value, header="forwarded") == (client, 0)


@pytest.mark.parametrize("value", ["for=unknown", CLIENT, "by=1.2.3.4", "for=", "for", f"before={CLIENT}"])
def test_a_malformed_standard_header_is_ignored(value: str) -> None:
    assert client_of(value, header="forwarded") == (PROXY, 4711)


@pytest.mark.parametrize(("read", "sent"), [("x-forwarded-for", "forwarded"), ("forwarded", "x-forwarded-for")])
def test_the_header_that_the_proxies_do_not_write_is_ignored(read: Header, sent: str) -> None:
    value = f"for={FORGED}" if sent == "forwarded" else FORGED
    assert client_of(value, header=read, sent=sent) == (PROXY, 4711)


def test_other_scopes_pass() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope == {"type": "lifespan"}

    asyncio.run(TrustedProxies(app, TRUSTED, "forwarded")({"type": "lifespan"}, None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["[", "[]", "1.2.3.4:", ":80", "[::1", "0x7f.1", "1.2.3.4.5", "1" * 100_000])
def test_texts_that_are_not_addresses(text: str) -> None:
    assert parse_address(text) is None


# ---------------------------------------------------------------------- the cache of parsed texts


LONGEST = '"[2001:0db8:ffff:ffff:ffff:ffff:255.255.255.255]:65535"'
ENDLESS_PORT = f"{CLIENT}:".ljust(MOST_CHARACTERS + 1, "0")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are parsed."""
    texts: list[str] = []

    def parse(text: str) -> Address | None:
        texts.append(text)
        return parse_address(text)

    monkeypatch.setattr("api.gateway.proxies.parse_address", parse)
    return texts


def forwarded(*hops: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", ", ".join(hops).encode())]


def test_a_text_is_parsed_once(parsed: list[str]) -> None:
    known = proxies()
    for _ in range(2):
        assert seen_through(known, (PROXY, 1), forwarded(CLIENT, INNER)) == (CLIENT, 0)
        assert seen_through(known, (PROXY, 1), forwarded("nonsense", INNER)) == (INNER, 0)
    assert parsed == [PROXY, INNER, CLIENT, "nonsense"]


def test_the_cache_of_texts_is_bounded(monkeypatch: pytest.MonkeyPatch, parsed: list[str]) -> None:
    """The least recently used texts are dropped. Those of the proxies are in every request and stay."""
    monkeypatch.setattr("api.gateway.proxies.MOST_KNOWN", 3)
    known = proxies()
    for client in ("1.1.1.1", "1.1.1.2", "1.1.1.1"):
        assert seen_through(known, (PROXY, 1), forwarded(client, INNER)) == (client, 0)
    assert parsed == [PROXY, INNER, "1.1.1.1", "1.1.1.2", "1.1.1.1"]


def test_a_text_that_is_longer_than_an_address_is_neither_parsed_nor_cached(parsed: list[str]) -> None:
    assert seen_through(proxies(), (PROXY, 1), forwarded(ENDLESS_PORT, INNER)) == (INNER, 0)
    assert parsed == [PROXY, INNER]
    assert parse_address(ENDLESS_PORT) is None
    assert parse_address(ENDLESS_PORT[:-1]) == parse_address(CLIENT)


def test_the_longest_address_is_read() -> None:
    assert client_of(f"   {LONGEST}   ") == ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 0)


def test_a_proxy_outside_the_list_is_not_trusted() -> None:
    assert seen_through(proxies(), (PROXY, 1), forwarded(CLIENT)) == (CLIENT, 0)
    assert seen_through(proxies(TRUSTED[1:]), (PROXY, 1), forwarded(CLIENT)) == (PROXY, 1)
