"""Metadata of events: the JSON is the same if it is made whole or in parts for the items of a batch."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from eventstore.log.metadata import metadata, with_key, without_key

AT = datetime(2026, 11, 21, 12, 0, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize("key", ["k", 'a "quoted" \\ key', "ключ", "\x01"])
def test_metadata_is_json_with_sorted_keys_and_names_actor_and_key(key: str) -> None:
    single = metadata("token", "bank", "Transfer", AT, key)
    assert orjson.loads(single) == {
        "actor": {"how": "token", "id": "bank"},
        "causation": None,
        "command": "Transfer",
        "correlation": key,
        "decided_at": "2026-11-21T12:00:00.000007Z",
        "key": key,
    }
    assert single == orjson.dumps(orjson.loads(single), option=orjson.OPT_SORT_KEYS)


def test_an_item_names_its_batch_too() -> None:
    shared = without_key("token", "bank", "Transfer", AT, "batch_1")
    assert with_key(shared, "item-1") == metadata("token", "bank", "Transfer", AT, "item-1", "batch_1")
    assert orjson.loads(with_key(shared, "item-1"))["correlation"] == "batch_1"
