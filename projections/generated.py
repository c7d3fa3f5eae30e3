"""Writes the SQL that is derived from the tables of the read models, one file for each, beside its Python module.

    python -m projections.generated

The files are for people. Only a test reads them, and compares them with the SQL of today.
"""

from __future__ import annotations

from pathlib import Path

from projections.engine.projection import Projection
from projections.registry import PROJECTIONS

_FOLDER = Path(__file__).parent


def file_of(projection: Projection) -> Path:
    """The file with the SQL of a projection, in the folder of its area."""
    return _FOLDER / projection.area / f"{projection.name}.sql"


def sql_of(projection: Projection) -> str:
    """The SQL of a projection's tables and reporting views."""
    return (
        "-- Written by `make sql` from the declarations in Python; do not edit.\n\n"
        f"-- Tables, in the schema read.\n\n{projection.schema}\n-- Reporting views.\n\n{projection.reporting}"
    )


def main() -> None:
    """Write the files."""
    for projection in PROJECTIONS:
        file_of(projection).write_text(sql_of(projection), encoding="utf-8")


if __name__ == "__main__":
    main()
