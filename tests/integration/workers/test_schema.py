"""The manifest of the schema matches the result of the migrations on every supported server."""

from __future__ import annotations

from projections.registry import PROJECTIONS
from tests.support.postgres import Database
from workers.verify.manifest import lines_of
from workers.verify.schema import MANIFEST, differences


def test_the_manifest_matches_the_created_schema(database: Database) -> None:
    expected = MANIFEST.read_text(encoding="utf-8").splitlines()
    assert differences(expected, lines_of(database.url), PROJECTIONS) == [], "write it again: make schema"


def test_a_difference_is_reported_with_its_repair() -> None:
    expected = [
        "grant on table log.events to daybook_api: SELECT",
        "view reporting.accounts: owner daybook_projector",
        "table read.checkpoints: owner daybook_projector",
        "function log.lock_head(integer): owner daybook_owner",
    ]
    actual = ["grant on table log.events to daybook_api: INSERT, SELECT", "table read.evil: owner somebody"]
    assert differences(expected, actual, PROJECTIONS) == [
        "function log.lock_head(integer) is missing (owner daybook_owner); no command repairs the schema of the log: "
        "restore it from a backup",
        "grant on table log.events to daybook_api is 'INSERT, SELECT', and should be 'SELECT'; daybook migrate gives "
        "rights again",
        "table read.checkpoints is missing (owner daybook_projector); daybook migrate makes what is missing",
        "table read.evil is not of this version (owner somebody); find out who made it, and drop it",
        "view reporting.accounts is missing (owner daybook_projector); daybook rebuild accounts makes it again",
    ]
