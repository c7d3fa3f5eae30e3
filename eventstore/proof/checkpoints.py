"""Checkpoints, as C2SP `tlog-checkpoint` defines them: the note text with origin, size and root of a tree."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from eventstore.proof.merkle import EMPTY_ROOT, HASH_BYTES, MOST_LEAVES
from eventstore.proof.notes import Note, NoteError, Opened, Signer, Verifies, decode_base64, open_note, sign

MOST_EXTENSIONS: Final = 16
MOST_LINE: Final = 1_000
"""Most characters of the origin and of an extension line."""
SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
"""A size as text."""


class EmptyRootError(NoteError):
    """A checkpoint of no leaves has another root than the empty tree."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree: who issues it, how many leaves it has, and its root. Extension lines have no set meaning."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `NoteError` for what cannot be a checkpoint."""
        _check_line(self.origin, "the origin")
        if not 0 <= self.size <= MOST_LEAVES:
            raise NoteError(f"a tree has from 0 to {MOST_LEAVES} leaves, not {self.size}")
        if len(self.root) != HASH_BYTES:
            raise NoteError(f"the root of a tree has {HASH_BYTES} bytes, not {len(self.root)}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise EmptyRootError("the root of no leaves is not that of the empty tree")
        if len(self.extensions) > MOST_EXTENSIONS:
            raise NoteError(f"a checkpoint has at most {MOST_EXTENSIONS} extension lines, not {len(self.extensions)}")
        for line in self.extensions:
            _check_line(line, "an extension line")

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    def sign(self, signers: Iterable[Signer]) -> Note:
        """The checkpoint as a note, signed by each."""
        return sign(self.text, signers)


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint that known keys have signed, and the note it came as."""

    checkpoint: Checkpoint
    note: Opened


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of a note's text. Raises `NoteError`."""
    if not text.endswith("\n"):
        raise NoteError("the text of a checkpoint ends with a newline")
    lines = text[:-1].split("\n")
    if len(lines) < 3:
        raise NoteError(f"a checkpoint has the lines origin, size and root, and this one has {len(lines)}")
    origin, size, root, *extensions = lines
    if SIZE.fullmatch(size) is None:
        raise NoteError(f"the size of a tree is a number without leading zeros, not {size[:80]!r}")
    return Checkpoint(origin, int(size), decode_base64(root, "the root of a tree"), tuple(extensions))


def open_checkpoint(raw: bytes, origin: str, known: Sequence[Verifies]) -> OpenedCheckpoint:
    """The checkpoint of this origin, if known keys have signed it. Raises `NoteError`."""
    note = open_note(raw, known)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise NoteError(f"the checkpoint is of the log {checkpoint.origin!r}, not of {origin!r}")
    return OpenedCheckpoint(checkpoint, note)


def _check_line(line: str, what: str) -> None:
    if not line:
        raise NoteError(f"{what} of a checkpoint is not empty")
    if len(line) > MOST_LINE:
        raise NoteError(f"{what} of a checkpoint has at most {MOST_LINE} characters, not {len(line)}")
    if not line.isprintable():
        raise NoteError(f"{what} of a checkpoint has no newline and no control character: {line[:80]!r}")
