"""Events to bytes and back: every released version, sorted keys, and sealed personal fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace

from domain.accounts.account.events import AccountDebited, AccountFrozen, AccountOpened
from domain.accounts.posting import TransactionPosted
from domain.aggregate import EventType
from domain.kernel import ERASED, UNREADABLE, Erased, Event, Unreadable, Value
from domain.registry import CATALOGUE
from eventstore.keys.master_keys import SealingError, WrappedKey, wrap
from eventstore.keys.sealing import Place, Sealer, UnreadableError, split_version
from eventstore.log.codec import Codec, CodecError, UnknownTypeError
from tests.samples import store
from tests.samples.registry import EVENTS
from tests.samples.sample import StoredEvent
from tests.support.keys import Keys

NEWEST = {entry.name: entry.upcasts_to or entry.name for entry in CATALOGUE}


@pytest.fixture
def keys() -> Keys:
    return store.keys()


@pytest.fixture
def sealer(keys: Keys) -> Sealer:
    return Sealer(keys, store.MASTER_KEY)


@pytest.fixture
def codec(sealer: Sealer) -> Codec:
    return Codec(CATALOGUE, sealer, ERASED, UNREADABLE)


def decoded(codec: Codec, sample: StoredEvent) -> Any:
    return codec.decode(*stored(sample))


def stored(sample: StoredEvent) -> tuple[str, bytes, str, int]:
    return sample.type, sample.payload.encode(), sample.stream, sample.version


@pytest.mark.parametrize("sample", EVENTS, ids=lambda sample: sample.type)
def test_every_released_version_can_be_read(codec: Codec, sample: StoredEvent) -> None:
    event = decoded(codec, sample)
    assert (event.originator_id, event.originator_version) == (sample.stream, sample.version)
    assert store.fields_of(event) == sample.means
    (name,), (payload,) = codec.encode_all([event])
    assert name == NEWEST[sample.type]
    if name != sample.type:
        assert codec.decode(name, payload, sample.stream, sample.version) == event
        return
    assert list(json.loads(payload)) == sorted(json.loads(payload))
    again = json.loads(payload)
    plain = {k: v for k, v in json.loads(sample.payload).items() if k not in _personal(name)}
    assert {k: v for k, v in again.items() if k not in _personal(name)} == plain
    if not _personal(name):
        assert payload == sample.payload.encode(), "the hashed bytes are the stored bytes"


def test_no_personal_value_is_stored_in_clear(codec: Codec) -> None:
    for sample in EVENTS:
        for field in _personal(sample.type):
            value = sample.means[field]
            texts = value if isinstance(value, list) else [value]
            assert all(text is None or text not in sample.payload for text in texts)


def test_nested_keys_are_sorted(codec: Codec) -> None:
    payload = next(s.payload for s in EVENTS if s.type == "transaction.posted.v1")
    entry = json.loads(payload)["entries"][0]
    assert list(entry) == sorted(entry)


def test_an_erased_person_reads_as_erased_and_cannot_be_written_about(keys: Keys, codec: Codec, sealer: Sealer) -> None:
    sample = next(s for s in EVENTS if s.type == "account.opened.v1")
    keys.keys["owner-1"] = None
    sealer.forget()
    event = decoded(codec, sample)
    assert event.name is ERASED
    assert event.number == sample.means["number"]
    with pytest.raises(CodecError, match="the key of owner-1 was erased"):
        codec.encode_all([AccountFrozen("acct_x", 2, "owner-1", "new")])


PLACE = Place("post_1", 3, "post.revised.v1", "title", "ada")


def test_a_reader_asks_at_each_page_and_a_writer_once_in_a_while(keys: Keys) -> None:
    now = 0.0
    place = Place("acct_1", 1, "account.frozen.v1", "reason", "owner-1")
    reader = Sealer(keys, store.MASTER_KEY)
    writer = Sealer(keys, store.MASTER_KEY, erasure_seconds=1, clock=lambda: now)
    for _ in range(2):  # the first question only tells the time of the store
        writer.prepare(["owner-1"])
        reader.look_up(["owner-1"])
        now += 1
    sealed = writer.seal(place, "a reason")
    assert reader.open(place, sealed) == "a reason"
    keys.keys["owner-1"] = None
    assert reader.open(place, sealed) == "a reason", "within a page keys are not asked for again"
    reader.look_up(["owner-1"])
    assert reader.open(place, sealed) is None
    now -= 0.01
    writer.prepare(["owner-1"])
    assert writer.seal(place, "too late")
    now += 0.01
    writer.prepare(["owner-1"])
    with pytest.raises(SealingError, match="the key of owner-1 was erased"):
        writer.seal(place, "later")


def test_a_sealed_value_opens_only_in_its_event_and_field(sealer: Sealer) -> None:
    sealer.prepare(["ada", "bob"])
    sealed = sealer.seal(PLACE, "On ledgers")
    assert sealed.startswith("2.")
    assert sealer.open(PLACE, sealed) == "On ledgers"
    assert sealed != sealer.seal(PLACE, "On ledgers"), "a fresh nonce each time"
    moved: dict[str, Any] = {
        "stream": "post_2",
        "version": 4,
        "type": "post.drafted.v1",
        "field": "body",
        "subject": "bob",
    }
    assert set(moved) == set(Place._fields)
    for part, other in moved.items():
        with pytest.raises(UnreadableError, match=f"{'bob' if part == 'subject' else 'ada'}"):
            sealer.open(PLACE._replace(**{part: other}), sealed)


def test_no_two_fields_have_the_same_binding(sealer: Sealer) -> None:
    """A separator inside a part does not move the border between two parts."""
    sealer.prepare(["ada"])
    sealed = sealer.seal(Place("a", 1, "b\x1fc", "d", "ada"), "x")
    with pytest.raises(UnreadableError):
        sealer.open(Place("a", 1, "b", "c\x1fd", "ada"), sealed)


def test_values_cannot_be_exchanged_between_two_events_of_one_stream(codec: Codec) -> None:
    events = [AccountFrozen("acct_1", version, "ada", why) for version, why in ((2, "fraud"), (4, "on request"))]
    names, (first, second) = codec.encode_all(events)
    exchanged = [(names[0], second, "acct_1", 2), (names[0], first, "acct_1", 4)]
    assert [event.reason for event in codec.decode_many(exchanged)] == [UNREADABLE, UNREADABLE]
    assert [value.why_unreadable is None for value in codec.sealed_values(exchanged)] == [False, False]


def test_values_of_sealing_version_1_still_open_and_are_recognised(codec: Codec) -> None:
    old = [sample for sample in EVENTS if _personal(sample.type) and "2." not in sample.payload]
    new = [sample for sample in EVENTS if _personal(sample.type) and sample not in old]
    personal = {entry.name for entry in CATALOGUE if entry.personal}
    for version, samples in ((1, old), (2, new)):
        found = {sample.type for sample in samples}
        assert found == personal if version == 2 else set() < found <= personal, (
            "new events have no values of version 1"
        )
        values = list(codec.sealed_values([stored(sample) for sample in samples]))
        assert {value.version for value in values} == {version}
        assert {value.why_unreadable for value in values} == {None}
    assert split_version("2-AUrxBsYGG8KbF00S") == (1, "2-AUrxBsYGG8KbF00S"), "version 1 may begin with any letter"


def test_a_personal_value_is_not_sealed_for_an_uncertain_version(codec: Codec) -> None:
    frozen = AccountFrozen("acct_1", 2, "ada", "fraud")
    codec.encode_all([frozen], [False])
    with pytest.raises(CodecError, match=r"account\.frozen\.v1 has personal fields"):
        codec.encode_all([frozen], [True])


@pytest.mark.parametrize(
    "damaged",
    [b"", b"short", b"x" * 60, "cut", "other", None],
    ids=["nothing", "too short", "junk", "no key in it", "of another person", "lost"],
)
def test_a_damaged_key_affects_only_its_person(
    keys: Keys, codec: Codec, sealer: Sealer, damaged: bytes | str | None
) -> None:
    """The values of this person are unreadable, which is not erased. Those of others are not affected."""
    events = [AccountFrozen("acct_1", 2, who, "fraud") for who in ("ada", "bob", "cyd")]
    names, payloads = codec.encode_all(events)
    log = [(name, payload, "acct_1", 2) for name, payload in zip(names, payloads, strict=True)]
    master = AESGCM(store.MASTER_KEY)
    if damaged is None:
        del keys.keys["bob"]
    elif damaged == "other":
        keys.keys["bob"] = keys.keys["ada"]
    else:
        sealed = wrap(master, "bob", b"sixteen bytes ok") if damaged == "cut" else damaged
        assert isinstance(sealed, bytes)
        keys.keys["bob"] = WrappedKey(sealed, 1)
    sealer.forget()

    read = codec.decode_many(log)
    assert [event.reason for event in read] == ["fraud", UNREADABLE, "fraud"]
    assert [codec.decode(*one) for one in log] == read
    assert str(UNREADABLE) != str(ERASED)
    assert set(codec.unusable_keys(["ada", "bob", "cyd"])) == {"bob"}
    codec.encode_all([events[0], events[2]])


def test_nothing_is_written_about_a_person_whose_key_is_damaged(keys: Keys, codec: Codec, sealer: Sealer) -> None:
    keys.keys["owner-1"] = WrappedKey(b"x" * 60, 1)
    with pytest.raises(CodecError, match="nothing can be written about owner-1"):
        codec.encode_all([AccountFrozen("acct_x", 2, "owner-1", "new")])
    assert keys.keys["owner-1"] == WrappedKey(b"x" * 60, 1)


def test_a_key_that_is_restored_is_used_at_the_next_look_up(keys: Keys, codec: Codec) -> None:
    sample = next(stored(sample) for sample in EVENTS if sample.type == "account.opened.v1")
    whole, keys.keys["owner-1"] = keys.keys["owner-1"], WrappedKey(b"junk", 1)
    assert codec.decode_many([sample])[0].name is UNREADABLE
    keys.keys["owner-1"] = whole
    assert codec.decode_many([sample])[0].name == "Ada Lovelace"


@pytest.mark.parametrize(
    "sealed", ["", "x", "2.", "2.x", "not base64 at all!", "ä", "AAAA", "2.AAAA", "2." + "A" * 200, "3.AAAA", "A" * 200]
)
def test_a_damaged_value_affects_only_its_field(codec: Codec, sealed: str) -> None:
    sample = next(sample for sample in EVENTS if sample.type == "post.revised.v1")
    damaged = json.dumps(json.loads(sample.payload) | {"title": sealed}).encode()
    event = codec.decode(sample.type, damaged, sample.stream, sample.version)
    assert (event.title, event.body) == (UNREADABLE, sample.means["body"])


def test_an_event_outside_the_catalogue_is_refused(codec: Codec) -> None:
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
def test_a_payload_of_another_type_is_refused(codec: Codec, wrong: dict[str, Any]) -> None:
    fields = {"amount": 5, "currency": "EUR", "entry": 1, "transaction": "txn_1", "value_date": "2026-01-31"}
    assert codec.decode("account.debited.v1", json.dumps(fields).encode(), "acct_1", 2).amount == 5
    with pytest.raises(CodecError, match=next(iter(wrong))):
        codec.decode("account.debited.v1", json.dumps(fields | wrong).encode(), "acct_1", 2)


def test_an_upcaster_converts_an_old_version(sealer: Sealer) -> None:
    def lift(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "currency": "EUR"}

    old = EventType("account.debited.v0", None, upcasts_to="account.debited.v1", upcast=lift)
    codec = Codec((*CATALOGUE, old), sealer, ERASED, UNREADABLE)
    payload = b'{"amount":5,"entry":1,"transaction":"txn_1","value_date":"2026-01-31"}'
    event = codec.decode("account.debited.v0", payload, "acct_1", 2)
    assert isinstance(event, AccountDebited)
    assert event.currency == "EUR"
    assert codec.named(AccountDebited) == ("account.debited.v0", "account.debited.v1")


def test_a_personal_field_of_an_old_version_opens_with_its_original_name(codec: Codec, sealer: Sealer) -> None:
    """Each event with personal data, as if its class had another version now."""
    personal = [entry for entry in CATALOGUE if entry.event is not None and entry.personal]
    assert len(personal) > 5
    for entry in personal:
        moved_on = replace(entry, name=f"{entry.name}.later")
        old = EventType(
            entry.name, None, entry.subject, entry.personal, upcasts_to=moved_on.name, upcast=lambda fields: fields
        )
        later = Codec((moved_on, old), sealer, ERASED, UNREADABLE)
        samples = [stored(sample) for sample in EVENTS if sample.type == entry.name]
        assert samples, entry.name
        events = [codec.decode(*sample) for sample in samples]
        assert [later.decode(*sample) for sample in samples] == events
        assert later.decode_many(samples) == events


def test_a_catalogue_that_names_no_person_for_personal_data_is_refused(sealer: Sealer) -> None:
    with pytest.raises(CodecError, match="personal"):
        Codec((EventType("x.v1", AccountOpened, None, ("name",)),), sealer, ERASED, UNREADABLE)
    with pytest.raises(CodecError, match="neither a text nor a tuple of texts"):
        Codec((EventType("x.v1", AccountOpened, "owner", ("minimum",)),), sealer, ERASED, UNREADABLE)
    with pytest.raises(CodecError, match="without an upcaster"):
        Codec((EventType("x.v1", None),), sealer, ERASED, UNREADABLE)
    circle = [EventType(f"x.v{n}", None, upcasts_to=f"x.v{3 - n}", upcast=lambda fields: fields) for n in (1, 2)]
    with pytest.raises(CodecError, match="without an upcaster"):
        Codec(circle, sealer, ERASED, UNREADABLE)


class _Noted(Event, frozen=True):
    customer: str
    notes: tuple[str, ...] | Erased | Unreadable
    metadata: Mapping[str, str]


NOTED = EventType("x.noted.v1", _Noted, "customer", ("notes",))


@pytest.mark.parametrize("notes", [(), ("",), ("a", 'ä\n"b', "a")])
def test_a_tuple_of_texts_is_sealed_and_erased_as_one(keys: Keys, notes: tuple[str, ...]) -> None:
    sealer = Sealer(keys, store.MASTER_KEY)
    codec = Codec((NOTED,), sealer, ERASED, UNREADABLE)
    event = _Noted("s_1", 1, "customer-1", notes, {"b": "2", "a": "1"})
    (name,), (payload,) = codec.encode_all([event])
    stored = json.loads(payload)
    assert stored["notes"].startswith("2.")
    assert payload.startswith(b'{"customer":"customer-1","metadata":{"a":"1","b":"2"},"notes":')
    assert codec.decode(name, payload, "s_1", 1) == event
    [value] = codec.sealed_values([(name, payload, "s_1", 1)])
    assert (value.place.field, value.why_unreadable) == ("notes", None)

    one_text = sealer.seal(value.place, "not a list")
    forged = json.dumps(stored | {"notes": one_text}).encode()
    assert codec.decode(name, forged, "s_1", 1).notes is UNREADABLE
    [value] = codec.sealed_values([(name, forged, "s_1", 1)])
    assert "is not a list of texts" in str(value.why_unreadable)

    keys.keys["customer-1"] = None
    sealer.forget()
    erased = codec.decode(name, payload, "s_1", 1)
    assert erased.notes is ERASED
    keys.keys |= store.keys().keys
    sealer.forget()
    with pytest.raises(CodecError, match=r"notes of x\.noted\.v1 .* there is nothing to seal"):
        codec.encode_all([erased])


def test_an_old_version_keeps_in_clear_what_it_stored_in_clear(sealer: Sealer) -> None:
    old = EventType("x.noted.v0", None, upcasts_to="x.noted.v1", upcast=lambda fields: fields)
    codec = Codec((NOTED, old), sealer, ERASED, UNREADABLE)
    payload = b'{"customer":"customer-1","metadata":{},"notes":["in clear"]}'
    assert codec.decode("x.noted.v0", payload, "s_1", 1) == _Noted("s_1", 1, "customer-1", ("in clear",), {})
    assert list(codec.sealed_values([("x.noted.v0", payload, "s_1", 1)])) == []
    assert codec.personal_types == ("x.noted.v1",)
    with pytest.raises(CodecError, match="does not fit"):
        codec.decode("x.noted.v1", payload, "s_1", 1)


@pytest.mark.parametrize("metadata", [Mapping[str, int], Mapping[int, str], Mapping[str, Mapping[str, str]]])
def test_pairs_are_of_texts(sealer: Sealer, metadata: Any) -> None:
    fields = [("originator_id", str), ("originator_version", int), ("pairs", metadata)]
    event: Any = msgspec.defstruct("Tagged", fields, bases=(Value,), frozen=True)
    with pytest.raises(CodecError, match="only pairs of texts"):
        Codec((EventType("x.v1", event),), sealer, ERASED, UNREADABLE)


def test_many_events_are_decoded_like_each_alone_with_one_look_up(keys: Keys, codec: Codec, sealer: Sealer) -> None:
    each = [decoded(codec, sample) for sample in EVENTS]
    sealer.forget()
    asked: list[set[str]] = []

    def find(subjects: Iterable[str]) -> dict[str, WrappedKey | None]:
        asked.append(set(subjects))
        return Keys.find(keys, asked[-1])

    keys.find = find  # type: ignore[method-assign]
    assert codec.decode_many([stored(sample) for sample in EVENTS]) == each
    assert asked == [set(keys.keys)]


def test_an_unknown_type_is_told_from_a_damaged_event(sealer: Sealer) -> None:
    """Old names are known too."""
    old = EventType("account.debited.v0", None, upcasts_to="account.debited.v1", upcast=lambda fields: fields)
    codec = Codec((*CATALOGUE, old), sealer, ERASED, UNREADABLE)
    assert codec.names == {old.name, *(entry.name for entry in CATALOGUE)}
    for name in sorted(codec.names):
        with pytest.raises(CodecError) as damaged:
            codec.decode(name, b"[", "s", 1)
        assert not isinstance(damaged.value, UnknownTypeError)
    with pytest.raises(
        UnknownTypeError, match=r"account\.dreamt\.v1 at version 2 of acct_1 .* a newer version of Daybook"
    ):
        codec.decode("account.dreamt.v1", b"[", "acct_1", 2)


def test_an_event_that_cannot_be_decoded_affects_no_other(codec: Codec) -> None:
    sample = next(sample for sample in EVENTS if sample.type == "account.opened.v1")
    name, payload, stream, version = good = stored(sample)
    another = json.dumps(json.loads(payload) | {"owner": "author-1"}).encode()
    broken = [("account.dreamt.v1", payload, stream, 2), (name, b"{", stream, 3), (name, b"{}", stream, 4)]
    found = codec.decode_many([good, *broken, (name, another, stream, version), good])
    assert found[0] == found[-1] == codec.decode(*good)
    assert [type(error) for error in found[1:-2]] == [UnknownTypeError, CodecError, CodecError]
    assert found[-2].name is UNREADABLE, (
        "the value is of another person, so it does not open; the rest of the event is read"
    )


def test_many_events_are_encoded_like_each_alone_with_one_look_up(keys: Keys) -> None:
    codec = Codec(CATALOGUE, Sealer(keys, store.MASTER_KEY, erasure_seconds=60), ERASED, UNREADABLE)
    events = [decoded(codec, sample) for sample in EVENTS]
    without_person = [msgspec.structs.replace(e, subject=None) for e in events if isinstance(e, TransactionPosted)]
    silent = [
        msgspec.structs.replace(e, subject="stranger", description=None)
        for e in events
        if isinstance(e, TransactionPosted)
    ]
    newcomers = [AccountFrozen("acct_x", 2, "new-1", "a\nb"), AccountFrozen("acct_y", 2, "new-2", "c")]
    keys.asked.clear()
    names, payloads = codec.encode_all([*events, *silent, *newcomers])
    assert [sorted(asked) for asked in keys.asked] == [["new-1", "new-2"], ["new-1", "new-2"]], "looked up, then stored"
    assert set(keys.keys) == {*store.SUBJECT_KEYS, "new-1", "new-2"}, "no key for a person without personal data"
    for event, name, payload in zip([*events, *silent, *newcomers], names, payloads, strict=True):
        assert codec.decode(name, payload, event.originator_id, event.originator_version) == event
        if not _personal(name):
            assert ([name], [payload]) == codec.encode_all([event])
    assert len(codec.encode_all(without_person)[1]) == len(without_person) > 0


def test_an_event_that_cannot_be_encoded_stops_all_and_is_named(codec: Codec) -> None:
    good = AccountDebited("acct_1", 1, "txn_1", 1, 5, "EUR", date(2024, 2, 29))
    with pytest.raises(CodecError, match=r"account\.debited\.v1 cannot be encoded"):
        codec.encode_all([good, msgspec.structs.replace(good, currency="\ud800"), good])


def _personal(name: str) -> tuple[str, ...]:
    return next(entry.personal for entry in CATALOGUE if entry.name == name)
