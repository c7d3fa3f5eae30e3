"""What an API key may be used for: areas, reading only or commands too, and the accounts it is limited to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

MOST_ACCOUNTS: Final = 100
_AREA = re.compile(r"[a-z]{1,30}", re.ASCII)
_ACCOUNT = re.compile(r"[!-~]{1,100}", re.ASCII)

Access: TypeAlias = Literal["read", "command"]


class ScopeError(ValueError):
    """A scope is not well-formed. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Areas, the most it may do there, and the only accounts it may touch (None: any)."""

    areas: frozenset[str]
    access: Access = "read"
    accounts: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not self.areas or not all(_AREA.fullmatch(area) for area in self.areas):
            raise ScopeError("a scope names at least one area, in small letters")
        if self.access not in ("read", "command"):
            raise ScopeError("the access of a scope is read or command")
        if self.accounts is not None:
            if not 1 <= len(self.accounts) <= MOST_ACCOUNTS:
                raise ScopeError(f"a scope names {len(self.accounts)} accounts, and may name 1 to {MOST_ACCOUNTS}")
            if not all(_ACCOUNT.fullmatch(account) for account in self.accounts):
                raise ScopeError("an account of a scope is named by its id")


def may(scope: Scope, area: str, access: Access, accounts: Iterable[str] | None) -> bool:
    """Whether the scope lets a request through that reads or commands in an area and concerns these accounts.

    Commands include reading. None: the request concerns no account that could be named, such as a list of all of them.
    A scope that is limited to accounts refuses it, and also one that names no account.
    """
    if area not in scope.areas or (access == "command" and scope.access != "command"):
        return False
    if scope.accounts is None:
        return True
    named = frozenset(accounts or ())
    return bool(named) and named <= scope.accounts


def to_json(scope: Scope) -> dict[str, Any]:
    """The scope as it is stored."""
    limited = None if scope.accounts is None else sorted(scope.accounts)
    return {"areas": sorted(scope.areas), "access": scope.access, "accounts": limited}


def from_json(stored: Mapping[str, Any]) -> Scope:
    """The scope that was stored. Raises `ScopeError` for anything else: a wrong scope lets nothing through."""
    if stored.keys() != {"areas", "access", "accounts"}:
        raise ScopeError("a stored scope has areas, access and accounts")
    areas, accounts = stored["areas"], stored["accounts"]
    if not isinstance(areas, list) or not isinstance(accounts, list | None):
        raise ScopeError("a stored scope lists areas and accounts")
    return Scope(frozenset(areas), stored["access"], None if accounts is None else frozenset(accounts))
