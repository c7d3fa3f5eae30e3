"""Templates as they are now, and every version of them: tables, fold, reporting views, queries.

The tables of versions and of retirements only grow. Whether a version is active is read from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection
from sqlalchemy import bindparam, case, false, true

from domain.accounts.template.definition import in_json
from domain.accounts.template.state import TemplateDefined, TemplateRetired, TemplateRevised, template_stream
from projections.engine.columns import code, index, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View, last_position
from projections.engine.writing import Row

# Tables.

_STREAM = "The name of its stream in the log."

TABLE = read_table(
    "templates",
    "One row a template, with the version that postings use.",
    code("template", _STREAM, key=True),
    code("name", "The name by which it is posted.", unique=True),
    number("newest", "The newest version that can be posted. NULL if all are retired.", bits=32, optional=True),
    number("last", "The number of the last version that was defined.", bits=32),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its first version."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("templates_in_order", "position"),
)

VERSIONS = read_table(
    "template_versions",
    "One row a version of a template. Rows are never changed.",
    code("template", _STREAM, key=True),
    number("number", "The number of the version, from 1.", bits=32, key=True),
    code("name", "The name of the template."),
    code("kind", "The kind of the transactions."),
    json_value("definition", "Parameters, amounts and entries as a JSON object, with decimal strings."),
    number("position", "Position in the log of its definition."),
    moment("recorded_at", "When it was recorded, UTC."),
)

RETIREMENTS = read_table(
    "template_retirements",
    "One row a version of a template that was retired. Rows are never changed.",
    code("template", _STREAM, key=True),
    number("number", "The number of the version that cannot be posted any more.", bits=32, key=True),
    number("position", "Position in the log of its retirement."),
    moment("recorded_at", "When it was recorded, UTC."),
)

# Fold.


def revised(row: Row, event: TemplateDefined | TemplateRevised) -> Row:
    """The version of the event is the newest."""
    return {**row, "name": event.name, "newest": event.number, "last": event.number}


def defined(row: Row, event: TemplateDefined) -> Row:
    """A new template."""
    return {**revised(row, event), "position": row["last_position"]}


def retired(row: Row, event: TemplateRetired) -> Row:
    """Postings use the newest version that is left."""
    return {**row, "newest": event.newest}


def version_of(row: Row, event: TemplateDefined | TemplateRevised) -> list[tuple[Any, ...]]:
    """The version that the event makes."""
    definition = orjson.dumps(in_json(event.definition)).decode()
    stream, at = event.originator_id, (row["last_position"], row["last_at"])
    return [(stream, event.number, event.name, event.definition.kind, definition, *at)]


def retirement_of(row: Row, event: TemplateRetired) -> list[tuple[Any, ...]]:
    """The version that the event retires."""
    return [(event.originator_id, event.number, row["last_position"], row["last_at"])]


TEMPLATES = declared(
    "templates",
    RowFold(TABLE, starts={TemplateDefined: defined}, changes={TemplateRevised: revised, TemplateRetired: retired}),
    area="accounts",
    details={
        VERSIONS: {TemplateDefined: version_of, TemplateRevised: version_of},
        RETIREMENTS: {TemplateRetired: retirement_of},
    },
    reports=(
        View(TABLE, "One row a template, with the version that postings use.", tuple(TABLE.columns.keys())),
        View(VERSIONS, "One row a version of a template.", (*VERSIONS.columns.keys(), last_position("t.position"))),
        View(
            RETIREMENTS,
            "One row a version of a template that was retired.",
            (*RETIREMENTS.columns.keys(), last_position("t.position")),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """A template as it is now."""

    name: str
    newest: int | None
    last: int
    version: int
    position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class TemplateVersionRow:
    """One version of a template, without its definition, which can be long."""

    number: int
    kind: str
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class TemplateDefinitionRow:
    """One version of a template with its definition."""

    number: int
    kind: str
    definition: Mapping[str, Any]
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class _Retirement:
    number: int


_T, _VERSIONS = readable(TABLE), readable(VERSIONS)
_ACTIVE = case((_T.c.newest.is_(None), false()), else_=true()) == bindparam("active")
TEMPLATE_LIST = Listing(_T, TemplateRow, filters=("name",), conditions={"active": _ACTIVE})
VERSION_LIST = Listing(_VERSIONS, TemplateVersionRow, key="number", filters=("template",))
DEFINITION_LIST = Listing(_VERSIONS, TemplateDefinitionRow, key="number", filters=("template", "number"))
RETIREMENT_LIST = Listing(readable(RETIREMENTS), _Retirement, key="number", filters=("template", "number"))


def template(connection: Connection[Any], name: str) -> TemplateRow | None:
    """One template by its name."""
    return TEMPLATE_LIST.one(connection, name=name)


def templates(
    connection: Connection[Any],
    *,
    active: bool | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[TemplateRow, int]:
    """Templates in the order in which they were first defined. `active`: whether any version can be posted."""
    return TEMPLATE_LIST.read(connection, {"active": active, "after": after}, limit, cursor=cursor)


def template_version(connection: Connection[Any], name: str, number: int) -> TemplateDefinitionRow | None:
    """One version of a template with its definition."""
    return DEFINITION_LIST.one(connection, template=template_stream(name), number=number)


def versions(
    connection: Connection[Any], name: str, *, after: int | None = None, cursor: int | None = None, limit: int = 100
) -> Listed[TemplateVersionRow, int]:
    """The versions of a template, oldest first; `after` is a position, `cursor` a number."""
    stream = template_stream(name)
    return VERSION_LIST.read(connection, {"template": stream, "after": after}, limit, cursor=cursor)


def retired_versions(connection: Connection[Any], name: str, cursor: int | None, limit: int) -> frozenset[int]:
    """The numbers of retired versions after the cursor: enough for a page of that many versions."""
    read = RETIREMENT_LIST.read(connection, {"template": template_stream(name)}, limit, cursor=cursor)
    return frozenset(one.number for one in read.items)


def is_retired(connection: Connection[Any], name: str, number: int) -> bool:
    """Whether the version of the template was retired."""
    return RETIREMENT_LIST.one(connection, template=template_stream(name), number=number) is not None
