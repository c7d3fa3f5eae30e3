"""Types of the members of responses. They are for the type checker and for the OpenAPI description.

A response is a `TypedDict`: a plain dict when the program runs, so it costs nothing. Each member is declared once, with
its type and, where its name does not explain it, a description.
"""

from __future__ import annotations

from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, WithJsonSchema, create_model


def one_of(literal: Any) -> WithJsonSchema:
    """Describes a text as one of the values of a `Literal`, or of a union of them."""
    return WithJsonSchema({"type": "string", "enum": list(values_of(literal))})


def values_of(literal: Any) -> tuple[str, ...]:
    """The values of a `Literal`, or of a union of them."""
    values: tuple[Any, ...] = get_args(literal)
    if get_origin(literal) is Union:
        return tuple(value for one in values for value in values_of(one))
    return values


Money = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,3})?$", "examples": ["12.30"]})
]
"""A decimal string with as many decimals as the currency has."""
CurrencyCode = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]})]
"""A code of ISO 4217. The values are not listed, so that clients do not fail when a currency is added."""
Position = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": r"^.+\.[0-9]+\.[0-9]+$", "examples": ["main.1.42"]})
]
"""A position in the log, with the log's name and epoch."""
StreamVersion = Annotated[int, Field(description="The version of the stream, for `If-Match` and `expected_versions`")]
LogPosition = Annotated[int, Field(description="The position in the log of the event that created this item")]
Erasable = Annotated[str | None, Field(description="Null once the personal data of its subject was erased")]


def page_of(item: Any) -> type[BaseModel]:
    """The description of a page of these items."""
    return create_model(
        f"{item.__name__}Page",
        __doc__=f"A page of a list. Its items are of the type `{item.__name__}`.",
        items=(list[item], Field()),
        next=(str | None, Field(description="Pass it as `cursor` to get the next page; null on the last page")),
    )
