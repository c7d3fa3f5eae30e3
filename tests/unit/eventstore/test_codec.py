"""Events to bytes and back: every version ever shipped, sorted keys, sealed persons, nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from domain.accounts.events import AccountDebited, AccountFrozen, AccountOpened, TransactionPosted
from domain.catalogue import CATALOGUE, EventType
from domain.kernel import ERASED, Event
from eventstore.codec import Codec, CodecError
from eventstore.sealing import Sealer, SealingError

SAMPLES = json.loads((Path(__file__).parents[2] / "fixtures" / "events.json").read_text())


class Keys:
    """A key store in memory."""

    def __init__(self, keys: dict[str, bytes | None]) -> None:
        self.keys = keys
        self.asked: list[list[str]] = []

    def find(self, subjects: Iterable[str]) -> dict[str, bytes | None]:
        subjects = list(subjects)
        self.asked.append(subjects)
        return {subject: self.keys[subject] for subject in subjects if subject in self.keys}

    def keep(self, sealed: dict[str, bytes]) -> dict[str, bytes | None]:
        for subject, key in sealed.items():
            self.keys.setdefault(subject, key)
        return self.find(sealed)


@pytest.fixture
def keys() -> Keys:
    return Keys({subject: bytes.fromhex(key) for subject, key in SAMPLES["subject_keys"].items()})


@pytest.fixture
def sealer(keys: Keys) -> Sealer:
    return Sealer(keys, bytes.fromhex(SAMPLES["master_key"]))


@pytest.fixture
def codec(sealer: Sealer) -> Codec:
    return Codec(CATALOGUE, sealer, ERASED)


def decoded(codec: Codec, sample: dict[str, Any]) -> Any:
    return codec.decode(*stored(sample))


def stored(sample: dict[str, Any]) -> tuple[str, bytes, str, int]:
    return sample["type"], sample["payload"].encode(), sample["stream"], sample["version"]


@pytest.mark.parametrize("sample", SAMPLES["events"], ids=lambda sample: sample["type"])
def test_every_version_ever_shipped_still_reads(codec: Codec, sample: dict[str, Any]) -> None:
    event = decoded(codec, sample)
    assert (event.originator_id, event.originator_version) == (sample["stream"], sample["version"])
    fields = msgspec.json.decode(msgspec.json.encode(event))
    del fields["originator_id"], fields["originator_version"]
    assert fields == sample["means"]
    (name,), (payload,) = codec.encode_all([event])
    assert name == sample["type"]
    assert list(json.loads(payload)) == sorted(json.loads(payload))
    again = json.loads(payload)
    plain = {k: v for k, v in json.loads(sample["payload"]).items() if k not in _personal(name)}
    assert {k: v for k, v in again.items() if k not in _personal(name)} == plain
    if not _personal(name):
        assert payload == sample["payload"].encode(), "the bytes that are hashed are the bytes that are stored"


def test_every_name_in_the_catalogue_has_a_sample() -> None:
    assert {sample["type"] for sample in SAMPLES["events"]} == {entry.name for entry in CATALOGUE}


def test_no_personal_value_is_in_clear(codec: Codec) -> None:
    for sample in SAMPLES["events"]:
        for field in _personal(sample["type"]):
            value = sample["means"][field]
            assert value is None or value not in sample["payload"]


def test_nested_keys_are_sorted(codec: Codec) -> None:
    payload = next(s["payload"] for s in SAMPLES["events"] if s["type"] == "transaction.posted.v1")
    entry = json.loads(payload)["entries"][0]
    assert list(entry) == sorted(entry)


def test_an_erased_person_reads_as_erased_and_cannot_be_written_about(keys: Keys, codec: Codec, sealer: Sealer) -> None:
    sample = next(s for s in SAMPLES["events"] if s["type"] == "account.opened.v1")
    keys.keys["owner-1"] = None
    sealer.forget()
    event = decoded(codec, sample)
    assert event.name is ERASED
    assert event.number == sample["means"]["number"]
    with pytest.raises(CodecError, match="the key of owner-1 was erased"):
        codec.encode_all([AccountFrozen("acct_x", 2, "owner-1", "new")])


def test_a_sealed_value_opens_only_in_its_own_place(codec: Codec, sealer: Sealer) -> None:
    sealer.prepare(["a", "b"])
    sealed = sealer.seal("a", "t.v1", "name", "Ada")
    assert sealer.open("a", "t.v1", "name", sealed) == "Ada"
    assert sealed != sealer.seal("a", "t.v1", "name", "Ada"), "a fresh nonce each time"
    for place in (("b", "t.v1", "name"), ("a", "u.v1", "name"), ("a", "t.v1", "reason")):
        with pytest.raises(SealingError):
            sealer.open(*place, sealed)


def test_another_master_key_is_told_apart(keys: Keys) -> None:
    other = Sealer(keys, bytes(32))
    with pytest.raises(SealingError, match="DAYBOOK_MASTER_KEY"):
        other.open("owner-1", "account.opened.v1", "name", "AAAA")


def test_what_is_not_of_the_catalogue_is_refused(codec: Codec) -> None:
    class Foreign(Event, frozen=True):
        pass

    with pytest.raises(CodecError, match="Foreign is not in the catalogue"):
        codec.encode_all([Foreign("s", 1)])
    with pytest.raises(CodecError, match=r"no\.such\.v1 at version 3 of s"):
        codec.decode("no.such.v1", b"{}", "s", 3)
    with pytest.raises(CodecError, match=r"account\.debited\.v1"):
        codec.decode("account.debited.v1", b'{"amount": 5}', "s", 3)
    with pytest.raises(CodecError, match="recursion"):
        codec.decode("account.debited.v1", b'{"x": ' + b"[" * 100_000, "s", 3)


@pytest.mark.parametrize(
    "wrong", [{"amount": "5"}, {"amount": 5.5}, {"entry": None}, {"currency": 978}, {"value_date": "yesterday"}]
)
def test_what_is_not_of_its_type_is_refused(codec: Codec, wrong: dict[str, Any]) -> None:
    fields = {"amount": 5, "currency": "EUR", "entry": 1, "transaction": "txn_1", "value_date": "2026-01-31"}
    assert codec.decode("account.debited.v1", json.dumps(fields).encode(), "acct_1", 2).amount == 5
    with pytest.raises(CodecError, match=next(iter(wrong))):
        codec.decode("account.debited.v1", json.dumps(fields | wrong).encode(), "acct_1", 2)


def test_an_upcaster_lifts_an_old_version(sealer: Sealer) -> None:
    def lift(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "currency": "EUR"}

    old = EventType("account.debited.v0", None, upcasts_to="account.debited.v1", upcast=lift)
    codec = Codec((*CATALOGUE, old), sealer, ERASED)
    payload = b'{"amount":5,"entry":1,"transaction":"txn_1","value_date":"2026-01-31"}'
    event = codec.decode("account.debited.v0", payload, "acct_1", 2)
    assert isinstance(event, AccountDebited)
    assert event.currency == "EUR"
    assert codec.named(AccountDebited) == ("account.debited.v0", "account.debited.v1")


def test_what_is_personal_in_an_old_version_opens_under_the_name_it_was_sealed_to(codec: Codec, sealer: Sealer) -> None:
    """Each event with personal data, as if its class had moved on to another version since."""
    personal = [entry for entry in CATALOGUE if entry.event is not None and entry.personal]
    assert len(personal) > 5
    for entry in personal:
        moved_on = replace(entry, name=f"{entry.name}.later")
        old = EventType(entry.name, None, upcasts_to=moved_on.name, upcast=lambda fields: fields)
        later = Codec((moved_on, old), sealer, ERASED)
        samples = [stored(sample) for sample in SAMPLES["events"] if sample["type"] == entry.name]
        assert samples, entry.name
        events = [codec.decode(*sample) for sample in samples]
        assert [later.decode(*sample) for sample in samples] == events
        assert later.decode_many(samples) == events


def test_a_catalogue_that_forgets_whose_data_it_is_is_refused(sealer: Sealer) -> None:
    with pytest.raises(CodecError, match="personal"):
        Codec((EventType("x.v1", AccountOpened, None, ("name",)),), sealer, ERASED)
    with pytest.raises(CodecError, match="without an upcaster"):
        Codec((EventType("x.v1", None),), sealer, ERASED)


def test_many_are_decoded_as_each_is_with_one_look_up(keys: Keys, codec: Codec, sealer: Sealer) -> None:
    each = [decoded(codec, sample) for sample in SAMPLES["events"]]
    sealer.forget()
    asked: list[set[str]] = []

    def find(subjects: Iterable[str]) -> dict[str, bytes | None]:
        asked.append(set(subjects))
        return Keys.find(keys, asked[-1])

    keys.find = find  # type: ignore[method-assign]
    assert codec.decode_many([stored(sample) for sample in SAMPLES["events"]]) == each
    assert asked == [set(keys.keys)]


def test_what_cannot_be_decoded_leaves_its_neighbours_alone(codec: Codec) -> None:
    sample = next(sample for sample in SAMPLES["events"] if sample["type"] == "account.opened.v1")
    name, payload, stream, version = good = stored(sample)
    another = json.dumps(json.loads(payload) | {"owner": "author-1"}).encode()
    broken = [("account.dreamt.v1", payload, stream, 2), (name, b"{", stream, 3), (name, b"{}", stream, 4)]
    found = codec.decode_many([good, *broken, (name, another, stream, version), good])
    assert found[0] == found[-1] == codec.decode(*good)
    assert [type(error) for error in found[1:-1]] == [CodecError, CodecError, CodecError, SealingError]


def test_many_are_encoded_as_each_alone_and_their_people_looked_up_at_once(keys: Keys, codec: Codec) -> None:
    events = [decoded(codec, sample) for sample in SAMPLES["events"]]
    nobody = [msgspec.structs.replace(e, subject=None) for e in events if isinstance(e, TransactionPosted)]
    silent = [
        msgspec.structs.replace(e, subject="stranger", description=None)
        for e in events
        if isinstance(e, TransactionPosted)
    ]
    newcomers = [AccountFrozen("acct_x", 2, "new-1", "a\nb"), AccountFrozen("acct_y", 2, "new-2", "c")]
    keys.asked.clear()
    names, payloads = codec.encode_all([*events, *silent, *newcomers])
    assert [sorted(asked) for asked in keys.asked] == [["new-1", "new-2"], ["new-1", "new-2"]], "found, then kept"
    assert set(keys.keys) == {*SAMPLES["subject_keys"], "new-1", "new-2"}, "no key for whom nothing is said about"
    for event, name, payload in zip([*events, *silent, *newcomers], names, payloads, strict=True):
        assert codec.decode(name, payload, event.originator_id, event.originator_version) == event
        if not _personal(name):
            assert ([name], [payload]) == codec.encode_all([event])
    assert len(codec.encode_all(nobody)[1]) == len(nobody) > 0


def test_one_that_cannot_be_encoded_stops_all_and_is_named(codec: Codec) -> None:
    good = AccountDebited("acct_1", 1, "txn_1", 1, 5, "EUR", date(2024, 2, 29))
    with pytest.raises(CodecError, match=r"account\.debited\.v1 cannot be encoded"):
        codec.encode_all([good, msgspec.structs.replace(good, currency="\ud800"), good])


def _personal(name: str) -> tuple[str, ...]:
    return next(entry.personal for entry in CATALOGUE if entry.name == name)
