"""Files that are whole or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

MODE: Final = 0o600
"""Only its owner may read a file with the books in it."""
PUBLIC: Final = 0o644
"""Everybody may read what is published."""


@contextmanager
def new_file(path: Path, mode: int = MODE) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` at the end of the block, and is removed if that fails."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)  # of an export that was stopped
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
