"""A sealer says when keys were erased, and asks nobody as long as it has no key in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from domain.posts import post
from domain.registry import AGGREGATES, PERSONAL_STATES, SNAPSHOTS, check_unique
from eventstore.keys.master_keys import KEY_BYTES
from eventstore.keys.sealing import Sealer
from tests.support.keys import Keys


class Counted(Keys):
    """Counts how often it is asked for erased keys."""

    questions = 0

    def erased(self, since: datetime | None) -> tuple[datetime, Sequence[str]]:
        self.questions += 1
        return super().erased(since)


@pytest.fixture
def keys() -> Counted:
    return Counted()


@pytest.fixture
def sealer(keys: Counted) -> Sealer:
    sealer = Sealer(keys, bytes(range(KEY_BYTES)), erasure_seconds=float("inf"))
    sealer.master_keys.check(record=True)
    return sealer


def test_nothing_is_asked_without_a_key_in_memory(keys: Counted, sealer: Sealer) -> None:
    first = sealer.erasures()  # from now on erasures count
    asked = keys.questions
    assert [sealer.erasures() for _ in range(3)] == [first] * 3
    assert keys.questions == asked


def test_the_number_grows_with_an_erasure(keys: Counted, sealer: Sealer) -> None:
    """Also if the key of the erased person is in memory no more, and whoever seals asks at other times."""
    sealer.erasures()
    sealer.prepare(["ada", "bob"])
    before = sealer.erasures()
    keys.keys["nobody-in-memory"] = None
    assert sealer.erasures() > before


def test_a_state_with_text_is_kept_in_no_snapshot() -> None:
    assert PERSONAL_STATES
    assert not any(stream.startswith(PERSONAL_STATES) for stream in SNAPSHOTS)
    kept: Any = replace(post.AGGREGATE, snapshot=(post.Post, 1))
    others = tuple(one for one in AGGREGATES if one.name != "post")
    with pytest.raises(ValueError, match="the state of post has personal values, so no snapshot may keep it"):
        check_unique((*others, kept))
