"""Cosignatures, as C2SP `tlog-cosignature` defines them with Ed25519: a witness signs a checkpoint and the time.

A witness says by it that at this time the checkpoint was the largest that it had seen of the log, and that each was the
beginning of the next. So a log cannot show one history to some and another to others.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from eventstore.proof.checkpoints import parse_checkpoint
from eventstore.proof.notes import COSIGNATURE, NoteError, Signature, Signer, Verifier

_TIME: Final = struct.Struct(">Q")
MOST_SECONDS: Final = 2**63 - 1
_LAST_SECOND: Final = int(datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp())


@dataclass(frozen=True, slots=True)
class Witness:
    """The public key of a witness, as a known key of `open_note`."""

    key: Verifier

    def __post_init__(self) -> None:
        """Raise `NoteError` for a key of another type."""
        if self.key.type != COSIGNATURE:
            raise NoteError(f"{self.key.name} is no key of a witness: those have the type 04")

    @property
    def name(self) -> str:
        """The name of the key."""
        return self.key.name

    @property
    def id(self) -> int:
        """The id of the key."""
        return self.key.id

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether the witness signed this text with the time that is in the signature."""
        if len(signature) < _TIME.size:
            return False
        (seconds,) = _TIME.unpack_from(signature)
        return seconds <= MOST_SECONDS and self.key.signed(_message(text, seconds), signature[_TIME.size :])


def cosign(signer: Signer, text: str, at: datetime) -> Signature:
    """The cosignature of a checkpoint's text at a time, which counts to the second. Raises `NoteError`."""
    if signer.type != COSIGNATURE:
        raise NoteError(f"{signer.name} is no key of a witness: those have the type 04")
    parse_checkpoint(text)
    seconds = int(at.timestamp())
    return Signature(
        signer.name, signer.verifier.id, _TIME.pack(seconds) + signer.signature_of(_message(text, seconds))
    )


def signed_at(signature: Signature) -> datetime:
    """The time of a cosignature, UTC. It is true only if the signature was verified. Raises `NoteError`."""
    if len(signature.signature) < _TIME.size:
        raise NoteError(f"the signature by {signature.name} is too short for a cosignature")
    (seconds,) = _TIME.unpack_from(signature.signature)
    if seconds > _LAST_SECOND:
        raise NoteError(f"the time of the cosignature by {signature.name} is after the year 9999")
    return datetime.fromtimestamp(seconds, UTC)


def _message(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
