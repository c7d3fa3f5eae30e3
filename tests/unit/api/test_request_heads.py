"""Headers that may come once, paths with one spelling, and keys that are two headers joined."""

from __future__ import annotations

import pytest

from api.accounts import accounts
from api.commands.routes import command_of
from api.gateway.request_heads import (
    SINGLETONS,
    is_repeated,
    joined,
    refuse_escapes,
    refuse_repeated,
    refuse_repeated_parameter,
)
from api.gateway.routes import RouteTable


@pytest.mark.parametrize("name", SINGLETONS)
def test_a_singleton_header_that_comes_twice_is_named(name: bytes) -> None:
    sent = [(b"accept", b"*/*"), (name, b"a"), (b"accept", b"text/html"), (name, b"a"), (name, b"b")]
    refusal = refuse_repeated(sent)
    assert refusal is not None
    code, detail, figures = refusal
    assert (code, figures) == ("malformed", {"header": SINGLETONS[name], "times": 3})
    assert f"{SINGLETONS[name]} came 3 times" in detail


def test_lists_may_come_in_several_lines() -> None:
    sent = [(b"x-forwarded-for", b"a"), (b"host", b"h"), (b"x-forwarded-for", b"b, c")]
    assert refuse_repeated(sent) is None
    assert joined(sent) == {b"host": b"h", b"x-forwarded-for": b"a, b, c"}


@pytest.mark.parametrize("key", ["K, K", "K,K", "K ,K", "K, K, K", "order 1, order 1", ",", "a, , a, "])
def test_a_key_that_is_a_text_over_and_over(key: str) -> None:
    assert is_repeated(key) is (key != "a, , a, ")


@pytest.mark.parametrize("key", ["K", "K, L", "K, K, L", "1,000,001", "KK", "a,b,a,b"])
def test_other_keys_with_commas_are_keys(key: str) -> None:
    assert not is_repeated(key)


def escapes(method: str, path: str, raw: str) -> str | None:
    refusal = refuse_escapes(method, path, raw.encode())
    return None if refusal is None else refusal[1]


def test_a_command_has_no_escapes() -> None:
    for raw in ("/v1/transfers%0A", "/v1/accounts/acct%5F1/deposits", "/v1%2Ftransfers", "/v1/posts/%252e/archive"):
        assert f"{raw!r} has a percent sign" in (escapes("POST", "whatever", raw) or "")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_has_neither_control_characters_nor_hidden_slashes(method: str) -> None:
    for path, raw in (("/v1/log\n", "/v1/log%0A"), ("/v1/log\r", "/v1/log%0d"), ("/v1/a\0", "/v1/a%00")):
        assert "control characters" in (escapes(method, path, raw) or "")
    assert "control characters" in (escapes(method, "/v1/commands/k\x7f", "/v1/commands/k%7F") or "")
    for raw in ("/v1%2Flog", "/v1/accounts/a%2fentries"):
        assert "escaped slash" in (escapes(method, raw.replace("%2F", "/").replace("%2f", "/"), raw) or "")
    assert escapes(method, "/v1/commands/a/b c%", "/v1/commands/a%2Fb%20c%25") is None
    assert escapes(method, "/v1/accounts/acct_1", "/v1/accounts/acct%5F1") is None


def test_a_query_names_a_parameter_once() -> None:
    assert refuse_repeated_parameter(b"owner=a&status=b&owner_=c") is None
    for query in (b"owner=a&owner=b", b"owner=a&status=b&%6fwner=a", b"owner&owner"):
        refusal = refuse_repeated_parameter(query)
        assert refusal is not None
        assert "'owner' 2 times" in refusal[1]


def test_a_command_route_is_matched_to_its_end() -> None:
    routes = RouteTable(accounts.router.routes)
    assert command_of(routes.find("/v1/accounts/acct_1/deposits")) is not None
    for path in ("/v1/accounts/acct_1/deposits\n", "/v1/accounts/acct_1/deposits/", "/v1/accounts/acct_1\n/deposits"):
        assert command_of(routes.find(path)) is None, path
