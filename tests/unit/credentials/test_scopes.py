"""What a scope lets through, cell by cell, and that a stored scope is read strictly."""

from __future__ import annotations

from typing import Any

import pytest

from eventstore.credentials.scopes import MOST_ACCOUNTS, Access, Scope, ScopeError, from_json, may, to_json

READS = Scope(frozenset({"accounts", "orders"}))
COMMANDS = Scope(frozenset({"accounts"}), "command")
LIMITED = Scope(frozenset({"accounts"}), "command", frozenset({"acct_1", "acct_2"}))


@pytest.mark.parametrize(
    ("scope", "area", "access", "accounts", "allowed"),
    [
        (READS, "accounts", "read", None, True),
        (READS, "orders", "read", ["acct_1"], True),
        (READS, "posts", "read", None, False),
        (READS, "accounts", "command", None, False),
        (COMMANDS, "accounts", "read", None, True),
        (COMMANDS, "accounts", "command", ["acct_9"], True),
        (COMMANDS, "orders", "read", None, False),
        (LIMITED, "accounts", "command", ["acct_1"], True),
        (LIMITED, "accounts", "command", ["acct_1", "acct_2"], True),
        (LIMITED, "accounts", "command", ["acct_1", "acct_3"], False),
        (LIMITED, "accounts", "read", ["acct_3"], False),
        (LIMITED, "accounts", "read", None, False),
        (LIMITED, "accounts", "read", [], False),
        (LIMITED, "orders", "read", ["acct_1"], False),
    ],
)
def test_may(scope: Scope, area: str, access: Access, accounts: list[str] | None, allowed: bool) -> None:
    assert may(scope, area, access, accounts) is allowed


@pytest.mark.parametrize("scope", [READS, COMMANDS, LIMITED])
def test_a_scope_is_stored_and_read(scope: Scope) -> None:
    assert from_json(to_json(scope)) == scope


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"areas": [], "access": "read", "accounts": None},
        {"areas": "accounts", "access": "read", "accounts": None},
        {"areas": ["Accounts"], "access": "read", "accounts": None},
        {"areas": ["accounts"], "access": "write", "accounts": None},
        {"areas": ["accounts"], "access": "read", "accounts": []},
        {"areas": ["accounts"], "access": "read", "accounts": "acct_1"},
        {"areas": ["accounts"], "access": "read", "accounts": ["with space"]},
        {"areas": ["accounts"], "access": "read", "accounts": None, "more": True},
    ],
)
def test_a_wrong_scope_is_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(ScopeError):
        from_json(stored)


def test_a_scope_names_a_bounded_number_of_accounts() -> None:
    named = [f"acct_{n}" for n in range(MOST_ACCOUNTS + 1)]
    assert Scope(frozenset({"accounts"}), "read", frozenset(named[:-1])).accounts == frozenset(named[:-1])
    with pytest.raises(ScopeError, match="names 101 accounts, and may name 1 to 100"):
        Scope(frozenset({"accounts"}), "read", frozenset(named))
