"""Commands with more than three fields are made with keywords, so that no two fields can be swapped unnoticed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from domain.accounts.posting import Entry
from domain.orders.order import OrderLine
from domain.registry import commands
from eventstore.executor.decided_commands import Submission

API = Path(__file__).parents[3] / "api"
MOST_POSITIONAL = 3
WIDE = {
    kind.__name__
    for kind in (*commands(), Entry, OrderLine, Submission)
    if len(kind.__struct_fields__) > MOST_POSITIONAL  # type: ignore[attr-defined]
}


def wide_calls(source: str) -> list[str]:
    """Calls of wide constructors with more than three positional arguments, or with a splatted tuple."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [f"line {call.lineno}: {ast.unparse(call)[:100]}" for call in calls if _is_wide(call)]


def _is_wide(call: ast.Call) -> bool:
    positional = len(call.args) > MOST_POSITIONAL or any(isinstance(one, ast.Starred) for one in call.args)
    return positional and isinstance(call.func, ast.Name) and call.func.id in WIDE


@pytest.mark.parametrize("path", sorted(API.rglob("*.py")), ids=lambda path: str(path.relative_to(API)))
def test_wide_constructors_take_keywords(path: Path) -> None:
    assert wide_calls(path.read_text(encoding="utf-8")) == []


def test_a_wide_call_is_found() -> None:
    assert len(WIDE) > 10
    assert len(wide_calls("Transfer(a, b, c, d)\nTransfer(*four)\nTransfer(source=a)\nFreezeAccount(a, b)")) == 2
