"""Events to bytes and back, by a catalogue.

The payload is JSON with sorted keys: integers of minor units, ISO 8601 dates, ids as strings, no floats. The bytes
made here are the bytes that are stored and hashed. Personal fields are sealed before they become part of it, and come
back as `erased` when their key is gone. Old names are lifted by their upcasters on reading.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, get_type_hints

import msgspec
import orjson
from msgspec import Struct

from eventstore.sealing import Sealer, SealingError

_HEADER = ("originator_id", "originator_version")  # the stream and version of an event: columns, not payload


_MISFITS = (KeyError, TypeError, ValueError, AttributeError)
"""What taking apart bytes raises that are not what the catalogue says."""


class CodecError(ValueError):
    """An event that cannot be encoded, or bytes in the log that cannot be what the catalogue says they are."""


class EventEntry(Protocol):
    """What the codec must know of one name in the catalogue."""

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
    """One event class, taken apart once."""

    name: str
    event: Callable[..., E_co]
    values: Callable[[Any], tuple[Any, ...]]  # of an event, in the order of `sorted`
    sorted: tuple[str, ...]  # names of the fields as they stand in the log
    payload: type[Struct]  # the event without its header, its personal fields sealed
    parse: Callable[[bytes], Any]  # JSON to payload
    columns: Callable[[Any], tuple[Any, ...]]  # of a payload, in the order of the event's fields
    subject: str | None
    personal: tuple[str, ...]
    sealed: tuple[tuple[int, str], ...]  # the personal fields, with their places among the columns


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

    def subjects(self, events: Iterable[Any]) -> set[str]:
        """Whose keys sealing these events needs."""
        found = set()
        for event in events:
            shape = self._by_class[type(event)]
            if shape.subject is not None:
                subject = getattr(event, shape.subject)
                if subject is not None and any(getattr(event, field) is not None for field in shape.personal):
                    found.add(subject)
        return found

    def encode(self, event: Any) -> tuple[str, bytes]:
        """The event's name in the catalogue and its payload. Keys of its subject must be at hand (`subjects`).

        Raises `CodecError` for what JSON or PostgreSQL cannot hold: lone surrogates, floats, foreign classes.
        """
        try:
            shape = self._by_class[type(event)]
        except KeyError:
            raise CodecError(f"{type(event).__name__} is not in the catalogue") from None
        fields = dict(zip(shape.sorted, shape.values(event)))  # noqa: B905 - both are of this class
        try:
            if shape.subject is not None and fields[shape.subject] is not None:
                subject = fields[shape.subject]
                for name in shape.personal:
                    if fields[name] is not None:
                        fields[name] = self._sealer.seal(subject, shape.name, name, fields[name])
            return shape.name, orjson.dumps(fields, default=_as_dict, option=orjson.OPT_UTC_Z)
        except (orjson.JSONEncodeError, TypeError, UnicodeEncodeError) as error:
            raise CodecError(f"{shape.name} cannot be encoded: {error}") from error

    def decode(self, name: str, payload: bytes, stream: str, version: int) -> Any:
        """The event that was stored. Raises `CodecError` where name or payload are not of the catalogue."""
        try:
            shape, content = self._parse(name, payload)
            return self._make(shape, content, stream, version)
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
                shape, content = self._parse(name, payload)
                if shape.subject is not None and (subject := getattr(content, shape.subject)) is not None:
                    subjects.add(subject)
                parsed.append((name, stream, version, shape, content))
            except _MISFITS as error:
                parsed.append(_misfit(name, stream, version, error))
        if subjects:
            self._sealer.look_up(subjects)
        events: list[Any] = []
        for item in parsed:
            if isinstance(item, CodecError):
                events.append(item)
                continue
            name, stream, version, shape, content = item
            try:
                events.append(self._make(shape, content, stream, version))
            except _MISFITS as error:
                events.append(_misfit(name, stream, version, error))
            except SealingError as error:
                events.append(error)
        return events

    def _parse(self, name: str, payload: bytes) -> tuple[_Shape[Any], Any]:
        if name not in self._upcasts:
            shape = self._by_name[name]
            return shape, shape.parse(payload)
        fields = orjson.loads(payload)
        while name in self._upcasts:
            name, upcast = self._upcasts[name]
            fields = upcast(fields)
        shape = self._by_name[name]
        return shape, msgspec.convert(fields, shape.payload)

    def _make(self, shape: _Shape[Any], content: Any, stream: str, version: int) -> Any:
        values = shape.columns(content)
        if shape.subject is not None and (subject := getattr(content, shape.subject)) is not None:
            opened = list(values)
            for index, field in shape.sealed:
                if values[index] is not None:
                    value = self._sealer.open(subject, shape.name, field, values[index])
                    opened[index] = self._erased if value is None else value
            return shape.event(stream, version, *opened)
        return shape.event(stream, version, *values)

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
    payload = msgspec.defstruct(
        f"{event.__name__}Payload",
        [(field, str | None if field in entry.personal else hints[field]) for field in fields],
        gc=False,
    )
    try:
        parse = msgspec.json.Decoder(payload).decode
    except TypeError as error:
        raise CodecError(f"{entry.name} has no form in the log: {error}") from error
    return _Shape(
        entry.name,
        event,
        _values_of(tuple(sorted(fields))),
        tuple(sorted(fields)),
        payload,
        parse,
        _values_of(fields),
        entry.subject,
        entry.personal,
        tuple((fields.index(field), field) for field in entry.personal),
    )


def _values_of(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(fields) > 1:
        return attrgetter(*fields)  # half the time of a comprehension
    return lambda event: tuple([getattr(event, field) for field in fields])


def _as_dict(value: Any) -> dict[str, Any]:
    """A struct within an event, its names sorted as those of the event are."""
    names, values = _inner(type(value))  # type: ignore[arg-type]  # mypy holds that classes have no hash
    return dict(zip(names, values(value)))  # noqa: B905 - both are of this class


@cache
def _inner(kind: Hashable) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        raise TypeError(f"{kind} has no form in the log")
    names = tuple(sorted(kind.__struct_fields__))
    return names, _values_of(names)
