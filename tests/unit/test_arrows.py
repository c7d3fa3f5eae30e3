"""The allowed imports between modules, read from syntax trees, and what code in `domain` may do.

A rule is a generator over the tree of a module that yields the offences. Each rule is also tested on a module that
breaks it, so that no rule passes because it checks nothing.
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
    "migrations": frozenset({"eventstore"}),  # its connections are made like all others
    "projections": frozenset({"eventstore", "domain"}),
    "api": frozenset({"projections", "eventstore", "domain"}),
    "workers": frozenset({"api", "projections", "eventstore", "domain", "migrations"}),
}
OURS: Final = frozenset({*MAY_IMPORT, "tests", "bench"})

# The areas that each area may use, in every layer.
AREAS: Final[dict[str, frozenset[str]]] = {
    "people": frozenset(),
    "accounts": frozenset({"people"}),
    "orders": frozenset({"people", "accounts"}),
    "posts": frozenset({"people"}),
    "processes": frozenset(),
    "webhooks": frozenset({"people"}),
    "analytics": frozenset({"people", "accounts", "orders", "posts"}),
}
# What the decisions of an area may use of another area. Entries are made in one module, and orders pay through it.
DECISIONS_OF_OTHERS: Final = {
    "domain.accounts": ("domain.people.approval", "domain.people.mail"),
    "domain.orders": ("domain.accounts.posting",),
    "domain.webhooks": ("domain.people.mail", "domain.people.mailing", "domain.people.person.state"),
}

# What each package may import of its layer. A folder that is not in this table is an area.
MAY_IMPORT_WITHIN: Final[dict[str, dict[str, frozenset[str]]]] = {
    "domain": {},
    "eventstore": {
        "postgres": frozenset(),
        "keys": frozenset({"postgres"}),
        "credentials": frozenset({"keys", "postgres"}),
        "log": frozenset({"keys", "postgres"}),
        "executor": frozenset({"histogram", "keys", "log", "postgres", "tracebacks"}),
        "library": frozenset({"log", "postgres"}),
        "reads": frozenset({"postgres"}),
        "webhooks": frozenset({"credentials", "keys", "log", "postgres"}),
        "batches": frozenset({"keys", "log", "postgres"}),
        "proof": frozenset({"log", "postgres"}),
    },
    "projections": {"engine": frozenset(), "commands": frozenset({"engine"}), "replay": frozenset()},
    "api": {
        "gateway": frozenset({"services"}),
        "queries": frozenset({"gateway", "services"}),
        "commands": frozenset({"gateway", "queries", "services"}),
        "system": frozenset({"commands", "gateway", "queries", "services"}),
    },
}
OF_AN_AREA: Final[dict[str, frozenset[str]]] = {
    "domain": frozenset(
        {"aggregate", "claims", "codes", "expiry", "ids", "kernel", "money", "permissions", "process_manager"}
    ),
    "projections": frozenset({"engine"}),
    "api": frozenset({"commands", "gateway", "queries", "services"}),
}
"""What the folder of an area may import of its layer."""

# The protocols of the first, the immutable values of the second, and modules of Python that only compute.
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
    """An offence against a rule, and its line."""

    line: int
    what: str


Rule = Callable[[str, ast.Module], Iterator[Offence]]


def imports(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each imported name, with its full dotted path, and its line. Constant dynamic imports count too."""
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
    """`a.b.c` of an attribute chain; empty for another expression."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute) if before := dotted(value):
            return f"{before}.{attribute}"
    return ""


def within(name: str, package: str) -> bool:
    """Whether a dotted name is a package or is inside it."""
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


def areas_use_each_other_one_way(module: str, tree: ast.Module) -> Iterator[Offence]:
    here = area_of(module)
    for line, name in imports(module, tree):
        there = area_of(name)
        if there is not None and here is not None and there != here and there not in AREAS[here]:
            yield Offence(line, f"{here} must not use {there} (it imports {name})")


def decisions_use_only_the_kernel_of_another_area(module: str, tree: ast.Module) -> Iterator[Offence]:
    here = area_of(module)
    if here in (None, "analytics") or not within(module, "domain"):
        return
    for line, name in imports(module, tree):
        if within(name, "domain") and area_of(name) not in (None, here):
            allowed = DECISIONS_OF_OTHERS.get(f"domain.{here}", ())
            if not any(within(name, one) for one in allowed):
                yield Offence(line, f"domain.{here} must not import {name}")


def packages_of_a_layer_use_each_other_one_way(module: str, tree: ast.Module) -> Iterator[Offence]:
    layer, _, rest = module.partition(".")
    here, _, inner = rest.partition(".")
    packages = MAY_IMPORT_WITHIN.get(layer, {})
    if area_of(module) is not None:
        allowed = OF_AN_AREA[layer] | AREAS[here]
    elif here in packages and inner:
        allowed = packages[here]
    else:
        return
    for line, name in imports(module, tree):
        top, _, rest = name.partition(".")
        there = rest.partition(".")[0]
        if top == layer and there and there != here and there not in allowed:
            yield Offence(line, f"{layer}.{here} must not import {layer}.{there} (it imports {name})")


def area_of(name: str) -> str | None:
    """The area of a module: the name of its folder in the layer."""
    layer, _, rest = name.partition(".")
    area = rest.partition(".")[0]
    return area if layer in OF_AN_AREA and area in AREAS else None


def only_posting_makes_entries(module: str, tree: ast.Module) -> Iterator[Offence]:
    if module == ENTRY_MAKER:
        return
    origins = dict(imported_names(module, tree))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=used) | ast.Assign(value=used) | ast.NamedExpr(value=used):
                for line, name in chosen(used):  # an assignment too, because it gives the class another name
                    first, dot, rest = name.partition(".")
                    made = f"{origins.get(first, first)}{dot}{rest}".rpartition(".")[2]
                    if made in ENTRIES:
                        yield Offence(line, f"only {ENTRY_MAKER} makes entries, and this makes {made}")


def chosen(node: ast.expr) -> Iterator[tuple[int, str]]:
    """The dotted names that an expression may refer to."""
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
    """Each name that an import binds in the module, and its full dotted name."""
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
    areas_use_each_other_one_way,
    decisions_use_only_the_kernel_of_another_area,
    packages_of_a_layer_use_each_other_one_way,
    only_posting_makes_entries,
)


def module_name(file: Path) -> str:
    """The dotted name of a module. That of a package ends with `__init__`, so relative imports count levels equally."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_every_module_keeps_the_rules(package: str) -> None:
    assert modules(package), f"{package}/ is missing or empty: these rules would check nothing"
    offences = [
        f"{file.relative_to(ROOT)}:{offence.line}: {offence.what}"
        for file in modules(package)
        for tree in [ast.parse(file.read_text(encoding="utf-8"), str(file))]
        for rule in RULES
        for offence in rule(module_name(file), tree)
    ]
    assert offences == []


@pytest.mark.parametrize("layer", sorted(MAY_IMPORT_WITHIN))
def test_every_folder_of_a_layer_is_an_area_or_has_its_arrows(layer: str) -> None:
    folders = {file.parent.name for file in (ROOT / layer).glob("*/__init__.py")}
    assert folders, f"{layer}/ has no folders: these rules would check nothing"
    unknown = folders - AREAS.keys() - MAY_IMPORT_WITHIN[layer].keys()
    assert not unknown, f"{layer}/ has {unknown}: add it to AREAS, or add what it may use to MAY_IMPORT_WITHIN"


def test_the_module_that_makes_entries_is_found() -> None:
    tree = ast.parse((ROOT / "domain" / "accounts" / "posting.py").read_text(encoding="utf-8"))
    made = {offence.what.split()[-1] for offence in only_posting_makes_entries("elsewhere", tree)}
    assert made == ENTRIES, "an entry event was renamed, or is not made by a call"


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (the_arrows_between_packages, "domain.money", "import eventstore"),
        (the_arrows_between_packages, "domain.money", "from projections.engine.runner import run"),
        (the_arrows_between_packages, "domain.accounts.posting", "from ... import api"),
        (the_arrows_between_packages, "eventstore.log.append", "from domain import registry"),
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
        (areas_use_each_other_one_way, "domain.accounts.account.state", "from domain.orders import order"),
        (areas_use_each_other_one_way, "domain.accounts.posting", "from domain import posts"),
        (areas_use_each_other_one_way, "projections.accounts.entries.fold", "from domain.orders.order import Order"),
        (areas_use_each_other_one_way, "api.posts.posts", "from api.accounts import bodies"),
        (areas_use_each_other_one_way, "api.accounts.accounts", "from projections.analytics import trends"),
        (decisions_use_only_the_kernel_of_another_area, "domain.orders.order", "from domain.accounts import account"),
        (decisions_use_only_the_kernel_of_another_area, "domain.posts.post", "import domain.people.person"),
        (packages_of_a_layer_use_each_other_one_way, "eventstore.log.read", "from eventstore.executor import replies"),
        (packages_of_a_layer_use_each_other_one_way, "projections.engine.runner", "from projections import registry"),
        (packages_of_a_layer_use_each_other_one_way, "api.gateway.problems", "from api.commands import execution"),
        (packages_of_a_layer_use_each_other_one_way, "api.gateway.tickets", "import api.accounts.accounts"),
        (packages_of_a_layer_use_each_other_one_way, "api.orders.orders", "from api.registry import ROUTERS"),
        (only_posting_makes_entries, "domain.orders.order", "AccountDebited('a', 1)"),
        (only_posting_makes_entries, "domain.accounts.account.lifecycle", "events.TransactionPosted('t', 1)"),
        (only_posting_makes_entries, "api.app", "from domain.accounts.account.events import AccountCredited as C\nC()"),
        (only_posting_makes_entries, "domain.orders.order", "make = AccountOpened if x else AccountDebited\nmake()"),
    ],
)
def test_each_rule_can_fail(rule: Rule, module: str, source: str) -> None:
    assert len(list(rule(module, ast.parse(source)))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("domain.orders.order", "from domain.accounts.posting import post\nfrom domain.accounts import posting"),
        (
            "domain.accounts.account.state",
            "from .events import AccountOpened\nmatch e:\n    case AccountDebited(): ...",
        ),
        ("domain.accounts.posting", "AccountDebited('a', 1)"),
        ("domain.kernel", "from datetime import date, datetime\nfrom eventsourcing.domain import DomainEventProtocol"),
        ("domain.kernel", "context.now()\ndate.fromisoformat('2026-01-01')"),
        ("eventstore.log.append", "import time, psycopg\ntime.monotonic()"),
        ("projections.engine.runner", "from eventstore import read\nfrom domain import registry"),
        ("workers.cli", "from migrations import runner\nfrom api.app import app"),
    ],
)
def test_allowed_code_offends_no_rule(module: str, source: str) -> None:
    tree = ast.parse(source)
    assert [offence for rule in RULES for offence in rule(module, tree)] == []
