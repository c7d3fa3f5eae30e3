"""The tokens of a private machine, one for each role of a program. The API keeps only their SHA-256."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from api.gateway.principals import digest
from domain.kernel import Role
from domain.permissions import CUSTOMERS, ROLES

CLEAR_NAME = "tokens.txt"
PROGRAM_ROLES: tuple[Role, ...] = tuple(role for role in ROLES if role not in CUSTOMERS)
"""The roles that a token can give to a program. A customer is a person."""


def ensure_tokens(file: Path) -> dict[Role, str]:
    """Make the tokens unless the file exists. Returns them by role; empty if the file exists.

    The API reads `file`. The tokens themselves are beside it in `tokens.txt`, which only their owner can read. They are
    shown once, when they are made: more people read a terminal than a file.
    """
    clear = file.with_name(CLEAR_NAME)
    if file.exists():
        return {}
    file.parent.mkdir(parents=True, exist_ok=True)
    tokens: dict[Role, str] = {role: f"daybook_{role}_{secrets.token_urlsafe(24)}" for role in PROGRAM_ROLES}
    _write(clear, "".join(f"{role} {token}\n" for role, token in tokens.items()))
    entries = [{"sha256": digest(token).hex(), "principal": role, "role": role} for role, token in tokens.items()]
    _write(file, json.dumps(entries, indent=1) + "\n")
    return tokens


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as opened:
        opened.write(text)
