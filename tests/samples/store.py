"""The keys of the stored samples, and a command that stores the samples that are missing.

`python -m tests.samples.store` plays random histories until each event version without a sample has happened, and
prints what to add to the module of its aggregate. Its personal fields are about one of the persons in `SUBJECT_KEYS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from domain.kernel import ERASED, UNREADABLE, Event
from domain.registry import AGGREGATES, CATALOGUE
from eventstore.keys.master_keys import WrappedKey
from eventstore.keys.sealing import Sealer
from eventstore.log.codec import Codec
from tests.samples.registry import EVENTS, history, module_of
from tests.samples.sample import StoredEvent
from tests.support.keys import Keys
from tests.support.memory_ledger import MemoryLedger

MASTER_KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
SUBJECT_KEYS = {
    "customer-1": "b3ff727027f7378e227c4e675e6c19b091e0c714e9f3eed6fc1b4e68210132d0e997e7f3dddfdf23217a6f37d2bbb4176daf1c3373e89951d9b22056",
    "owner-1": "9f619770149de25129983bb3765cc4d6421ebc0e578a56ad1738b0428b51e697c060756f96d15dd1f1e32cb634723b03ba82c4232c4a3fdcaf541529",
    "author-1": "8a7be7739535fa83a20dc67ba3158d1495ac80a4dd6476e1200efcd23551325328296769332a44291729160c62c571ea2b9b09580c4f327f28c5b7ef",
    "tester": "fcbc9bc4cc4b286cb0aa04c54295e2829e17f47c98044b31b8a52034dd385a0a597fcf5fefac57890dc0fba4053981b0758e48564bc4710d81714e43",
    "prsn_sample": "e7d750269e4f9334327d686e176214aa2266355149ea2a98711ad2dfefa1cb2b3ef27fb6f1a60d727195b0ce374c33ac30e1d5000fb3b0c6428674d5",
}
"""Each person's key, wrapped with the master key."""
MOST_HISTORIES = 16
"""Histories that are played until nothing is missing. What needs more is too rare to be tried."""
UNITS = 4_000
"""Of each history. One of 16,000 units takes ten times as long as one of 4,000."""


def keys() -> Keys:
    """A key store with the keys of the samples."""
    return Keys({subject: WrappedKey(bytes.fromhex(key), 1) for subject, key in SUBJECT_KEYS.items()})


def fields_of(event: Event) -> dict[str, Any]:
    """The fields of an event as JSON has them, without stream and version."""
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    del fields["originator_id"], fields["originator_version"]
    return fields


def stored(store: Keys, missing: set[str]) -> Iterator[StoredEvent]:
    """One sample of each of these event versions, where it is personal about a person whose key is known."""
    codec = Codec(CATALOGUE, Sealer(store, MASTER_KEY), ERASED, UNREADABLE)
    subjects = {entry.event: entry.subject for entry in CATALOGUE}
    for event in _random_events(missing):
        subject = subjects[type(event)]
        (name,), (payload,) = codec.encode_all([event])
        of_a_known_person = subject is None or getattr(event, subject) in {None, *SUBJECT_KEYS}
        if name in missing and of_a_known_person:
            missing.remove(name)
            stream, version = event.originator_id, event.originator_version
            yield StoredEvent(name, stream, version, payload.decode(), fields_of(event))


def _random_events(missing: set[str]) -> Iterator[Event]:
    """The events of random histories, one after the other as long as something is missing."""
    for seed in range(1, MOST_HISTORIES + 1):
        if missing:
            yield from (event for unit in history(MemoryLedger(), Random(seed), UNITS) for event in unit)


def main() -> None:
    missing = {entry.name for entry in CATALOGUE if entry.event is not None} - {event.type for event in EVENTS}
    homes = {entry.name: module_of(aggregate) for aggregate in AGGREGATES for entry in aggregate.events}
    for sample in stored(keys(), missing):
        print(f"# in {homes[sample.type]}\n{sample},")
    for name in sorted(missing):
        print(
            f"# {name} did not happen in {MOST_HISTORIES} histories of {UNITS} units: its aggregate's `life` has to bring it about"
        )


if __name__ == "__main__":
    main()
