"""The repair that a finding names works: `daybook rebuild` of the named projections."""

from __future__ import annotations

import re

import pytest

from bench.harness.tables import read_owner
from eventstore.postgres.connect import connect
from projections.engine.rebuild import rebuild
from projections.registry import PROJECTIONS, named
from tests.support.ledger import codec_of
from tests.support.postgres import Database
from tests.tampering.books import verified
from tests.tampering.conftest import Books
from tests.tampering.table import CASES
from tests.tampering.test_tampering import tampered

MOST_ROUNDS = 3
"""A report shows ten findings of a check. The others are in the next report."""

REPAIRED = {
    "rows of the tables": (
        "accounts: a balance",
        "checkpoints.position: within a unit",
        "checkpoints.digest: another",
        "reports.digest: another",
        "currencies: one invented",
        "currencies: one deleted",
    ),
    "checkpoints, errors and currencies": (
        "checkpoints.position: 0, and the tables emptied",
        "projection_errors: a row",
        "reports: a row deleted",
        "currencies.minor_unit: another",
    ),
    "views": ("view: adds 1,000", "view: over one table, shows another column", "view: with other rights"),
    "tables": (
        "table: not logged",
        "table: dropped",
        "column: one more",
        "constraint: primary key of a read table",
        "index: on other columns",
    ),
}


@pytest.mark.parametrize("kind", REPAIRED)
def test_the_rebuild_that_a_finding_names_repairs_it(books18: Books, kind: str) -> None:
    cases = [case for case in CASES if case.name in REPAIRED[kind]]
    assert len(cases) == len(REPAIRED[kind])
    with tampered(books18, *cases) as copy:
        sentences: list[str] = []
        for _ in range(MOST_ROUNDS):
            report = verified(copy)
            if report.ok:
                break
            found = [finding for check in report.checks for finding in check.findings]
            sentences = list(map(str, [*found, *report.tables.findings]))
            answered = {word for sentence in sentences for word in re.findall(r"daybook rebuild ([a-z_]+)", sentence)}
            rebuild_named(copy, answered - {"writes"})
        assert verified(copy).ok, sentences


def rebuild_named(database: Database, names: set[str]) -> None:
    """Rebuild as the command does. Without names, rebuild any projection."""
    projections = named(names) if names else PROJECTIONS[:1]
    with (
        connect(database.projector_url, application_name="rebuild") as connection,
        connect(database.projector_url, application_name="keys") as keys,
        read_owner(database) as owner,
    ):
        assert rebuild(connection, "main", codec_of(keys, 1), projections, owner=owner).ok


def test_a_rebuild_keeps_views_of_users_if_nothing_is_damaged(books18: Books) -> None:
    with books18.server.database(like=books18.database) as copy:
        with connect(copy.url, application_name="analyst") as superuser:
            superuser.execute("CREATE VIEW public.mine AS SELECT account FROM reporting.accounts")
        rebuild_named(copy, {"accounts"})
        with connect(copy.url, application_name="analyst") as superuser:
            mine = superuser.execute("SELECT count(*) FROM public.mine").fetchone()
            assert mine == superuser.execute("SELECT count(*) FROM read.accounts").fetchone() != (0,)
