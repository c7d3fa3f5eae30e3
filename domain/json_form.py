"""The JSON form of values of the domain."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from domain.kernel import Erased, Unreadable


def json_form(value: Any) -> Any:
    """Return the form of a value that orjson does not know: an event, a state, an erased or unreadable value."""
    if isinstance(value, Erased | Unreadable):
        return str(value)
    if isinstance(value, Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    raise TypeError(f"{type(value).__name__} has no form in JSON")
