"""Events to bytes and back, by a catalogue.

The payload is JSON with sorted keys: integers of minor units, ISO 8601 dates, ids as strings, no floats. The bytes
made here are the bytes that are stored and hashed. Personal fields are sealed before they become part of it, and come
back as `erased` when their key is gone. Old names are lifted by their upcasters on reading.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from datetime import date, datetime
from operator import attrgetter
from types import UnionType
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import orjson
from msgspec import Struct

from eventstore.sealing import Sealer, SealingError

_HEADER = ("originator_id", "originator_version")  # the stream and version of an event: columns, not payload


_MISFITS = (KeyError, TypeError, ValueError, AttributeError, RecursionError)  # msgspec's errors are ValueErrors
"""What taking apart bytes raises that are not what the catalogue says."""


class CodecError(ValueError):
    """An event that cannot be encoded, or bytes in the log that cannot be what the catalogue says they are."""


class EventEntry(Protocol):
    """What the codec must know of one name in the catalogue.

    An upcaster leaves the names of personal fields and of their subject as they are: values are sealed to them.
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


E_co = TypeVar("E_co", covariant=True)


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape(Generic[E_co]):
    """One event class, taken apart once.

    What is encoded is a struct made for it: the event without its header. msgspec encodes and decodes that in C, nested
    structs and dates included; the same with dictionaries took two to four times as long.
    """

    name: str
    event: Callable[..., E_co]
    stored: type[Struct]
    values: Callable[[Any], tuple[Any, ...]]  # of an event, and of what is stored of it
    decode: Callable[[bytes], Any]
    subject: str | None
    personal: tuple[str, ...]


_Seal: TypeAlias = Callable[[str, str, str, Any], Any]
"""Seals or opens a value: (subject, name of the event, field, value)."""

_encode_lines = msgspec.json.Encoder(order="sorted").encode_lines


def encode_each(values: list[Any]) -> list[bytes]:
    """Each as JSON with sorted keys. Raises `CodecError`."""
    try:
        return _encode_lines(values).split(b"\n")[:-1]  # no value has a line break in it: JSON escapes it
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise CodecError(f"cannot be encoded: {error}") from error


class Codec:
    """Encodes and decodes the events of a catalogue. Thread-safe as far as its sealer is."""

    def __init__(self, catalogue: Iterable[EventEntry], sealer: Sealer, erased: object) -> None:
        self._sealer = sealer
        self._erased = erased
        self._by_class: dict[type[Any], _Shape[Any]] = {}
        self._by_name: dict[str, _Shape[Any]] = {}
        self._upcasts: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
        for entry in catalogue:
            if entry.event is not None:
                shape = _take_apart(entry, entry.event)
                self._by_class[entry.event] = self._by_name[entry.name] = shape
            elif entry.upcasts_to is not None and entry.upcast is not None:
                self._upcasts[entry.name] = (entry.upcasts_to, entry.upcast)
            else:
                raise CodecError(f"the catalogue names {entry.name} without an event and without an upcaster")

    def encode_all(self, events: Iterable[Any]) -> tuple[list[str], list[bytes]]:
        """The names of the events in the catalogue, and their payloads.

        The keys of all of their subjects are had at once. Raises `CodecError` for what JSON or PostgreSQL cannot hold
        (lone surrogates, floats, foreign classes) and for what is about a person who was erased; `SealingError` and
        what the store of the keys raises where they are not to be had.
        """
        events = list(events)
        by_class = self._by_class
        try:
            shapes = [by_class[type(event)] for event in events]
        except KeyError as error:
            raise CodecError(f"{error.args[0].__name__} is not in the catalogue") from None
        names = [shape.name for shape in shapes]
        stored = [shape.stored(*shape.values(event)) for shape, event in zip(shapes, events, strict=True)]
        self._seal([(shape, one) for shape, one in zip(shapes, stored, strict=True) if shape.subject is not None])
        try:
            return names, encode_each(stored)
        except CodecError as error:
            raise CodecError(f"{' or '.join(dict.fromkeys(names))} {error}") from error

    def _seal(self, personal: list[tuple[_Shape[Any], Any]]) -> None:
        about = [
            (shape, stored, subject)
            for shape, stored in personal
            if (subject := getattr(stored, shape.subject)) is not None  # type: ignore[arg-type]
            and any(getattr(stored, field) is not None for field in shape.personal)
        ]
        if about:
            self._sealer.prepare({subject for _, _, subject in about})
            for shape, stored, _ in about:
                try:
                    self._each_personal(shape, shape.name, stored, self._sealer.seal)
                except SealingError as error:
                    raise CodecError(str(error)) from error
                except UnicodeEncodeError as error:
                    raise CodecError(f"{shape.name} cannot be encoded: {error}") from error

    def forget_keys(self) -> None:
        """Look the keys of people up again when they are needed."""
        self._sealer.forget()

    def decode(self, name: str, payload: bytes, stream: str, version: int) -> Any:
        """The event that was stored. Raises `CodecError` where name or payload are not of the catalogue."""
        try:
            shape, body = self._parse(name, payload)
            return self._make(name, shape, body, stream, version)
        except _MISFITS as error:
            raise _misfit(name, stream, version, error) from error

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]:
        """The events of many (name, payload, stream, version), in their order.

        The keys of all of their subjects are looked up at once. Where one cannot be decoded, its `CodecError` or
        `SealingError` stands in its place.
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
                parsed.append(_misfit(name, stream, version, error))
        if subjects:
            self._sealer.look_up(subjects)
        events: list[Any] = []
        for item in parsed:
            if isinstance(item, CodecError):
                events.append(item)
                continue
            name, stream, version, shape, body = item
            try:
                events.append(self._make(name, shape, body, stream, version))
            except _MISFITS as error:
                events.append(_misfit(name, stream, version, error))
            except SealingError as error:
                events.append(error)
        return events

    def _parse(self, name: str, payload: bytes) -> tuple[_Shape[Any], Any]:
        """What it is today, and its fields; what is personal is sealed still, to the name that it was stored by."""
        shape = self._by_name.get(name)
        if shape is not None:
            return shape, shape.decode(payload)
        fields = orjson.loads(payload)
        while name in self._upcasts:
            name, upcast = self._upcasts[name]
            fields = upcast(fields)
        shape = self._by_name[name]
        return shape, msgspec.convert(fields, shape.stored)

    def _make(self, name: str, shape: _Shape[Any], stored: Any, stream: str, version: int) -> Any:
        if shape.subject is not None:
            self._each_personal(shape, name, stored, self._open)
        return shape.event(stream, version, *shape.values(stored))

    def _open(self, subject: str, name: str, field: str, sealed: Any) -> Any:
        opened = self._sealer.open(subject, name, field, sealed)
        return self._erased if opened is None else opened

    @staticmethod
    def _each_personal(shape: _Shape[Any], name: str, stored: Any, change: _Seal) -> None:
        subject = getattr(stored, shape.subject)  # type: ignore[arg-type]
        if subject is not None:
            for field in shape.personal:
                value = getattr(stored, field)
                if value is not None:
                    setattr(stored, field, change(subject, name, field, value))

    def named(self, *events: type[Any]) -> tuple[str, ...]:
        """Every stored name that decodes to one of these classes, old versions included."""
        current = {self._by_class[event].name for event in events}
        old = set()
        for name in self._upcasts:
            target = name
            while target in self._upcasts:
                target = self._upcasts[target][0]
            if target in current:
                old.add(name)
        return tuple(sorted(current | old))


def _misfit(name: str, stream: str, version: int, error: Exception) -> CodecError:
    return CodecError(
        f"{name} at version {version} of {stream} does not fit the catalogue: {type(error).__name__} {error}"
    )


def _take_apart(entry: EventEntry, event: type[Struct]) -> _Shape[Any]:
    hints = get_type_hints(event)
    fields = tuple(name for name in event.__struct_fields__ if name not in _HEADER)
    if event.__struct_fields__[:2] != _HEADER:
        raise CodecError(f"{event.__name__} must begin with {_HEADER}")
    unknown = {*entry.personal, *([entry.subject] if entry.subject else [])} - set(fields)
    if unknown or bool(entry.personal) != (entry.subject is not None):
        raise CodecError(f"{entry.name}: personal fields and their subject do not fit {event.__name__}")
    for field in fields:
        if field not in entry.personal:
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
        _values_of(fields),
        msgspec.json.Decoder(stored).decode,
        entry.subject,
        entry.personal,
    )


def _values_of(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda event: tuple(getattr(event, field) for field in fields)


def _check_form(hint: Any) -> None:
    """What has no form in the log has none in an event: no float above all. Raises `CodecError`."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        for arm in get_args(hint):
            _check_form(arm)
    elif origin is tuple:
        element, *rest = get_args(hint)
        if rest != [Ellipsis]:
            raise CodecError(f"{hint}: only tuples of one type are supported")
        _check_form(element)
    elif isinstance(hint, type) and issubclass(hint, Struct):
        for inner in get_type_hints(hint).values():
            _check_form(inner)
    elif origin is not Literal and hint not in (str, int, bool, date, datetime, type(None)):
        raise CodecError(f"{hint} has no form in the log")
