"""Tokens of a local machine: one for each role of a program, private, and the API reads only their SHA-256."""

from __future__ import annotations

import stat
from pathlib import Path

from api.gateway.principals import digest
from api.gateway.tokens_file import PrincipalsFile
from domain.kernel import Principal
from workers.clock_and_ids import now
from workers.tokens import PROGRAM_ROLES, ensure_tokens


def test_one_for_each_role_and_only_their_digests_are_read(tmp_path: Path) -> None:
    file = tmp_path / "var" / "tokens.json"
    made = ensure_tokens(file)
    assert set(made) == set(PROGRAM_ROLES)
    assert len(set(made.values())) == len(PROGRAM_ROLES)
    principals = PrincipalsFile(file, now)
    for role, token in made.items():
        assert principals.find(digest(token)) == Principal(role, (role,))
    assert not any(token in file.read_text() for token in made.values())


def test_both_files_are_private(tmp_path: Path) -> None:
    ensure_tokens(tmp_path / "tokens.json")
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_tokens_are_kept_and_shown_once(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    ensure_tokens(file)
    before = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert ensure_tokens(file) == {}
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == before
