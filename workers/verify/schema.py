"""Checks that the schemas of the database are those that this version of Daybook creates.

`schema.sql` lists what exists, one line for each object or right. `schema.txt` has the lines of a database that was
just migrated and prepared. The check compares the two as sets. `make schema` writes the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from domain.money import EXPONENTS
from projections.engine.checkpoint import NEXT
from projections.engine.projection import Projection
from workers.verify.report import Check, Finding, checked

SCHEMA: Final = "the schema is what this version creates"
MANIFEST: Final = Path(__file__).with_name("schema.txt")
_LINES: Final = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
_RIGHTS: Final = ("grant on ", "role ", "login ")
_WRITTEN_BY_PREPARE: Final = ("projections", "reports", "currencies", "checkpoints", "projection_errors", "partitions")
_CURRENCIES = "SELECT currency, exponent, minor_unit = 10::numeric ^ -exponent FROM read.currencies"
_OF_A_COPY = "SELECT EXISTS (SELECT FROM log.copies)"
_APPENDING: Final = ("log.append", "log.create_log", "library.insert_events")
"""The functions that nobody but the owner may call in a database that holds a copy (log.begin_copy)."""
_REPORTS = "SELECT projection, digest FROM read.reports"


def check_schema(connection: Connection[Any], projections: Sequence[Projection]) -> Check:
    """Compare what exists with the manifest, and the currencies and reporting views with those of this version."""
    expected = MANIFEST.read_text(encoding="utf-8").splitlines()
    if connection.execute(_OF_A_COPY).fetchone() == (True,):
        expected = [line for line in expected if not _lets_append(line)]
    actual = [line for line in read_schema(connection) if not _is_of_a_rebuild(line, projections)]
    sentences = differences(expected, actual, projections)
    if connection.execute("SELECT to_regclass('read.currencies') IS NOT NULL").fetchone() == (True,):
        sentences += _wrong_currencies(connection)
    if connection.execute("SELECT to_regclass('read.reports') IS NOT NULL").fetchone() == (True,):
        sentences += _wrong_reports(connection, projections)
    findings = [Finding(SCHEMA, None, sentence) for sentence in sentences]
    return checked(SCHEMA, "objects and rights", len(actual), len(actual), findings)


def planted(connection: Connection[Any]) -> list[str]:
    """Foreign objects whose code would run when the read tables are made.

    These are triggers, constraints and the like on the tables that `projections.engine.tables.prepare` writes to, and
    operators, types and functions in the schema `read`, which its statements could call. The same holds for a rebuild
    and the schema `read_next`. `read.rooms` is the former name of `read.projections`; `prepare` renames it.
    """
    expected = _by_object(MANIFEST.read_text(encoding="utf-8").splitlines())
    return [
        name
        for name, message in _by_object(map(_as_it_is_called_now, read_schema(connection))).items()
        if expected.get(name) != message and not name.startswith(_RIGHTS) and _is_run_by_prepare(name)
    ]


def read_schema(connection: Connection[Any]) -> list[str]:
    """The lines of what exists in the schemas of Daybook, sorted."""
    with connection.transaction(force_rollback=True):  # the search path ends with it
        connection.execute("SET LOCAL search_path = pg_catalog")
        return [line for (line,) in connection.execute(_LINES.encode())]


def differences(expected: Iterable[str], actual: Iterable[str], projections: Sequence[Projection]) -> list[str]:
    """A sentence for each line that is missing, changed or unexpected, with its repair."""
    wanted, found = _by_object(expected), _by_object(actual)
    sentences = []
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) == found.get(name):
            continue
        if name not in found:
            what = f"{name} is missing ({wanted[name]})"
        elif name not in wanted:
            what = f"{name} is not of this version ({found[name]})"
        else:
            what = f"{name} is {found[name]!r}, and should be {wanted[name]!r}"
        sentences.append(f"{what}; {repair(name, name in wanted, projections)}")
    return sentences


def repair(name: str, wanted: bool, projections: Sequence[Projection]) -> str:
    """How an operator repairs an object that differs."""
    if name.startswith(_RIGHTS):
        return "daybook migrate gives rights again" if wanted else "revoke it"
    for projection in projections:
        if _belongs(name, projection):
            return f"daybook rebuild {projection.name} makes it again"
    if not wanted:
        return "find out who made it, and drop it"
    if any(f" {schema}" in name for schema in ("read.", "read_next", "read_old", "reporting.")):
        return "daybook migrate makes what is missing"
    return "no command repairs the schema of the log: restore it from a backup"


def _lets_append(line: str) -> bool:
    """Whether this is a right to append, which nobody has in a copy."""
    return " to daybook_api: " in line and line.startswith(tuple(f"grant on function {one}(" for one in _APPENDING))


def _belongs(name: str, projection: Projection) -> bool:
    """Whether an object belongs to a table or a reporting view of a projection."""
    _, _, qualified = name.rpartition(" ")
    relations = [f"read.{table}" for table in projection.tables] + [f"reporting.{view}" for view in projection.views]
    return any(qualified == relation or qualified.startswith(f"{relation}.") for relation in relations)


def _is_of_a_rebuild(line: str, projections: Sequence[Projection]) -> bool:
    """Whether this is about a table that a rebuild folds at this moment, or has left, beside the one that is read."""
    name, _, _ = line.partition(": ")
    tables = {f"{NEXT}.{table}" for projection in projections for table in projection.tables}
    return any(word in tables or word.rpartition(".")[0] in tables for word in name.split(" "))


def _is_run_by_prepare(name: str) -> bool:
    schemas = ("read", NEXT)  # the search paths of `prepare` and of a rebuild
    if name.startswith(("function ", "object ")) and any(f" {schema}." in name for schema in schemas):
        return True
    relations = [f"{schema}.{table}" for schema in schemas for table in _WRITTEN_BY_PREPARE]
    return any(
        word == relation or word.startswith(f"{relation}.") for word in name.split(" ") for relation in relations
    )


def _as_it_is_called_now(line: str) -> str:
    return line.replace("read.rooms", "read.projections").replace("rooms_pkey", "projections_pkey")


def _by_object(lines: Iterable[str]) -> Mapping[str, str]:
    return {name: message for name, _, message in (line.partition(": ") for line in lines)}


def _wrong_currencies(connection: Connection[Any]) -> list[str]:
    rows = {currency: (exponent, exact) for currency, exponent, exact in connection.execute(_CURRENCIES)}
    repaired = "any daybook rebuild writes the currencies anew"
    sentences = []
    for currency in sorted(rows.keys() | EXPONENTS.keys()):
        exponent, exact = rows.get(currency, (None, True))
        if exponent != EXPONENTS.get(currency) or not exact:
            what = (
                f"read.currencies has {exponent} digits for {currency}, and this version {EXPONENTS.get(currency)}"
                if exponent != EXPONENTS.get(currency)
                else f"the minor unit of {currency} in read.currencies is not 10 to the power of -{exponent}"
            )
            sentences.append(f"{what}; {repaired}")
    return sentences


def _wrong_reports(connection: Connection[Any], projections: Sequence[Projection]) -> list[str]:
    kept = dict(connection.execute(_REPORTS).fetchall())
    return [
        f"read.reports does not say that the views of {projection.name} are of this version; "
        f"daybook rebuild {projection.name} makes them again"
        for projection in projections
        if kept.get(projection.name) != projection.reporting_digest
    ]
