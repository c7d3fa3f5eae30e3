"""docs/reference/requests.md has the figures of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.gateway.connections import ConnectionLimits
from api.gateway.request_heads import SINGLETONS
from api.services import Limits
from domain.batch import MOST_KEYS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "requests.md").read_text(encoding="utf-8")
CONNECTION, LIMITS = ConnectionLimits(), Limits()


def size(number: int) -> str:
    """The usual form of a size: 8 KiB, 1 MiB."""
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"


@pytest.mark.parametrize(
    ("what", "figures"),
    [
        ("connections of one process", [f"{CONNECTION.connections:,}"]),
        ("request line and headers", [size(CONNECTION.head_bytes)]),
        ("headers", [f"{CONNECTION.headers}"]),
        ("request target", [size(CONNECTION.target_bytes)]),
        ("a head, from its first byte or the connection", [f"{CONNECTION.head_seconds:g} s"]),
        ("trailers, or extensions of a chunk, between two parts of a body", [size(CONNECTION.head_bytes)]),
        ("the rest of a body after the answer", [f"{CONNECTION.head_seconds:g} s"]),
        ("requests sent before the first is answered", [f"{CONNECTION.pipelined}"]),
        ("an idle connection", [f"{CONNECTION.idle_seconds} s"]),
        ("an answer of which nothing is read", [f"{CONNECTION.write_seconds:g} s"]),
        ("a body", [size(LIMITS.body_bytes), f"{LIMITS.body_seconds:g} s"]),
        ("a batch", [size(LIMITS.batch_bytes), f"{LIMITS.batch_seconds:g} s", f"{LIMITS.batch_items:,} items"]),
        ("a part of a long batch", [size(LIMITS.part_bytes), f"{LIMITS.batch_seconds:g} s", f"{MOST_KEYS:,} items"]),
        (
            "parts of long batches that wait",
            [
                f"{LIMITS.spool.bytes >> 30} GiB",
                size(LIMITS.spool.sender_bytes),
                f"{LIMITS.spool.sender_batches} batches",
            ],
        ),
        ("bodies of all requests under way", [size(LIMITS.held_bytes)]),
        ("batches at once", [f"{LIMITS.batches}"]),
        ("followers of the log", [f"{LIMITS.followers}"]),
        ("reads that wait for their `min_position`", [f"{LIMITS.waiting:,}"]),
        ("any of the last four, for one principal", ["half"] if LIMITS.principal_share == 0.5 else []),
    ],
)
def test_each_bound_in_the_page_is_that_of_the_code(what: str, figures: list[str]) -> None:
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {what} |")]
    assert figures
    for figure in figures:
        assert figure in row.split("|")[2], row


def test_the_headers_that_may_come_once_are_those_of_the_code() -> None:
    written = PAGE.partition("These may come once")[2].partition(".\n")[0]
    assert sorted(written.split("`")[3::2]) == sorted(SINGLETONS.values())
