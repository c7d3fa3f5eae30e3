"""Headers that may come once, paths with one spelling, and keys that a proxy joined."""

from __future__ import annotations

import pytest

from api import registry
from api.accounts import accounts
from api.commands.routes import CommandRoute, command_of
from api.gateway.request_heads import (
    MOST_UNKNOWN,
    SINGLETONS,
    is_repeated,
    joined,
    refuse_escapes,
    refuse_query,
    refuse_repeated,
)
from api.gateway.routes import DeclaredRoute, RouteTable


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
def test_a_key_that_repeats_one_text_is_a_joined_key(key: str) -> None:
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


ROUTES = RouteTable(registry.routes())


def test_a_query_names_a_parameter_once() -> None:
    found = ROUTES.find("/v1/accounts")
    assert refuse_query("GET", b"owner=a&status=b&type=c", found) is None
    for query in (b"owner=a&owner=b", b"owner=a&status=b&%6fwner=a", b"owner&owner"):
        for path in (found, None):
            refusal = refuse_query("GET", query, path)
            assert refusal is not None
            assert refusal[1:] == (
                "The query names 'owner' 2 times; say it once.", {"parameter": "owner", "times": 2}
            )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "declared"),
    [(method, one) for one in ROUTES.routes for method in sorted(one.route.methods or ())],
    ids=lambda given: given if isinstance(given, str) else given.route.path,
)
def test_a_parameter_that_a_route_does_not_have_is_refused_and_the_known_ones_are_named(
    method: str, declared: DeclaredRoute
) -> None:
    found = ROUTES.find(declared.route.path)
    for name in declared.parameters:
        assert refuse_query(method, f"{name}=1".encode(), found) is None
    for query in (b"as_of_=2020-01-01", b"&as_of_&", b"%61s_of_=1"):
        refusal = refuse_query(method, query, found)
        assert refusal is not None
        code, detail, figures = refusal
        assert (code, figures) == ("malformed", {"unknown": ["as_of_"], "known": list(declared.parameters)})
        known = ", ".join(declared.parameters) or "no query parameters"
        assert detail == (
            f"{method} {declared.route.path} does not take the query parameter 'as_of_'; it takes {known}."
        )  # fmt: skip
    if isinstance(declared.declaration, CommandRoute):
        assert declared.parameters == (() if declared.declaration.secret else ("dry_run",))


def test_a_problem_names_few_unknown_parameters_and_little_of_each() -> None:
    query = "&".join([f"{number}{'x' * 200}" for number in range(50)]).encode()
    refusal = refuse_query("GET", query, ROUTES.find("/v1/lag"))
    assert refusal is not None
    assert refusal[2] is not None
    assert (len(refusal[2]["unknown"]), len(refusal[2]["unknown"][0])) == (MOST_UNKNOWN, 100)


def test_an_unknown_path_or_method_is_not_refused_for_its_query() -> None:
    assert refuse_query("GET", b"x=1", None) is None
    assert refuse_query("DELETE", b"x=1", ROUTES.find("/v1/accounts")) is None


def test_a_command_route_is_matched_to_its_end() -> None:
    routes = RouteTable(accounts.router.routes)
    assert command_of(routes.find("/v1/accounts/acct_1/deposits")) is not None
    for path in ("/v1/accounts/acct_1/deposits\n", "/v1/accounts/acct_1/deposits/", "/v1/accounts/acct_1\n/deposits"):
        assert command_of(routes.find(path)) is None, path
