"""The lines of a bundle: their bytes, as docs/bundle.md has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from eventstore.proof import bundle
from eventstore.proof.bundle import BundleError, Line, Subject
from eventstore.proof.heads import HeadProof

PAGE = Path(__file__).parents[3] / "docs" / "bundle.md"
LOG = UUID(int=1)
HASH = bytes(32)


def lines() -> Iterator[Line]:
    """A line of each kind."""
    yield bundle.header(Subject("event", {"position": 7}), "ledger.example/main", LOG, 9)
    yield bundle.key("ledger.example/main+1f2e3d4c+AQ", datetime(2026, 11, 30, 12, tzinfo=UTC), 0)
    yield bundle.witness("auditor.example+0a1b2c3d+BA")
    yield bundle.checkpoint("ledger.example/main\n9\n\n")
    yield bundle.consistency(3, 9, [HASH])
    yield bundle.record(b"\x01\xff")
    yield bundle.leaf(b"\x01", [HASH, HASH])
    yield bundle.head(HeadProof("acct_1", 2, 7, 0, 1, [], [HASH] * 16))
    yield bundle.statement([b'{"account":"acct_1","items":[', b'\n{"name":"a\\nb"}', b"\n]}\n"])


def test_the_bytes_of_each_line() -> None:
    first, key, witness, checkpoint, consistency, record, leaf, head, statement, end = bundle.encoded(lines())
    assert first == (
        b'{"format":"daybook.bundle","version":1,"kind":"event","origin":"ledger.example/main",'
        b'"log":"00000000-0000-0000-0000-000000000001","size":9,"position":7}\n'
    )
    assert key == b'{"key":{"verifier":"ledger.example/main+1f2e3d4c+AQ","since":"2026-11-30T12:00:00Z","size":0}}\n'
    assert witness == b'{"witness":{"verifier":"auditor.example+0a1b2c3d+BA"}}\n'
    assert checkpoint == b'{"checkpoint":{"note":"ledger.example/main\\n9\\n\\n"}}\n'
    hash = b'"' + b"A" * 43 + b'="'
    assert consistency == b'{"consistency":{"from":3,"to":9,"proof":[%b]}}\n' % hash
    assert record == b'{"record":{"bytes":"Af8="}}\n'
    assert leaf == b'{"leaf":{"bytes":"AQ==","proof":[%b,%b]}}\n' % (hash, hash)
    assert head.startswith(
        b'{"head":{"stream":"acct_1","version":2,"position":7,"index":0,"streams":1,"bucket":[],"top":[' + hash
    )
    assert statement == b'{"statement":{"account":"acct_1","items":[{"name":"a\\nb"}]}}\n'
    assert end == b'{"end":{"lines":9}}\n'


def test_a_leaf_of_the_whole_log_has_no_proof() -> None:
    assert bundle.leaf(b"\x01", None) == {"leaf": {"bytes": "AQ=="}}


def test_the_lines_have_the_members_that_the_page_shows() -> None:
    [example] = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    shown = [orjson.loads(line) for line in example.splitlines()]
    for written, line in zip(map(orjson.loads, bundle.encoded(lines())), shown, strict=True):
        if "format" in written:
            assert list(written) == [*line, "position"]
        elif "statement" not in written:
            assert {kind: list(body) for kind, body in written.items()} == {
                kind: list(body) for kind, body in line.items()
            }


def test_a_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MOST_LINE_BYTES", 100)
    assert list(bundle.encoded([bundle.record(bytes(57))]))
    with pytest.raises(BundleError, match="a line of a bundle has at most 100 bytes, and one with a record would have"):
        list(bundle.encoded([bundle.record(bytes(58))]))
    with pytest.raises(BundleError, match="the statement has more than 100 bytes"):
        bundle.statement(b"x" * 30 for _ in range(4))
