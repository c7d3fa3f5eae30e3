"""JSON Schema of the payload of every event version, as it is stored: `docs/reference/events/`.

The schemas are made from the classes of the registry. Sealed fields are texts, whatever they hold when they are opened.
Amounts are integers of minor units. A version has exactly these fields: a new field makes a new version, so the schemas
are closed. Only the values of a text that is one of a list may grow, and readers must bear values that they do not know
(`x-extensible-enum`). `workers.contract.compatibility` holds shipped versions to this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from domain.aggregate import Aggregate, EventType
from domain.kernel import Erased, Event, Unreadable, Value
from domain.registry import AGGREGATES

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SEALED: Final = r"^([0-9]+\.)?[A-Za-z0-9_-]+={0,2}$"
"""A sealed text: the version of the sealing, if it has one, and base64url (`eventstore.keys.sealing`)."""
LEAST_SEALED: Final = 40
"""Least characters of a sealed text: base64 of a nonce of 12 bytes and a tag of 16."""

Schema: TypeAlias = dict[str, Any]

_SCALARS: Final[Mapping[object, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    NoneType: {"type": "null"},
}
_FIGURE: Final[Schema] = {
    "description": "A figure. There are no fractions: money is a decimal string.",
    "type": ["string", "integer", "boolean", "null", "array", "object"],
    "items": {"$ref": "#/$defs/Figure"},
    "additionalProperties": {"$ref": "#/$defs/Figure"},
}


def event_schemas() -> dict[str, Schema]:
    """The schema of every event version that was ever released, by its name."""
    return {entry.name: event_schema(aggregate, entry) for aggregate in AGGREGATES for entry in aggregate.events}


def event_schema(aggregate: Aggregate, entry: EventType) -> Schema:
    """The schema of the payload of one event version. Raises `ValueError` for an old one without `payload`."""
    kind = entry.event or entry.payload
    if kind is None:
        raise ValueError(f"{entry.name} is an old version: declare the fields that it stored as its `payload`")
    older = "" if entry.event is not None else f" It is an older version, and is read as `{entry.upcasts_to}`."
    made = _Made(aggregate.amounts)
    body = made.struct(kind, entry)
    return {
        "$schema": DIALECT,
        "$id": f"urn:daybook:event:{entry.name}",
        "title": entry.name,
        "description": f"{summary(kind)}{older}",
        **({"x-subject": entry.subject} if entry.subject is not None else {}),
        **body,
        **({"$defs": made.definitions} if made.definitions else {}),
    }


def fields(kind: type[Value]) -> dict[str, Any]:
    """The fields of a value and their types. Those that all events have are left out."""
    common = Event.__struct_fields__ if issubclass(kind, Event) else ()
    hints = get_type_hints(kind)
    return {name: hints[name] for name in kind.__struct_fields__ if name not in common}


def summary(owner: object) -> str:
    """The first paragraph of the docstring of a class or function, on one line."""
    doc: str = owner.__dict__.get("__doc__") or "" if isinstance(owner, type) else owner.__doc__ or ""
    return " ".join(doc.strip().split("\n\n")[0].split())


class _Made:
    """Makes the parts of one schema, and collects the definitions that they refer to."""

    def __init__(self, amounts: frozenset[str]) -> None:
        """`amounts` are the names of fields in minor units."""
        self._amounts = amounts
        self.definitions: dict[str, Schema] = {}

    def struct(self, kind: type[Value], entry: EventType | None = None) -> Schema:
        """The schema of a value as an object. `entry` says which fields are sealed."""
        personal = entry.personal if entry is not None else ()
        properties = {
            name: _sealed(hint, entry.subject) if entry is not None and name in personal else self._field(name, hint)
            for name, hint in fields(kind).items()
        }
        return {
            "type": "object",
            "properties": properties,
            "required": sorted(properties),
            "additionalProperties": False,
        }

    def _field(self, name: str, hint: Any) -> Schema:
        schema = self._of(hint)
        return {**schema, "description": "In minor units of the currency."} if name in self._amounts else schema

    def _of(self, hint: Any) -> Schema:
        """The schema of a type. Raises `ValueError` for one that has no form in the log."""
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in (Union, UnionType):
            return self._one_of(arguments)
        if origin is Literal:
            return {"type": "string", "x-extensible-enum": list(arguments)}
        if origin is tuple:
            return {"type": "array", "items": self._of(arguments[0])}
        if origin is Mapping:
            return self._mapping(arguments)
        if isinstance(hint, type) and issubclass(hint, Value):
            return self._defined(hint)
        if hint not in _SCALARS:
            raise ValueError(f"{hint} has no form in the log")
        return dict(_SCALARS[hint])

    def _one_of(self, arms: Sequence[Any]) -> Schema:
        """The schema of a union. Lists of values are joined, and simple types become a list of types."""
        values = [value for arm in arms if get_origin(arm) is Literal for value in get_args(arm)]
        schemas = [self._of(Literal[tuple(values)])] if values else []
        schemas += [self._of(arm) for arm in arms if get_origin(arm) is not Literal]
        if sum(schema.keys() != {"type"} for schema in schemas) > 1 or any("$ref" in schema for schema in schemas):
            return {"anyOf": schemas}
        joined = {key: value for schema in schemas for key, value in schema.items()}
        types = [schema["type"] for schema in schemas]
        return {**joined, "type": types if len(types) > 1 else types[0]}

    def _mapping(self, arguments: tuple[Any, ...]) -> Schema:
        if arguments == (str, str):
            return {"type": "object", "additionalProperties": {"type": "string"}}
        self.definitions["Figure"] = _FIGURE
        return {"type": "object", "additionalProperties": {"$ref": "#/$defs/Figure"}}

    def _defined(self, kind: type[Value]) -> Schema:
        name = kind.__name__.lstrip("_")
        if name not in self.definitions:
            self.definitions[name] = {}  # a value that contains itself refers to what is being made
            self.definitions[name] = {"description": summary(kind), **self.struct(kind)}
        return {"$ref": f"#/$defs/{name}"}


def _sealed(hint: Any, subject: str | None) -> Schema:
    arms = get_args(hint)
    what = "A list of texts, sealed as one" if _holds_texts(arms) else "A text, sealed"
    return {
        "description": f"{what} with the key of `{subject}`.",
        "type": ["string", "null"] if NoneType in arms else "string",
        "pattern": SEALED,
        "minLength": LEAST_SEALED,
        "x-personal": True,
    }


def _holds_texts(arms: Iterable[Any]) -> bool:
    return any(get_origin(arm) is tuple for arm in arms if arm not in (Erased, Unreadable))
