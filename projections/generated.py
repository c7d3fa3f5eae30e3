"""Write the SQL that is derived from the tables of the read models, one file a read model, beside its Python.

    python -m projections.generated

The files are for people: nothing reads them but the test that compares them with what would be written now.
"""

from __future__ import annotations

from pathlib import Path

from projections.engine.projection import Projection
from projections.registry import PROJECTIONS

_FOLDER = Path(__file__).parent


def file_of(projection: Projection) -> Path:
    """Where the SQL of a projection is committed: in the folder of its area."""
    return _FOLDER / projection.area / f"{projection.name}.sql"


def sql_of(projection: Projection) -> str:
    """Its tables and its reporting views."""
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
