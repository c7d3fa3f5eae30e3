"""The upper limit of appending: a durable COPY of the same rows into equal tables, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from psycopg import Connection

from bench.harness.oracle import WrongError

TABLES = ("events", "commands")
_SINCE = {"events": "position", "commands": "first_position"}


@dataclass
class RawCopy:
    """Copies of the log's tables, with the same columns, constraints and indexes. It needs a separate connection."""

    connection: Connection

    def __post_init__(self) -> None:
        self.connection.execute("CREATE SCHEMA raw")
        for table in TABLES:
            self.connection.execute(f"CREATE TABLE raw.{table} (LIKE log.{table} INCLUDING ALL)".encode())

    def head(self) -> int:
        """Position of the last event in the log."""
        row = self.connection.execute("SELECT max(position) FROM log.events").fetchone()
        assert row is not None
        head: int = row[0]
        return head

    def seconds(self, after: int) -> float:
        """Seconds to store the rows of the log after this position again. Reading them is not counted."""
        rows = {table: self._read(table, after) for table in TABLES}
        began = perf_counter()
        with self.connection.transaction(), self.connection.cursor() as cursor:
            for table, content in rows.items():
                with cursor.copy(f"COPY raw.{table} FROM STDIN (FORMAT binary)".encode()) as copy:
                    copy.write(content)
        took = perf_counter() - began
        self._check(after)
        return took

    def _read(self, table: str, after: int) -> bytes:
        query = f"COPY (SELECT * FROM log.{table} WHERE {_SINCE[table]} > {after}) TO STDOUT (FORMAT binary)"
        with self.connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
            return b"".join(bytes(part) for part in copy)

    def _check(self, after: int) -> None:
        for table, since in _SINCE.items():
            counts = " UNION ALL ".join(
                f"SELECT count(*) FROM {schema}.{table} WHERE {since} > {after}" for schema in ("log", "raw")
            )
            (ours,), (copied,) = self.connection.execute(counts.encode()).fetchall()
            if ours != copied:
                raise WrongError(f"raw.{table} holds {copied} rows of the log's {ours}")
