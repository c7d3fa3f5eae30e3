"""The documentation names what exists: files, modules, tests, links; and uses the terms of the glossary."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("domain", "eventstore", "projections", "api", "workers", "migrations", "bench", "tests")
FOLDERS: Final = (*PACKAGES, "docs", "deploy", ".ci", ".github")
PAGES: Final = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
GLOSSARY: Final = ROOT / "docs" / "glossary.md"
PRIVATE: Final = re.compile(
    r"(?i:\b(told|said|doors?|lanes?|beliefs?|believed?|rooms?|ours|of ours)\b)"
    r"|\b(Places|Sink|Layout|Plan|Standing)\b|`(Stop|Fact|Memory)`"
)
"""Words of a private vocabulary that the pages used before they got the terms of the glossary."""
CODE: Final = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
NAME: Final = re.compile(r"`([a-z_]+(?:\.\w+)+)(?:\(\))?`")
PATH: Final = re.compile(
    r"(?<![\w/.:-])((?:" + "|".join(map(re.escape, FOLDERS)) + r")/[\w./{},*-]*|[\w-]+(?:/[\w-]+)+\.(?:py|sql))"
)
TEST: Final = re.compile(r"(?<![\w/])(?:([\w/]*\btest_\w+\.py)(?:::(\w+))?|`(test_\w+)`)")
MAKE: Final = re.compile(r"(?:`|^ *)make ([a-z][a-z-]*(?: [a-z][a-z-]*)*)(?=`|$|  )", re.MULTILINE)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
RECIPE: Final = re.compile(r'^```\w+ title="[^"]+"$.*?^```$', re.MULTILINE | re.DOTALL)
"""A step of a recipe; tests/integration/test_contributing.py follows it, and it may name files to come."""
TERM: Final = re.compile(r"^\| \*\*(.+?)\*\* \|", re.MULTILINE)

page = pytest.mark.parametrize("page", PAGES, ids=lambda file: str(file.relative_to(ROOT)))


@cache
def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@cache
def files() -> frozenset[str]:
    """The files of the working tree that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return frozenset(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


def variants(name: str) -> list[str]:
    """The paths that braces stand for: `a/{b,c}` is `a/b` and `a/c`."""
    match = re.search(r"\{([^{}]*)\}", name)
    if match is None:
        return [name]
    return [one for part in match[1].split(",") for one in variants(name[: match.start()] + part + name[match.end() :])]


def exists(name: str) -> bool:
    """Whether a file or folder of this name exists in the working tree."""
    name = name.rstrip("./")
    if "*" in name:
        pattern = re.compile(re.escape(name).replace(r"\*", "[^/]*"))
        return any(pattern.fullmatch(file) for file in files())
    return name in files() or any(file.startswith(f"{name}/") for file in files())


def missing_paths(source: str) -> Iterator[str]:
    """The paths in a text that do not exist."""
    for found in PATH.findall(source):
        yield from (one for one in variants(found.rstrip(",")) if not exists(one))


def missing_names(source: str) -> Iterator[str]:
    """The dotted names of our packages in a text that cannot be imported."""
    for name in NAME.findall(source):
        if name.partition(".")[0] in PACKAGES and not resolves(name):
            yield name


def resolves(name: str) -> bool:
    try:
        resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def missing_tests(source: str) -> Iterator[str]:
    """The files and functions of tests in a text that do not exist."""
    for file, function, alone in TEST.findall(source):
        ending = f"/{file}" if file else ".py"
        places = [ROOT / name for name in files() if name.startswith("tests/") and f"/{name}".endswith(ending)]
        wanted = function or alone
        if not places or (wanted and not any(re.search(rf"def {wanted}\b", text(one)) for one in places)):
            yield f"{file}::{wanted}"


def missing_targets(source: str) -> Iterator[str]:
    """The targets of make in a text that the Makefile does not have."""
    known = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    for line in MAKE.findall(source):
        yield from (word for word in line.split() if word not in known)


def missing_links(file: Path) -> Iterator[str]:
    """The relative links of a page that lead nowhere. An anchor has to be a heading of its page."""
    for link in LINK.findall(CODE.sub("", text(file))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (anchor and anchor not in anchors(text(target))):
            yield link


def anchors(source: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", source, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@page
def test_each_path_in_it_exists(page: Path) -> None:
    assert list(missing_paths(RECIPE.sub("", text(page)))) == []


@page
def test_each_name_in_it_exists(page: Path) -> None:
    assert list(missing_names(RECIPE.sub("", text(page)))) == []


@page
def test_each_test_in_it_exists(page: Path) -> None:
    assert list(missing_tests(RECIPE.sub("", text(page)))) == []


@page
def test_each_target_of_make_in_it_exists(page: Path) -> None:
    assert list(missing_targets(text(page))) == []


@page
def test_each_link_in_it_leads_somewhere(page: Path) -> None:
    assert list(missing_links(page)) == []


@pytest.mark.parametrize("page", [one for one in PAGES if one != GLOSSARY], ids=lambda one: str(one.relative_to(ROOT)))
def test_it_uses_no_private_words(page: Path) -> None:
    prose = CODE.sub("", text(page))
    assert [match[0] for match in PRIVATE.finditer(prose)] == [], "docs/glossary.md has the terms"


def test_the_glossary_is_in_order_and_explains_each_term_once() -> None:
    terms = TERM.findall(text(GLOSSARY))
    assert terms == sorted(set(terms), key=str.lower)
    assert not PRIVATE.search(CODE.sub("", text(GLOSSARY)))


def test_every_term_of_the_glossary_is_used() -> None:
    sources = [name for name in files() if name.endswith((".py", ".sql", ".md")) and ROOT / name != GLOSSARY]
    used = "\n".join(text(ROOT / name) for name in sources).lower()
    joined = used.replace("_", " ").replace("\n", " ")
    camel = "\n".join(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", "\n".join(text(ROOT / one) for one in sources)))

    def is_used(term: str) -> bool:
        return term in joined or term.title().replace(" ", "") in camel

    assert [term for term in TERM.findall(text(GLOSSARY)) if not is_used(term)] == []


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md"])
def test_the_glossary_is_linked(name: str) -> None:
    assert "glossary.md)" in text(ROOT / name)


def test_the_architecture_shows_where_a_transfer_goes() -> None:
    table = text(ROOT / "docs" / "architecture.md").partition("## The picture")[0]
    for step, place in {
        "decided": "domain/accounts/transaction/movements.py",
        "stored": "eventstore/log/append.py",
        "folded": "projections/accounts/",
        "answered": "api/accounts/transactions.py",
    }.items():
        [row] = [line for line in table.splitlines() if line.startswith(f"| **{step}** |")]
        assert f"`{place}`" in row


def test_each_page_is_linked_from_another() -> None:
    linked = {(file.parent / link.partition("#")[0]).resolve() for file in PAGES for link in LINK.findall(text(file))}
    alone = [file for file in PAGES if file not in linked and file.parent not in linked]
    assert alone in ([ROOT / "README.md"], [])


@pytest.mark.parametrize(
    ("find", "source", "found"),
    [
        (missing_paths, "see `api/gateway/nothing.py` and api/app.py", ["api/gateway/nothing.py"]),
        (missing_paths, "`eventstore/{log,none}/`", ["eventstore/none/"]),
        (missing_paths, "workers/verify/*.sql, migrations/*.nothing", ["migrations/*.nothing"]),
        (missing_names, "`domain.registry.RULES`, `domain.registry.NONE`, `log.append`", ["domain.registry.NONE"]),
        (missing_targets, "`make test`, `make nothing`\n    make sql none lint  # a comment\n", ["nothing", "none"]),
        (missing_tests, "test_docs.py, test_nothing.py", ["test_nothing.py::"]),
        (
            missing_tests,
            "`test_docs.py::test_each_link_in_it_leads_somewhere`, `test_of_nothing`",
            ["::test_of_nothing"],
        ),
    ],
)
def test_each_check_can_fail(find: object, source: str, found: list[str]) -> None:
    assert callable(find)
    assert list(find(source)) == found


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title, here\n[a](page.md) [b](#a-title-here) [c](none.md) [d](#none) [e](https://x.example)\n")
    assert list(missing_links(page)) == ["none.md", "#none"]
