"""The register of personal fields is complete: purpose and retention for each, and none for what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.registry import CATALOGUE
from projections.registry import PROJECTIONS
from workers import personal_fields
from workers.personal_fields import BESIDE, SEALED, sealed_fields, table_fields
from workers.reference import pages

CREDENTIALS = Path(__file__).parents[3] / "migrations" / "versions" / "sql" / "0016" / "01_credentials.sql"


def test_every_sealed_field_has_a_purpose_and_a_retention() -> None:
    declared = {(entry.name, field) for entry in CATALOGUE for field in entry.personal}
    assert declared == set(SEALED)
    assert all(one.kept.purpose and one.kept.retention for one in sealed_fields())


def test_a_new_sealed_field_without_them_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = next(entry for entry in CATALOGUE if entry.personal)
    monkeypatch.setattr(personal_fields, "CATALOGUE", (*CATALOGUE, replace(entry, name="account.opened.v9")))
    with pytest.raises(KeyError, match=r"account\.opened\.v9"):
        list(sealed_fields())


def test_every_table_of_credentials_has_them() -> None:
    tables = {
        line.split()[2] for line in CREDENTIALS.read_text().splitlines() if line.startswith("CREATE TABLE credentials.")
    }
    assert tables
    assert tables == {place for place in BESIDE if place.startswith("credentials.")}


def test_the_page_has_every_field() -> None:
    page = pages()["personal-fields.md"]
    for name, field in SEALED:
        assert f"| `{name}` | `{field}` |" in page
    texts = list(table_fields())
    assert {table for table, _, _ in texts} == {
        str(table.name) for projection in PROJECTIONS for table in projection.personal
    }
    for table, column, subject in texts:
        assert f"| `read.{table}` | `{column}` | `{subject}` |" in page
    for place in BESIDE:
        assert f"| `{place}` |" in page
