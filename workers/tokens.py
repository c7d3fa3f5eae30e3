"""The tokens of a machine of one's own: one for each role, the API keeps only their SHA-256."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from api.gateway.principals import ROLES, Role, digest

CLEAR_NAME = "tokens.txt"


def ensure_tokens(file: Path) -> dict[Role, str]:
    """The tokens by role, if this call has made them; empty where the file was there already.

    `file` is what the API reads. The tokens themselves lie beside it in `tokens.txt`, readable by their owner only. So
    they are shown once, when they are made: a terminal and its scroll-back are read by more people than a file.
    """
    clear = file.with_name(CLEAR_NAME)
    if file.exists():
        return {}
    file.parent.mkdir(parents=True, exist_ok=True)
    tokens: dict[Role, str] = {role: f"daybook_{role}_{secrets.token_urlsafe(24)}" for role in ROLES}
    _write(clear, "".join(f"{role} {token}\n" for role, token in tokens.items()))
    entries = [{"sha256": digest(token).hex(), "principal": role, "role": role} for role, token in tokens.items()]
    _write(file, json.dumps(entries, indent=1) + "\n")
    return tokens


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as opened:
        opened.write(text)
