"""The reference pages that are written from the code: `make reference`, or `python -m workers.reference`.

`pages` has the text of each page by its file name in docs/reference. A test compares them with the committed files. A
change of an event version that was shipped is refused before anything is written (`workers.contract.compatibility`).
The page of the command line is written by typer (see the Makefile).
"""

from __future__ import annotations

import string
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import orjson

from api.gateway.problems import PROBLEMS
from api.gateway.routes import Declaration, DeclaredRoute, RouteTable
from api.openapi import describe, text_of
from api.registry import routes
from domain import together
from domain.aggregate import Aggregate, EventType
from domain.kernel import Value
from domain.permissions import ROLES
from domain.registry import AGGREGATES, CATALOGUE, RULES
from projections.engine.ddl import type_name
from projections.engine.projection import Projection
from projections.registry import PROJECTIONS
from workers.contract import asyncapi
from workers.contract.compatibility import SHIPPED, IncompatibleError, read_shipped, shipped_with, text_of_shipped
from workers.contract.event_schemas import event_schemas, fields, summary
from workers.contract.record_schemas import RECORD_SCHEMAS
from workers.metrics.catalogue import LABELS, METRICS
from workers.personal_fields import BESIDE, Kept, sealed_fields, table_fields
from workers.settings import settings_table

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
_GENERATED = "This page is written by `make reference` from the code. Do not edit it.\n"
_EVENTS_INTRODUCTION = """\
An event has a name with a version, and is stored on the stream of its aggregate. A stored event never changes.
Amounts are integers in the minor unit of their currency. A personal field is sealed with the key of the person that
another field names.

Each version has a JSON Schema of its payload as it is stored, with the sealed texts. The fields of a version never
change: new ones make a new version. A text that is `one of` a list may get more values later. Events leave Daybook on
Kafka: see the [AsyncAPI document](asyncapi.json), and the schemas of the records of [units](records/unit.json),
[heartbeats](records/heartbeat.json) and [keys](records/key.json).
"""
_RULES_INTRODUCTION = """\
A command that breaks a rule is refused with the status of the problem `refused`. The `code` of the answer is the code
of the rule, and `figures` has the figures that the braces name. The refusal is recorded: a retry with the same key gets
the same answer.
"""
_PROBLEMS_INTRODUCTION = """\
An answer that is not a success is a problem detail (RFC 9457) with the media type `application/problem+json`. Its
`type` is `urn:daybook:problem:` and the code. A refusal by a business rule has the status of `refused` and the code of
the rule: see [rules](rules.md).
"""
_PERMISSIONS_INTRODUCTION = """\
The table shows which role can use which route. A token of the file has one role: the first columns. A person who has
signed in has the role `person`, and each role that an administrator granted. The role `person` is for what is one's
own; other persons do not exist for it. Some routes are for requests without a token. A route that takes GET takes HEAD
too, with the same permission. A request without the permission gets the problem `forbidden`. A request with another
query parameter gets the problem `malformed`. A command without `dry_run` carries or returns a secret.
"""
_READ_MODELS_INTRODUCTION = """\
A read model is folded from the log. Its tables are in the schema `read`, with amounts in minor units. Reporting tools
use the views of the schema `reporting`, with amounts in major units.
"""
_PERSONAL_FIELDS_INTRODUCTION = """\
Everything personal that Daybook keeps, what for, and how long. Ids, amounts, times and codes are not listed: they are
pseudonyms and facts of the books. [How to erase or export a person](../howto/erase-and-export-persons.md) says what an
erasure reaches. Backups keep a copy of all of it for as long as they are kept.
"""
_METRICS_INTRODUCTION = """\
Each process shows its figures at `GET /metrics` on a port of its own, if `DAYBOOK_METRICS_PORT` is set
([how to observe](../howto/observe.md)). Counters begin at zero with the process. A histogram has the series `_bucket`,
`_sum` and `_count`. A process also shows the usual figures about itself, such as `process_cpu_seconds_total` and
`process_resident_memory_bytes`. No figure names a person, an account, a key or an address.
"""
_SETTINGS_INTRODUCTION = """\
Environment variables set what a process does. A wrong value is refused, and so is a variable that begins with
`DAYBOOK_` and is not known; the message names the variable. Variables that Kubernetes and Docker make for a service
named `daybook…` (`DAYBOOK_PORT=tcp://…`) are ignored, and the log names them.
"""
_SCALARS: Mapping[object, str] = {str: "text", int: "integer", bool: "true or false", date: "date", datetime: "time"}


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    described, events = describe(routes()), event_schemas()
    return {
        "events.md": _page("Events", _events()),
        "rules.md": _page("Rules", _rules()),
        "problems.md": _page("Problems", _problems()),
        "permissions.md": _page("Permissions", _permissions()),
        "read-models.md": _page("Read models", _read_models()),
        "personal-fields.md": _page("Personal fields", _personal_fields()),
        "metrics.md": _page("Metrics", _metrics()),
        "settings.md": _page("Settings", _settings()),
        "openapi.json": text_of(described),
        "asyncapi.json": asyncapi.text_of(asyncapi.document(events, described, routes())),
        **{f"events/{name}.json": _json(schema) for name, schema in events.items()},
        **{f"records/{name}.json": _json(schema) for name, schema in RECORD_SCHEMAS.items()},
    }


def write(folder: Path) -> None:
    """Write each page to the folder."""
    for name, text in pages().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _page(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# {title}\n", _GENERATED, *lines]).rstrip() + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from (_row([cell.replace("|", "\\|") for cell in row]) for row in rows)
    yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _json(schema: Mapping[str, Any]) -> str:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


# Events


def _events() -> Iterator[str]:
    yield _EVENTS_INTRODUCTION
    for aggregate in AGGREGATES:
        yield f"## {aggregate.name}\n"
        yield f"The names of its streams begin with `{aggregate.prefix}`.\n"
        for entry in aggregate.events:
            yield from _event(aggregate, entry)


def _event(aggregate: Aggregate, entry: EventType) -> Iterator[str]:
    yield f"### {entry.name}\n"
    yield f"{_described(aggregate, entry)} [Schema](events/{entry.name}.json).\n"
    kind = entry.event or entry.payload
    assert kind is not None
    hints = fields(kind)
    if not hints:
        yield "It has no fields.\n"
        return
    sealed = f"sealed with the key of `{entry.subject}`"
    rows = [
        [f"`{name}`", in_words(hint, name in entry.personal), sealed if name in entry.personal else ""]
        for name, hint in hints.items()
    ]
    yield from _table(["field", "type", "personal"], rows)
    for nested in dict.fromkeys(value for hint in hints.values() for value in values_in(hint)):
        yield f"Each {nested.__name__.lstrip('_')} has these fields.\n"
        yield from _table(["field", "type"], ([f"`{name}`", in_words(hint)] for name, hint in fields(nested).items()))


def _described(aggregate: Aggregate, entry: EventType) -> str:
    if entry.event is None:
        return f"An older version. It is read as `{entry.upcasts_to}`. {summary(entry.payload)}"
    commuting = " It commutes on a stream without limits." if entry.name in aggregate.commuting else ""
    return f"`{entry.event.__module__}.{entry.event.__name__}`: {summary(entry.event)}{commuting}"


def values_in(hint: Any) -> Iterator[type[Value]]:
    """The classes of values within a tuple."""
    if get_origin(hint) is tuple:
        yield from (one for one in get_args(hint) if isinstance(one, type) and issubclass(one, Value))


def in_words(hint: Any, personal: bool = False) -> str:
    """A type in words. A personal value is text or a list of texts, whatever else it can be read as."""
    if get_origin(hint) in (Union, UnionType):
        parts = get_args(hint)
        optional = " or null" if NoneType in parts else ""
        if personal:
            return f"{_personal(parts)}{optional}"
        values = [value for part in parts for value in get_args(part) if get_origin(part) is Literal]
        others = [in_words(part) for part in parts if part is not NoneType and get_origin(part) is not Literal]
        return " or ".join([*([_one_of(values)] if values else []), *others]) + optional
    if get_origin(hint) is Literal:
        return _one_of(get_args(hint))
    if get_origin(hint) is tuple:
        return f"list of {in_words(get_args(hint)[0])}"
    if get_origin(hint) is Mapping:
        return "pairs of texts" if get_args(hint) == (str, str) else "object"
    return _SCALARS.get(hint) or str(hint.__name__).lstrip("_")


def _personal(parts: Iterable[Any]) -> str:
    return "list of texts" if any(get_origin(part) is tuple for part in parts) else "text"


def _one_of(values: Iterable[object]) -> str:
    return "one of " + _code(str(value) for value in values)


# Rules and problems


def _rules() -> Iterator[str]:
    status, _ = PROBLEMS["refused"]
    yield _RULES_INTRODUCTION
    owners: dict[str, list[str]] = {rule: ["batches"] for rule in together.RULES}
    for aggregate in AGGREGATES:
        for rule in aggregate.rules:
            owners.setdefault(rule, []).append(aggregate.name)
    rows = [
        [f"`{rule}`", ", ".join(owners[rule]), sentence, _code(_figures(sentence)), str(status)]
        for rule, sentence in RULES.items()
    ]
    yield from _table(["code", "aggregate", "sentence", "figures in the sentence", "status"], rows)


def _figures(sentence: str) -> list[str]:
    return list(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(sentence) if name))


def _problems() -> Iterator[str]:
    yield _PROBLEMS_INTRODUCTION
    ordered = sorted(PROBLEMS.items(), key=lambda item: (item[1][0], item[0]))
    yield from _table(
        ["status", "code", "title"], ([str(status), f"`{code}`", title] for code, (status, title) in ordered)
    )


# Permissions


def _permissions() -> Iterator[str]:
    yield _PERMISSIONS_INTRODUCTION
    rows = [
        [
            f"`{method} {one.route.path_format}`",
            summary(one.route.endpoint),
            _code(one.parameters),
            *_allowed(one.declaration),
        ]
        for one in sorted(RouteTable(routes()).routes, key=lambda one: (one.route.path, _methods(one)))
        for method in _methods(one)
    ]
    yield from _table(["route", "what it does", "query parameters", *WHO], rows)


def _methods(declared: DeclaredRoute) -> list[str]:
    return sorted((declared.route.methods or set()) - {"HEAD"})


WHO: Final[dict[str, str]] = {
    **{role: role for role in ROLES},
    **{role: role for role in ("author", "moderator", "person", "administrator")},
    "without a token": "visitor",
}
"""The columns of the page of permissions, each with its role."""


def _allowed(declaration: Declaration) -> list[str]:
    if "public" in declaration.may:
        return ["everyone"] * len(WHO)
    return ["yes" if role in declaration.may else "" for role in WHO.values()]


# Read models


def _read_models() -> Iterator[str]:
    yield _READ_MODELS_INTRODUCTION
    names = {entry.event: entry.name for entry in CATALOGUE if entry.event is not None}
    for projection in PROJECTIONS:
        yield f"## {projection.name}\n"
        yield f"Area `{projection.area}`. Folded from {_code(names[one] for one in projection.read_events)}.\n"
        yield from _tables(projection)
        yield from _views(projection)


def _tables(projection: Projection) -> Iterator[str]:
    for table in projection.read_tables:
        yield f"### Table `read.{table.name}`\n"
        yield f"{table.comment}\n"
        rows = [
            [f"`{column.name}`", type_name(column), "can be null" if column.nullable else "", column.comment or ""]
            for column in table.columns
        ]
        yield from _table(["column", "type", "", "meaning"], rows)


def _views(projection: Projection) -> Iterator[str]:
    for view in projection.reports:
        yield f"### View `reporting.{view.name}`\n"
        yield f"{view.comment}\n"
        yield from _table(["column", "meaning"], ([f"`{one.name}`", one.comment] for one in view.shown))


# Personal fields


def _personal_fields() -> Iterator[str]:
    yield _PERSONAL_FIELDS_INTRODUCTION
    yield "## In the log\n"
    yield "They are sealed with the key of the person that the subject names.\n"
    sealed = ([*map(_quoted, one.place.split()), f"`{one.subject}`", *_kept(one.kept)] for one in sealed_fields())
    yield from _table(["event", "field", "subject", "purpose", "retention"], sealed)
    yield "## In read tables\n"
    yield "They are copies of the fields of the log for the same purpose, and are cleared when the person is erased.\n"
    yield from _table(["table", "column", "subject"], (_row_of_text(*text) for text in table_fields()))
    yield "## Beside the log\n"
    beside = ([f"`{place}`", *_kept(kept)] for place, kept in BESIDE.items())
    yield from _table(["where", "purpose", "retention"], beside)


def _quoted(name: str) -> str:
    return f"`{name}`"


def _kept(kept: Kept) -> tuple[str, str]:
    return kept.purpose, kept.retention


def _row_of_text(table: str, column: str, subject: str) -> list[str]:
    return [f"`read.{table}`", f"`{column}`", f"`{subject}`"]


# Metrics


def _metrics() -> Iterator[str]:
    yield _METRICS_INTRODUCTION
    rows = [[f"`{one.name}`", one.kind, _code(one.labels), f"{one.help}.", ", ".join(one.processes)] for one in METRICS]
    yield from _table(["metric", "kind", "labels", "meaning", "shown by"], rows)
    yield "The labels have these values.\n"
    yield from _table(["label", "values"], ([f"`{name}`", values] for name, values in LABELS.items()))


# Settings


def _settings() -> Iterator[str]:
    yield _SETTINGS_INTRODUCTION
    yield settings_table()


def main() -> None:
    """Write the pages and the forms of shipped events. Exits with a sentence if one was changed."""
    try:
        shipped = shipped_with(event_schemas(), read_shipped())
    except IncompatibleError as error:
        sys.exit(str(error))
    SHIPPED.write_text(text_of_shipped(shipped), encoding="utf-8")
    write(FOLDER)


if __name__ == "__main__":
    main()
