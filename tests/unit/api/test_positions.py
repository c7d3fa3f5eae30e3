"""Tokens and cursors of the API are accepted again, and no others."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.gateway.problems import Problem
from api.queries.positions import cursor, read_cursor, read_token, token
from eventstore.log.read import Head

HEAD = Head(1, 1, 41, None)
POSITIONS = st.integers(0, 10**18 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(log=st.text("abc.-", min_size=1), epoch=st.integers(1, 10**9), position=POSITIONS)
def test_a_token_is_parsed_to_its_position(log: str, epoch: int, position: int) -> None:
    assert read_token(token(log, epoch, position), log, Head(1, epoch, position, None)) == position


@pytest.mark.parametrize("text", ["", "42", "main.42", "main.1.", "main.1.-1", "main.1.x", "main.1.\u0664", "a" * 200])
def test_an_invalid_token_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="is not a position"):
        read_token(text, "main", HEAD)


def test_a_token_of_another_log_or_epoch_is_refused_with_both() -> None:
    with pytest.raises(Problem, match="is of the log 'other'; this is 'main'"):
        read_token("other.1.5", "main", HEAD)
    with pytest.raises(Problem, match="is of epoch 1; since a restore this log is in epoch 2"):
        read_token("main.1.5", "main", Head(1, 2, 41, None))


def test_a_token_beyond_the_head_is_refused_with_the_head() -> None:
    assert read_token("main.1.41", "main", HEAD) == 41
    with pytest.raises(Problem, match=re.escape("'main.1.42' is beyond the head of the log, main.1.41.")):
        read_token("main.1.42", "main", HEAD)


@given(key=st.integers(0, 2**63 - 1) | TEXTS)
def test_a_cursor_is_parsed_to_its_key(key: int | str) -> None:
    assert read_cursor(cursor(key), type(key)) == key


@given(text=st.text())
def test_any_other_text_is_a_problem_or_a_key(text: str) -> None:
    try:
        assert isinstance(read_cursor(text, int), int)
    except Problem as problem:
        assert problem.code == "malformed"  # noqa: PT017 - either is right


def test_a_cursor_of_the_earlier_order_of_lists_is_refused() -> None:
    with pytest.raises(Problem, match=r"in the order of ids.*start again without a cursor"):
        read_cursor(cursor("acct_1"), int)


@pytest.mark.parametrize(("key", "kind"), [(1, str), (True, int), (None, int), (-1, int), (2**63, int)])
def test_a_cursor_of_another_list_is_refused(key: Any, kind: Any) -> None:
    with pytest.raises(Problem, match="not a cursor of this list"):
        read_cursor(cursor(key), kind)


def test_no_cursor_is_no_key() -> None:
    assert read_cursor(None, int) is None
