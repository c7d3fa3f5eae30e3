"""What a witness must not forget: the last checkpoint that it cosigned of each log, in one file of SQLite.

A commit is on disk before it returns. The file is locked as long as it is open, so that no second process cosigns with
it. Whoever puts an older copy back lets the witness sign what it has signed otherwise: then it needs another key.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_APPLICATION: Final = 0x44425754
"""The number by which SQLite tells whose file it is: DBWT."""
_VERSION: Final = 1
_TABLE: Final = """
CREATE TABLE heads (
    origin    TEXT PRIMARY KEY,
    size      INTEGER NOT NULL,
    root      BLOB NOT NULL,
    note      TEXT NOT NULL,
    signed_at INTEGER NOT NULL   -- seconds since 1970, as in the cosignature
) WITHOUT ROWID
"""


class HeadsError(RuntimeError):
    """The file cannot be used. The message is one sentence, and says what to do."""


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint that was cosigned. `note` has the signatures of the log and the cosignature."""

    origin: str
    size: int
    root: bytes
    note: str
    signed_at: datetime


class Heads:
    """The file, open and locked. Its methods are for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Raise `HeadsError` if the file is missing, is another's, or is in use."""
        if not path.is_file():
            raise HeadsError(
                f"there is no {path}: `daybook witness --new` makes it; if this witness has cosigned before, put the "
                "file back, or begin with another key and name"
            )
        try:
            self._connection = _opened(path)
        except sqlite3.Error as error:
            busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            why = "another witness uses it" if busy else f"SQLite says {error}"
            raise HeadsError(f"{path} cannot be used: {why}") from None

    def read(self, origin: str) -> Head | None:
        """The last checkpoint of a log; None if none was cosigned."""
        row = self._connection.execute(
            "SELECT origin, size, root, note, signed_at FROM heads WHERE origin = ?", (origin,)
        ).fetchone()
        if row is None:
            return None
        _, size, root, note, seconds = row
        return Head(origin, size, root, note, datetime.fromtimestamp(seconds, UTC))

    def keep(self, head: Head) -> None:
        """Keep the last checkpoint of a log. It is on disk when this returns. Raises `sqlite3.Error`."""
        seconds = int(head.signed_at.timestamp())
        self._connection.execute(
            "INSERT INTO heads (origin, size, root, note, signed_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note,"
            " signed_at = excluded.signed_at",
            (head.origin, head.size, head.root, head.note, seconds),
        )

    def close(self) -> None:
        """Close the file and give the lock back."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_heads(path: Path) -> None:
    """Make the file of a new witness. It is on disk when this returns. Raises `HeadsError` if it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute(_TABLE)
    finally:
        connection.close()
    try:
        os.link(unfinished, path)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise HeadsError(f"{path} is there already: start the witness without --new") from None
    finally:
        unfinished.unlink()
    _sync(path.parent)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # kept until it is closed
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        [found] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if found != _APPLICATION:
            raise HeadsError(f"{path} is no file of a witness")
        if version != _VERSION:
            raise HeadsError(f"{path} has version {version}, and this Daybook knows {_VERSION}: use the newer one")
        [problem] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if problem != "ok":
            raise HeadsError(f"{path} is damaged ({problem}): put a copy back that is not older, or take another key")
    except BaseException:
        connection.close()
        raise
    return connection


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
