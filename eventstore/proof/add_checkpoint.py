"""The request of C2SP `tlog-witness`, by which a log asks a witness to cosign a checkpoint.

It has the size that the witness cosigned last, the proof that this tree is the beginning of the new one, and the
checkpoint.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from eventstore.proof.checkpoints import SIZE
from eventstore.proof.merkle import HASH_BYTES, MOST_LEAVES
from eventstore.proof.notes import MOST_BYTES, NoteError, decode_base64

PATH: Final = "/add-checkpoint"
SIZE_TYPE: Final = "text/x.tlog.size"
"""The type of the answer that has the size which the witness cosigned last."""
MOST_PROOF: Final = 63
"""Most hashes of a proof."""
MOST_REQUEST_BYTES: Final = MOST_BYTES + 4 * 1024
"""Of a body: the note, and lines before it, which are shorter than this."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """What a witness is asked. `note` are the bytes of the signed checkpoint; nothing of it is verified."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    @property
    def body(self) -> bytes:
        """The body of the request."""
        lines = [f"old {self.old}", *(b64encode(hash).decode() for hash in self.proof), "", ""]
        return "\n".join(lines).encode() + self.note


def parse_request(body: bytes) -> AddCheckpoint:
    """The request of a body. Raises `NoteError`."""
    head, empty, note = body.partition(b"\n\n")
    if not empty:
        raise NoteError("a request has the old size, the hashes of a proof, an empty line and a checkpoint")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise NoteError("the lines before the checkpoint are ASCII") from None
    word, _, size = first.partition(" ")
    if word != "old" or SIZE.fullmatch(size) is None or int(size) > MOST_LEAVES:
        raise NoteError(f"the first line is `old` and a size without leading zeros, not {first[:80]!r}")
    if len(lines) > MOST_PROOF:
        raise NoteError(f"a proof has at most {MOST_PROOF} hashes, and this one has {len(lines)}")
    proof = tuple(decode_base64(line, "a hash of the proof") for line in lines)
    if any(len(hash) != HASH_BYTES for hash in proof):
        raise NoteError(f"a hash of the proof has {HASH_BYTES} bytes")
    return AddCheckpoint(int(size), proof, note)
