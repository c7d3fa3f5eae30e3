"""Values of the domain as JSON."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from domain.kernel import Erased, Unreadable


def json_form(value: Any) -> Any:
    """Events, states and their values that cannot be read, for orjson, which knows the rest."""
    if isinstance(value, Erased | Unreadable):
        return str(value)
    if isinstance(value, Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    raise TypeError(f"{type(value).__name__} has no form in JSON")
