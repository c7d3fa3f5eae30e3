"""The arrows of the house, read from the syntax tree of every module: who may import whom, and what `domain` may do.

A rule here is a generator over one module's tree that yields what offends it. Each is tried on a module that breaks
it, so that none of them passes because it looks at nothing.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]

MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    "domain": frozenset(),
    "eventstore": frozenset(),
    "migrations": frozenset({"eventstore"}),  # its connections are like all others
    "projections": frozenset({"eventstore", "domain"}),
    "api": frozenset({"projections", "eventstore", "domain"}),
    "workers": frozenset({"api", "projections", "eventstore", "domain", "migrations"}),
}
OURS: Final = frozenset({*MAY_IMPORT, "tests", "bench"})

# What a context may import of the other contexts: entries are made in one place, and orders pay through it.
CONTEXTS: Final = ("domain.accounts", "domain.orders", "domain.posts")
MAY_IMPORT_OF_CONTEXTS: Final = {"domain.orders": ("domain.accounts.posting",)}

# The protocols of the one, the immutable values of the other; beside them only what computes, of Python's own.
DOMAIN_LIBRARIES: Final = frozenset({"eventsourcing", "msgspec"})
IMPURE_MODULES: Final = frozenset(
    "asyncio fileinput ftplib glob http io logging multiprocessing os pathlib platform random secrets select shelve "
    "shutil signal smtplib socket socketserver sqlite3 ssl subprocess sys tempfile threading time urllib".split()
)
IMPURE_CALLS: Final = frozenset(
    "datetime.now datetime.utcnow datetime.today date.today datetime.datetime.now datetime.datetime.utcnow "
    "datetime.datetime.today datetime.date.today uuid.uuid1 uuid.uuid4 uuid.uuid6 uuid.uuid7 open input print "
    "__import__ exec eval".split()
)

ENTRIES: Final = frozenset({"AccountDebited", "AccountCredited", "TransactionPosted"})
ENTRY_MAKER: Final = "domain.accounts.posting"


class Offence(NamedTuple):
    """What breaks a rule, and in which line."""

    line: int
    what: str


Rule = Callable[[str, ast.Module], Iterator[Offence]]


def imports(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each name a module imports, dotted from the top, and its line; constant dynamic imports too."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                above = module.split(".")[:-level] if level else []
                start = [*above, *([source] if source else [])]
                yield from ((node.lineno, ".".join([*start, name.name])) for name in names)
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if dotted(func).endswith(
                ("import_module", "__import__")
            ):
                yield node.lineno, name


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain, empty for what is none."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute) if before := dotted(value):
            return f"{before}.{attribute}"
    return ""


def within(name: str, package: str) -> bool:
    """Whether a dotted name is a package or lies in it."""
    return name == package or name.startswith(f"{package}.")


def the_arrows_between_packages(module: str, tree: ast.Module) -> Iterator[Offence]:
    here = module.partition(".")[0]
    for line, name in imports(module, tree):
        target = name.partition(".")[0]
        if target in OURS and target != here and target not in MAY_IMPORT[here]:
            yield Offence(line, f"{here} must not import {target} (it imports {name})")


def domain_imports_only_what_computes(module: str, tree: ast.Module) -> Iterator[Offence]:
    if not within(module, "domain"):
        return
    for line, name in imports(module, tree):
        top = name.partition(".")[0]
        pure = top in sys.stdlib_module_names and top not in IMPURE_MODULES
        if not pure and top not in DOMAIN_LIBRARIES and top not in OURS:
            yield Offence(
                line, f"domain must not import {name}: it does no I/O and knows no framework, clock or chance"
            )


def domain_has_no_clock_and_no_chance(module: str, tree: ast.Module) -> Iterator[Offence]:
    if not within(module, "domain"):
        return
    origins = dict(imported_names(module, tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (called := dotted(node.func)):
            first, dot, rest = called.partition(".")
            if {called, f"{origins.get(first, first)}{dot}{rest}"} & IMPURE_CALLS:
                yield Offence(node.lineno, f"domain must not call {called}(): times and ids come with the command")


def contexts_know_of_each_other_only_what_they_may(module: str, tree: ast.Module) -> Iterator[Offence]:
    here = next((context for context in CONTEXTS if within(module, context)), None)
    if here is None:
        return
    for line, name in imports(module, tree):
        other = next((context for context in CONTEXTS if within(name, context) and context != here), None)
        if other and not any(within(name, allowed) for allowed in MAY_IMPORT_OF_CONTEXTS.get(here, ())):
            yield Offence(line, f"{here} must not import {name}")


def only_posting_makes_entries(module: str, tree: ast.Module) -> Iterator[Offence]:
    if module == ENTRY_MAKER:
        return
    origins = dict(imported_names(module, tree))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=used) | ast.Assign(value=used) | ast.NamedExpr(value=used):
                for line, name in chosen(used):  # an assignment, too: it gives the class a name to be called by
                    first, dot, rest = name.partition(".")
                    made = f"{origins.get(first, first)}{dot}{rest}".rpartition(".")[2]
                    if made in ENTRIES:
                        yield Offence(line, f"only {ENTRY_MAKER} makes entries, and this makes {made}")


def chosen(node: ast.expr) -> Iterator[tuple[int, str]]:
    """The dotted names an expression may come out as."""
    match node:
        case ast.IfExp(body=body, orelse=otherwise):
            yield from chosen(body)
            yield from chosen(otherwise)
        case ast.BoolOp(values=values):
            for value in values:
                yield from chosen(value)
        case _:
            yield node.lineno, dotted(node)


def imported_names(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each name that an import binds in the module, and the dotted name it stands for."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((name.asname, name.name) for name in names if name.asname)
            case ast.ImportFrom(module=source, names=names):
                yield from ((name.asname or name.name, f"{source or module}.{name.name}") for name in names)


RULES: Final[tuple[Rule, ...]] = (
    the_arrows_between_packages,
    domain_imports_only_what_computes,
    domain_has_no_clock_and_no_chance,
    contexts_know_of_each_other_only_what_they_may,
    only_posting_makes_entries,
)


def module_name(file: Path) -> str:
    """Dotted; a package is named by its `__init__`, so that relative imports count their levels alike everywhere."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_every_module_keeps_the_rules(package: str) -> None:
    assert modules(package), f"{package}/ is missing or empty: these rules would hold for nothing"
    offences = [
        f"{file.relative_to(ROOT)}:{offence.line}: {offence.what}"
        for file in modules(package)
        for tree in [ast.parse(file.read_text(encoding="utf-8"), str(file))]
        for rule in RULES
        for offence in rule(module_name(file), tree)
    ]
    assert offences == []


def test_the_entries_are_made_where_we_look() -> None:
    tree = ast.parse((ROOT / "domain" / "accounts" / "posting.py").read_text(encoding="utf-8"))
    made = {offence.what.split()[-1] for offence in only_posting_makes_entries("elsewhere", tree)}
    assert made == ENTRIES, "an entry event was renamed, or is made in another way than by calling it"


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (the_arrows_between_packages, "domain.money", "import eventstore"),
        (the_arrows_between_packages, "domain.money", "from projections.engine.runner import run"),
        (the_arrows_between_packages, "domain.accounts.posting", "from ... import api"),
        (the_arrows_between_packages, "eventstore.log.append", "from domain import catalogue"),
        (the_arrows_between_packages, "eventstore.log.append", "def late():\n    import workers.settings"),
        (the_arrows_between_packages, "projections.engine.runner", "if TYPE_CHECKING:\n    from api import app"),
        (the_arrows_between_packages, "api.app", "import workers.settings as settings"),
        (the_arrows_between_packages, "api.app", "from importlib import import_module\nimport_module('migrations')"),
        (the_arrows_between_packages, "migrations.env", "import projections.engine.tables"),
        (the_arrows_between_packages, "workers.cli", "from tests.support import postgres"),
        (domain_imports_only_what_computes, "domain.money", "import sqlalchemy"),
        (domain_imports_only_what_computes, "domain.money", "from psycopg import sql"),
        (domain_imports_only_what_computes, "domain.orders.order", "from fastapi import HTTPException"),
        (domain_imports_only_what_computes, "domain.ids", "import random"),
        (domain_imports_only_what_computes, "domain.ids", "from os import urandom"),
        (domain_has_no_clock_and_no_chance, "domain.ids", "from datetime import datetime\ndatetime.now(UTC)"),
        (domain_has_no_clock_and_no_chance, "domain.ids", "from datetime import datetime as dt\ndt.now(UTC)"),
        (domain_has_no_clock_and_no_chance, "domain.ids", "import datetime\ndatetime.date.today()"),
        (domain_has_no_clock_and_no_chance, "domain.ids", "from uuid import uuid4 as fresh\nfresh()"),
        (domain_has_no_clock_and_no_chance, "domain.ids", "open('x')"),
        (contexts_know_of_each_other_only_what_they_may, "domain.accounts.account", "from domain.orders import order"),
        (contexts_know_of_each_other_only_what_they_may, "domain.accounts.account", "from domain import posts"),
        (contexts_know_of_each_other_only_what_they_may, "domain.orders.order", "from domain.accounts import account"),
        (contexts_know_of_each_other_only_what_they_may, "domain.posts.post", "import domain.accounts.posting"),
        (only_posting_makes_entries, "domain.orders.decisions", "AccountDebited('a', 1)"),
        (only_posting_makes_entries, "domain.accounts.decisions", "events.TransactionPosted('t', 1)"),
        (only_posting_makes_entries, "api.app", "from domain.accounts.events import AccountCredited as C\nC()"),
        (only_posting_makes_entries, "domain.orders.order", "make = AccountOpened if x else AccountDebited\nmake()"),
    ],
)
def test_each_rule_can_fail(rule: Rule, module: str, source: str) -> None:
    assert len(list(rule(module, ast.parse(source)))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("domain.orders.decisions", "from domain.accounts.posting import post\nfrom domain.accounts import posting"),
        ("domain.accounts.account", "from .events import AccountOpened\nmatch e:\n    case AccountDebited(): ..."),
        ("domain.accounts.posting", "AccountDebited('a', 1)"),
        ("domain.kernel", "from datetime import date, datetime\nfrom eventsourcing.domain import DomainEventProtocol"),
        ("domain.kernel", "context.now()\ndate.fromisoformat('2026-01-01')"),
        ("eventstore.log.append", "import time, psycopg\ntime.monotonic()"),
        ("projections.engine.runner", "from eventstore import read\nfrom domain import catalogue"),
        ("workers.cli", "from migrations import runner\nfrom api.app import app"),
    ],
)
def test_what_is_allowed_offends_no_rule(module: str, source: str) -> None:
    tree = ast.parse(source)
    assert [offence for rule in RULES for offence in rule(module, tree)] == []
