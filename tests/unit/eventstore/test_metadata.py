"""Metadata of events: the JSON is the same if it is made whole or in parts for the items of a batch."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from domain.kernel import Grant, Principal
from eventstore.log.metadata import encoded_actor, metadata, with_key, without_key

BANK = encoded_actor(Principal("bank", ("command",)).recorded)
AT = datetime(2026, 11, 21, 12, 0, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize("key", ["k", 'a "quoted" \\ key', "ключ", "\x01"])
def test_metadata_is_json_with_sorted_keys_and_names_actor_and_key(key: str) -> None:
    single = metadata(BANK, "Transfer", AT, 1, key)
    assert orjson.loads(single) == {
        "actor": {"how": "token", "id": "bank", "roles": ["command"]},
        "command": "Transfer",
        "correlation": key,
        "decided_at": "2026-11-21T12:00:00.000007Z",
        "key": key,
        "rules": 1,
    }
    assert single == orjson.dumps(orjson.loads(single), option=orjson.OPT_SORT_KEYS)


def test_an_item_names_its_batch_too() -> None:
    shared = without_key(BANK, "Transfer", AT, 1, "batch_1")
    assert with_key(shared, "item-1") == metadata(BANK, "Transfer", AT, 1, "item-1", "batch_1")
    assert orjson.loads(with_key(shared, "item-1"))["correlation"] == "batch_1"


def test_a_person_and_grants_are_recorded_in_order_of_their_names() -> None:
    principal = Principal("ada", ("report",), person="person_1", grants=(Grant("operator", AT), Grant("audit")))
    stored = metadata(encoded_actor(principal.recorded), "Transfer", AT, 1, "k")
    assert orjson.loads(stored)["actor"] == {
        "grants": [
            {"role": "operator", "until": "2026-11-21T12:00:00.000007Z"},
            {"role": "audit", "until": None},
        ],
        "how": "token",
        "id": "ada",
        "person": "person_1",
        "roles": ["report"],
    }
    assert stored == orjson.dumps(orjson.loads(stored), option=orjson.OPT_SORT_KEYS)
