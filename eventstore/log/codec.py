"""Events to bytes and back, by a catalogue.

The payload is JSON with sorted keys: integers of minor units, ISO 8601 dates, ids as strings, no floats. The bytes
made here are the bytes that are stored and hashed. Personal fields are sealed first: a text, or a tuple of texts as
one. They are decoded as `erased` when their key was erased, and as `unreadable` when they cannot be opened. Payloads of
old names are upcast when they are read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from itertools import repeat
from operator import attrgetter
from types import UnionType
from typing import (
    Any,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
import orjson
from msgspec import Struct

from eventstore.keys.master_keys import SealingError
from eventstore.keys.sealing import Place, Sealer, UnreadableError, UnusableKeyError, split_version

_HEADER = ("originator_id", "originator_version")  # stream and version: columns, not part of the payload


_MISFITS = (KeyError, TypeError, ValueError, AttributeError, RecursionError)  # msgspec's errors are ValueErrors
"""Errors of decoding bytes that do not match the catalogue."""


class CodecError(ValueError):
    """An event cannot be encoded, or stored bytes do not match the catalogue."""


class UnknownTypeError(CodecError):
    """The catalogue does not have the type of a stored event. A newer version of the program wrote it."""

    def __init__(self, type: str, stream: str, version: int) -> None:
        self.type = type
        self.stream = stream
        super().__init__(
            f"{type} at version {version} of {stream} is not in the catalogue: a newer version of Daybook wrote it"
        )


class UnusableError(CodecError):
    """An event cannot be encoded until the damaged key of its person is restored."""


class EventEntry(Protocol):
    """One name of the catalogue, as the codec needs it.

    An old version (`event` is None) names the fields that it has sealed; the others are read as they are. An upcaster
    must not rename personal fields or their subject: sealed values are bound to these names.
    """

    @property
    def name(self) -> str: ...
    @property
    def event(self) -> type[Any] | None: ...
    @property
    def subject(self) -> str | None: ...
    @property
    def personal(self) -> tuple[str, ...]: ...
    @property
    def upcasts_to(self) -> str | None: ...
    @property
    def upcast(self) -> Callable[[dict[str, Any]], dict[str, Any]] | None: ...
    def __hash__(self) -> int: ...


FIGURES = Mapping[str, Any]
"""The type of a field with a JSON object of figures: texts, integers, booleans, lists and objects, never floats."""

E_co = TypeVar("E_co", covariant=True)
_Upcast: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape(Generic[E_co]):
    """An event class, prepared for encoding.

    The payload is a struct made for it: the event without its header. msgspec encodes and decodes it in C, with nested
    structs and dates. Dictionaries took two to four times as long.
    """

    name: str
    event: Callable[..., E_co]
    stored: type[Struct]
    values: Callable[[Any], tuple[Any, ...]]  # of the event, and of the payload
    decode: Callable[[bytes], Any]
    subject: str | None
    personal: tuple[tuple[str, bool], ...]  # name of the field, and whether it holds a tuple of texts
    upcasts: tuple[_Upcast, ...]  # from the stored payload to the fields of the event; none for the newest version


_Seal: TypeAlias = Callable[[Place, Any, bool], Any]
"""Seals or opens a value at a place. The flag says whether the value is a tuple of texts, or one text."""


class SealedValue(NamedTuple):
    """A sealed value of a stored event."""

    place: Place
    version: int  # of the sealing
    why_unreadable: str | None  # None if it opens or its key was erased


_encode_lines = msgspec.json.Encoder(order="sorted").encode_lines
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


def encode_each(values: list[Any]) -> list[bytes]:
    """Encode each value as JSON with sorted keys. Raises `CodecError`."""
    try:
        return _encode_lines(values).split(b"\n")[:-1]  # JSON escapes line breaks, so none is in a value
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise CodecError(f"cannot be encoded: {error}") from error


class Codec:
    """Encodes and decodes the events of a catalogue. Thread-safe if its sealer is."""

    def __init__(self, catalogue: Iterable[EventEntry], sealer: Sealer, erased: object, unreadable: object) -> None:
        """`erased` replaces personal values whose key was erased, `unreadable` those that do not open."""
        self._sealer = sealer
        self._erased = erased
        self._unreadable = unreadable
        self._by_class: dict[type[Any], _Shape[Any]] = {}
        self._by_name: dict[str, _Shape[Any]] = {}
        entries = {entry.name: entry for entry in catalogue}
        # An event declares the class of a placeholder, of which the one that is given may be a special kind.
        placeholders = (*type(erased).__mro__, *type(unreadable).__mro__)
        for entry in entries.values():
            event, upcasts = _newest(entries, entry)
            shape = self._by_name[entry.name] = _take_apart(entry, event, upcasts, placeholders)
            if not upcasts:
                self._by_class[event] = shape
        self._names = frozenset(self._by_name)

    @property
    def sealer(self) -> Sealer:
        """What seals and opens the personal values."""
        return self._sealer

    def encode_all(
        self, events: Iterable[Any], commuting: Sequence[bool] | None = None, *, dry_run: bool = False
    ) -> tuple[list[str], list[bytes]]:
        """The names of the events in the catalogue, and their payloads.

        The keys of all subjects are read with one query. `commuting` says for each event whether its stream was read
        as commuting, so that its version is not certain. With `dry_run` nothing is sealed and no key is made: the
        result is not for the log, but the errors are the same.

        Raises `CodecError` for values that JSON or PostgreSQL cannot hold (lone surrogates, floats, foreign classes),
        for an event about an erased person, and for a personal value in an event whose version is not certain;
        `UnusableError` where the key of a person is damaged; `SealingError`, and the errors of the key store.
        """
        events = list(events)
        by_class = self._by_class
        try:
            shapes = [by_class[type(event)] for event in events]
        except KeyError as error:
            raise CodecError(f"{error.args[0].__name__} is not in the catalogue") from None
        names = [shape.name for shape in shapes]
        stored = [shape.stored(*shape.values(event)) for shape, event in zip(shapes, events, strict=True)]
        self._seal(
            [
                (shape, one, event, commutes)
                for shape, one, event, commutes in zip(shapes, stored, events, commuting or repeat(False))  # noqa: B905
                if shape.subject is not None
            ],
            dry_run,
        )
        try:
            return names, encode_each(stored)
        except CodecError as error:
            raise CodecError(f"{' or '.join(dict.fromkeys(names))} {error}") from error

    def _seal(self, personal: list[tuple[_Shape[Any], Any, Any, bool]], dry_run: bool) -> None:
        about = [
            (shape, stored, event, commutes, subject)
            for shape, stored, event, commutes in personal
            if (subject := getattr(stored, shape.subject)) is not None  # type: ignore[arg-type]
            and any(getattr(stored, field) is not None for field, _ in shape.personal)
        ]
        if about:
            seal = self._checked if dry_run else self._sealed
            if not dry_run:
                self._sealer.prepare({subject for *_, subject in about})
            for shape, stored, event, commutes, _ in about:
                if commutes:  # the append gives it another version, and the value would never open
                    raise CodecError(
                        f"{shape.name} has personal fields, and is written to {event.originator_id} without that "
                        "stream's version being certain"
                    )
                try:
                    self._each_personal(shape, stored, event.originator_id, event.originator_version, seal)
                except UnusableKeyError as error:
                    raise UnusableError(str(error)) from error
                except SealingError as error:
                    raise CodecError(str(error)) from error
                except UnicodeEncodeError as error:
                    raise CodecError(f"{shape.name} cannot be encoded: {error}") from error

    def erasures(self) -> int:
        """See `Sealer.erasures`."""
        return self._sealer.erasures()

    def forget_keys(self) -> None:
        """Drop the cached keys of people. They are read again when they are needed."""
        self._sealer.forget()

    def decode(self, name: str, payload: bytes, stream: str, version: int) -> Any:
        """Decode a stored event. Raises `UnknownTypeError` if the catalogue does not have the name, `CodecError` if the
        payload does not match it, and `MasterKeyError`."""
        try:
            shape, body = self._parse(name, payload)
            return self._make(shape, body, stream, version)
        except _MISFITS as error:
            raise self._misfit(name, stream, version, error) from error

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]:
        """Decode many stored events, given as (name, payload, stream, version), in their order.

        The keys of all subjects are read with one query. For an event that cannot be decoded the list has its
        `CodecError`. Raises `MasterKeyError`.
        """
        parsed: list[tuple[str, str, int, _Shape[Any], Any] | CodecError] = []
        subjects = set()
        for name, payload, stream, version in stored:
            try:
                shape, body = self._parse(name, payload)
                if shape.subject is not None and (subject := getattr(body, shape.subject)) is not None:
                    subjects.add(subject)
                parsed.append((name, stream, version, shape, body))
            except _MISFITS as error:
                parsed.append(self._misfit(name, stream, version, error))
        if subjects:
            self._sealer.look_up(subjects)
        events: list[Any] = []
        for item in parsed:
            if isinstance(item, CodecError):
                events.append(item)
                continue
            name, stream, version, shape, body = item
            try:
                events.append(self._make(shape, body, stream, version))
            except _MISFITS as error:
                events.append(self._misfit(name, stream, version, error))
        return events

    def _parse(self, name: str, payload: bytes) -> tuple[_Shape[Any], Any]:
        """The shape of the stored name and the fields of today. Personal values are still sealed."""
        shape = self._by_name[name]
        if not shape.upcasts:
            return shape, shape.decode(payload)
        fields = orjson.loads(payload)
        for upcast in shape.upcasts:
            fields = upcast(fields)
        return shape, msgspec.convert(fields, shape.stored)

    def _make(self, shape: _Shape[Any], stored: Any, stream: str, version: int) -> Any:
        if shape.subject is not None:
            self._each_personal(shape, stored, stream, version, self._opened)
        return shape.event(stream, version, *shape.values(stored))

    def _sealed(self, place: Place, value: Any, texts: bool) -> str:
        return self._sealer.seal(place, self._text(place, value, texts))

    def _checked(self, place: Place, value: Any, texts: bool) -> str:
        return self._sealer.check(place, self._text(place, value, texts))

    def _text(self, place: Place, value: Any, texts: bool) -> str:
        """The text that is sealed for a value. Raises `CodecError` for one that cannot be read."""
        if isinstance(value, (type(self._erased), type(self._unreadable))):
            raise CodecError(f"{place} is {value}, and there is nothing to seal")
        return msgspec.json.encode(value).decode() if texts else value

    def _opened(self, place: Place, sealed: Any, texts: bool) -> Any:
        try:
            opened = self._unsealed(place, sealed, texts)
        except UnreadableError:
            return self._unreadable
        return self._erased if opened is None else opened

    def _unsealed(self, place: Place, sealed: Any, texts: bool) -> Any:
        """Open a sealed value. None if the key was erased. Raises `UnreadableError`."""
        opened = self._sealer.open(place, sealed)
        if opened is None or not texts:
            return opened
        try:
            return _decode_texts(opened)
        except msgspec.MsgspecError:
            raise UnreadableError(f"{place} opens, and is not a list of texts") from None

    @staticmethod
    def _each_personal(shape: _Shape[Any], stored: Any, stream: str, version: int, change: _Seal) -> None:
        subject = getattr(stored, shape.subject)  # type: ignore[arg-type]
        if subject is not None:
            for field, texts in shape.personal:
                value = getattr(stored, field)
                if value is not None:
                    setattr(stored, field, change(Place(stream, version, shape.name, field, subject), value, texts))

    def sealed_values(self, stored: Iterable[tuple[str, bytes, str, int]]) -> Iterator[SealedValue]:
        """Try to open every sealed value of many stored events, given as (name, payload, stream, version).

        An event that cannot be decoded has none.
        """
        found: list[tuple[Place, str, bool]] = []
        for name, payload, stream, version in stored:
            try:
                shape, body = self._parse(name, payload)
            except _MISFITS:
                continue
            if shape.subject is not None:
                self._each_personal(shape, body, stream, version, lambda *value: found.append(value))
        self._sealer.look_up({place.subject for place, _, _ in found})
        for place, sealed, texts in found:
            try:
                self._unsealed(place, sealed, texts)
                why = None
            except UnreadableError as error:
                why = str(error)
            yield SealedValue(place, split_version(sealed)[0], why)

    def unusable_keys(self, subjects: Iterable[str]) -> dict[str, str]:
        """The people whose key does not open or is lost, with the reason. An erased key is neither."""
        return self._sealer.unusable(subjects)

    def _misfit(self, name: str, stream: str, version: int, error: Exception) -> CodecError:
        if name not in self._names:
            return UnknownTypeError(name, stream, version)
        return CodecError(
            f"{name} at version {version} of {stream} does not fit the catalogue: {type(error).__name__} {error}"
        )

    @property
    def names(self) -> frozenset[str]:
        """The stored names of all events, old versions included."""
        return self._names

    @property
    def personal_types(self) -> tuple[str, ...]:
        """The stored names of events with personal fields, old versions included."""
        return tuple(sorted(name for name, shape in self._by_name.items() if shape.personal))

    def named(self, *events: type[Any]) -> tuple[str, ...]:
        """The stored names that decode to one of these classes, old versions included."""
        return tuple(sorted(name for name, shape in self._by_name.items() if shape.event in events))


def _newest(entries: Mapping[str, EventEntry], entry: EventEntry) -> tuple[type[Struct], tuple[_Upcast, ...]]:
    """The class that an entry decodes to, and the upcasters on the way. Raises `CodecError` if there is no way."""
    upcasts: list[_Upcast] = []
    newest = entry
    while newest.event is None:
        following = entries.get(newest.upcasts_to or "")
        if newest.upcast is None or following is None or len(upcasts) == len(entries):
            raise CodecError(f"the catalogue names {entry.name} without an event and without an upcaster to one")
        upcasts.append(newest.upcast)
        newest = following
    return newest.event, tuple(upcasts)


@cache  # a process has several codecs of one catalogue, whose structs take 40 ms to make
def _take_apart(
    entry: EventEntry, event: type[Struct], upcasts: tuple[_Upcast, ...], placeholders: tuple[type[Any], ...]
) -> _Shape[Any]:
    """The shape of an entry. `placeholders` are the types that replace a personal value that cannot be read."""
    hints = {name: _without(placeholders, hint) for name, hint in get_type_hints(event).items()}
    fields = tuple(name for name in event.__struct_fields__ if name not in _HEADER)
    if event.__struct_fields__[:2] != _HEADER:
        raise CodecError(f"{event.__name__} must begin with {_HEADER}")
    unknown = {*entry.personal, *([entry.subject] if entry.subject else [])} - set(fields)
    if unknown or bool(entry.personal) != (entry.subject is not None):
        raise CodecError(f"{entry.name}: personal fields and their subject do not fit {event.__name__}")
    figures = tuple(field for field in fields if hints[field] == FIGURES)
    for field in fields:
        if field not in figures:
            _check_form(hints[field])
    stored = msgspec.defstruct(
        f"Stored{event.__name__}",
        [(field, str | None if field in entry.personal else hints[field]) for field in fields],
        gc=False,
    )
    return _Shape(
        entry.name,
        event,
        stored,
        _with_figures(entry.name, fields, figures) if figures else _values_of(fields),
        msgspec.json.Decoder(stored).decode,
        entry.subject,
        tuple((field, _holds_texts(entry.name, field, hints[field])) for field in entry.personal),
        upcasts,
    )


def _values_of(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda event: tuple(getattr(event, field) for field in fields)


def _with_figures(name: str, fields: tuple[str, ...], figures: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """As `_values_of`, and check the fields with figures. Raises `CodecError`."""
    values_of = _values_of(fields)

    def checked(event: Any) -> tuple[Any, ...]:
        for field in figures:
            _check_figures(name, getattr(event, field))
        return values_of(event)

    return checked


def _check_figures(name: str, value: Any) -> None:
    """Refuse values that a JSON object of figures cannot hold, above all floats. Raises `CodecError`."""
    if isinstance(value, Mapping):
        for inner in value.values():
            _check_figures(name, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_figures(name, inner)
    elif value is not None and not isinstance(value, str | int):
        raise CodecError(f"{name} cannot be encoded: {type(value).__name__} is no figure")


def _without(placeholders: tuple[type[Any], ...], hint: Any) -> Any:
    """The type of a field as it was before it was sealed."""
    if get_origin(hint) in (Union, UnionType):
        return Union[tuple(arm for arm in get_args(hint) if arm not in placeholders)]  # noqa: UP007 - made at run time
    return hint


def _holds_texts(name: str, field: str, hint: Any) -> bool:
    """Whether a personal field holds a tuple of texts. Raises `CodecError` if it holds something else than texts."""
    arms = set(get_args(hint)) - {type(None)} if get_origin(hint) in (Union, UnionType) else {hint}
    if arms not in ({str}, {tuple[str, ...]}):
        raise CodecError(f"{name}: the personal field {field} is neither a text nor a tuple of texts")
    return arms != {str}


def _check_form(hint: Any) -> None:
    """Refuse types that the log cannot hold, above all floats. Raises `CodecError`."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        for arm in get_args(hint):
            _check_form(arm)
    elif origin is tuple:
        element, *rest = get_args(hint)
        if rest != [Ellipsis]:
            raise CodecError(f"{hint}: only tuples of one type are supported")
        _check_form(element)
    elif origin is Mapping:
        if get_args(hint) != (str, str):
            raise CodecError(f"{hint}: only pairs of texts are supported")
    elif isinstance(hint, type) and issubclass(hint, Struct):
        for inner in get_type_hints(hint).values():
            _check_form(inner)
    elif origin is not Literal and hint not in (str, int, bool, date, datetime, type(None)):
        raise CodecError(f"{hint} has no form in the log")
