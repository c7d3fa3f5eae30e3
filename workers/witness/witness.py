"""The decisions of a witness, by C2SP `tlog-witness`: a checkpoint is cosigned if it continues the last one.

The last checkpoint is compared, replaced and kept on disk under one lock, before the cosignature is given away. So two
requests at once cannot put a log back.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Final

from eventstore.proof.add_checkpoint import parse_request
from eventstore.proof.checkpoints import Checkpoint, EmptyRootError, parse_checkpoint
from eventstore.proof.cosignatures import cosign
from eventstore.proof.merkle import EMPTY_ROOT, ProofError, verify_consistency
from eventstore.proof.notes import Note, NoteError, Opened, Signer, Verifier, open_note, parse_note
from workers.witness.heads import Head, Heads

logger = logging.getLogger(__name__)

MALFORMED, UNTRUSTED, UNKNOWN, CONFLICT, INCONSISTENT = 400, 403, 404, 409, 422
"""The statuses of the specification."""
_SHOWN: Final = 80


class RefusedError(Exception):
    """A checkpoint is not cosigned. The message is one sentence; `status` is that of the answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class OtherSizeError(RefusedError):
    """The request is not about the checkpoint that was cosigned last, which has `size` leaves."""

    def __init__(self, size: int, old: int) -> None:
        super().__init__(CONFLICT, f"the checkpoint that was cosigned last has {size} leaves, not {old}")
        self.size = size


class Witness:
    """Cosigns the checkpoints of known logs. Several threads may call it.

    `logs` are the trusted keys by the origin of their log.
    """

    def __init__(
        self, signer: Signer, logs: Mapping[str, Sequence[Verifier]], heads: Heads, clock: Callable[[], datetime]
    ) -> None:
        self._signer = signer
        self._logs = logs
        self._heads = heads
        self._clock = clock
        self._lock = Lock()
        self._by_hash = {hashlib.sha256(origin.encode()).hexdigest(): origin for origin in logs}

    @property
    def key(self) -> Verifier:
        """The public key of the cosignatures."""
        return self._signer.verifier

    def add_checkpoint(self, body: bytes) -> str:
        """Cosign the checkpoint of a request. Returns the line of the cosignature, with its newline.

        Raises `RefusedError`. The checkpoint is on disk when this returns.
        """
        try:
            request = parse_request(body)
            note = parse_note(request.note)
        except NoteError as error:
            raise RefusedError(MALFORMED, str(error)) from None
        opened = self._opened(request.note, note.text.partition("\n")[0])
        checkpoint = _checkpoint_of(note.text)
        if request.old > checkpoint.size:
            raise RefusedError(
                MALFORMED, f"the old size is {request.old}, and the checkpoint has fewer leaves, {checkpoint.size}"
            )
        with self._lock:
            last = self._heads.read(checkpoint.origin)
            if request.old != (0 if last is None else last.size):
                raise OtherSizeError(0 if last is None else last.size, request.old)
            _check_continues(last, checkpoint, request.proof, opened)
            return self._cosigned(last, checkpoint, opened)

    def head(self, origin_hash: str) -> Head | None:
        """The last checkpoint of the log whose origin has this SHA-256 in hexadecimal; None if there is none."""
        origin = self._by_hash.get(origin_hash)
        if origin is None:
            return None
        with self._lock:
            return self._heads.read(origin)

    def heads(self) -> dict[str, Head | None]:
        """The last checkpoint of each known log."""
        with self._lock:
            return {origin: self._heads.read(origin) for origin in sorted(self._logs)}

    def _opened(self, raw: bytes, origin: str) -> Opened:
        keys = self._logs.get(origin)
        if keys is None:
            raise RefusedError(UNKNOWN, f"the log {origin[:_SHOWN]!r} is not known to this witness")
        try:
            return open_note(raw, keys)
        except NoteError as error:
            raise RefusedError(UNTRUSTED, str(error)) from None

    def _cosigned(self, last: Head | None, checkpoint: Checkpoint, opened: Opened) -> str:
        """Keep the checkpoint and return the cosignature. Its time is never before that of the last one."""
        now = self._clock().astimezone(UTC).replace(microsecond=0)
        at = now if last is None else max(now, last.signed_at)
        cosignature = cosign(self._signer, opened.text, at)
        note = Note(opened.text, (*opened.verified, cosignature))
        self._heads.keep(Head(checkpoint.origin, checkpoint.size, checkpoint.root, str(note), at))
        logger.info("cosigned %s leaves of the log %s", checkpoint.size, checkpoint.origin)
        return cosignature.line


def _checkpoint_of(text: str) -> Checkpoint:
    try:
        return parse_checkpoint(text)
    except EmptyRootError as error:
        raise RefusedError(INCONSISTENT, str(error)) from None
    except NoteError as error:
        raise RefusedError(MALFORMED, str(error)) from None


def _check_continues(last: Head | None, checkpoint: Checkpoint, proof: Sequence[bytes], opened: Opened) -> None:
    """Raise `RefusedError` unless the last checkpoint is proven to be the beginning of this one."""
    size, root = (0, EMPTY_ROOT) if last is None else (last.size, last.root)
    try:
        verify_consistency(size, checkpoint.size, root, checkpoint.root, proof)
    except ProofError as error:
        if last is not None and checkpoint.size == size and checkpoint.root != root:
            logger.error(
                "the log %s has signed two roots for the same %s leaves: its history was forked; keep both: %r and %r",
                checkpoint.origin,
                size,
                last.note,
                str(Note(opened.text, opened.verified)),
            )
        else:
            logger.warning("refused %s leaves of the log %s: %s", checkpoint.size, checkpoint.origin, error)
        raise RefusedError(INCONSISTENT, str(error)) from None
