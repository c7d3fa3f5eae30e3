"""Who asks, and what they may: bearer tokens known by their SHA-256, and four roles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Role = Literal["command", "report", "audit", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)


class TokensError(ValueError):
    """The file of tokens is not what it should be; the message says where."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody, or some program, with a role."""

    name: str
    role: Role
    how: str = "token"


ANYONE = Principal("anyone", "operator", "authentication is off")

_AUDIT_PATHS = ("/v1/streams", "/v1/log")
_OPEN_PATHS = ("/v1/health/", "/v1/openapi.json", "/docs")


def is_open(path: str) -> bool:
    """Whether a path is answered to everyone: health, and the description of the API."""
    return path.startswith(_OPEN_PATHS) or path == "/"


def may(role: Role, method: str, path: str) -> bool:
    """What each role may: `command` posts and reads, `report` reads, `audit` reads the log too, `operator` all."""
    if role == "operator":
        return True
    if method not in ("GET", "HEAD"):
        return role == "command"
    if path.startswith(_AUDIT_PATHS):
        return role == "audit"
    if path.startswith("/v1/commands"):
        return role in ("command", "audit")
    return True


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def load_principals(file: Path) -> Mapping[bytes, Principal]:
    """Principals by the SHA-256 of their token, from a JSON list of ``{"sha256", "principal", "role"}``.

    Raises `TokensError`, and `OSError` where the file cannot be read.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        found = {bytes.fromhex(e["sha256"]): Principal(e["principal"], e["role"]) for e in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise TokensError(f"{file} is no list of sha256, principal and role: {error}") from None
    for principal in found.values():
        if principal.role not in ROLES:
            raise TokensError(f"{file}: {principal.name} has the role {principal.role!r}; there are {', '.join(ROLES)}")
    if not found:
        raise TokensError(f"{file} holds no token: nobody could use the API")
    return found
