"""The sealer: follows the log, adds leaf hashes to the tree, and signs checkpoints at a pace.

A turn seals up to the head of the log, in windows, when a checkpoint is due. Leaf hashes come from PostgreSQL, a window
by one statement. Tiles are computed from them and the right edge of the tree, and nothing of the tree is read again.
Each window begins with the last leaf that is sealed already: if its hash is another now, the log was changed, and the
sealer does not go on.

A checkpoint is only signed where the tree has reached a head of the log, so it covers whole units. At a pace of their
own, checkpoints also commit to the heads of streams, and have an extension line then. Sealers on several
machines do no harm: adding compares the size of the tree, and whoever was late reads the edge anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Any, Final

from psycopg import Connection

from eventstore.log.read import read_head, read_uuid
from eventstore.proof.checkpoints import Checkpoint
from eventstore.proof.heads import TOP, Heads, line_of, root_of_top
from eventstore.proof.merkle import HASH_BYTES, ProofError
from eventstore.proof.notes import NoteError, Signer, check_name
from eventstore.proof.store import (
    StoredCheckpoint,
    begin_tree,
    grow,
    head_checkpoint,
    keep_checkpoint,
    keep_key,
    last_checkpoint,
    last_heads,
    read_edge,
    read_head_tiles,
    read_keys,
    read_leaf_hashes,
    read_tree,
)
from eventstore.proof.tiles import Edge
from workers.databases import one_moment
from workers.proof.heads import FEW, HEADS_WINDOW, bring_heads

logger = logging.getLogger(__name__)

WINDOW: Final = 20_000
"""Positions that are sealed by one statement: a tenth of a second."""
PIECE: Final = 500
"""Positions that are not left for the next checkpoint. Sealed at once, those of a second would hold up the appends."""


class SealError(RuntimeError):
    """The log cannot be sealed any further. The message is one sentence, and says what to do."""


@dataclass(slots=True)
class Counts:
    """What this process has sealed and signed, and how far the tree and the log were when it last looked."""

    sealed: int = 0
    signed: int = 0
    size: int | None = None  # None until it has looked
    head: int = 0
    heads: int = 0  # the size of the last checkpoint with heads of streams


def origin_of(connection: Connection[Any], log_number: int, origin: str | None) -> str:
    """The origin of a log: that of the setting, that of its tree, or one made of its UUID."""
    if origin is not None:
        return origin
    tree = read_tree(connection, log_number)
    return f"daybook/{read_uuid(connection, log_number)}" if tree is None else tree.origin


def signers_of(origin: str, keys: Sequence[bytes]) -> list[Signer]:
    """The signers of a log, the newest first. Raises `SealError`."""
    try:
        check_name(origin)
    except NoteError as error:
        raise SealError(f"the log cannot be named {origin!r} in checkpoints: {error}") from None
    return [Signer(origin, key) for key in keys]


class Sealer:
    """Seals one log on a connection that acts as `daybook_sealer`.

    `pace` is the least time between two checkpoints. One commits to the heads of streams if at most `few` events came
    after the last one that did, or `heads_pace` has passed since. Raises `SealError`, and `TRANSIENT` errors of the
    connection; a new sealer goes on from there.
    """

    def __init__(
        self,
        connection: Connection[Any],
        log: str,
        log_number: int,
        signers: Sequence[Signer],
        clock: Callable[[], datetime],
        pace: timedelta,
        heads_pace: timedelta,
        *,
        counts: Counts | None = None,
        window: int = WINDOW,
        heads_window: int = HEADS_WINDOW,
        few: int = FEW,
    ) -> None:
        self._connection = connection
        self._log = log
        self._log_number = log_number
        self._signers = signers
        self._clock = clock
        self._pace = pace
        self._counts = counts or Counts()
        self._window = window
        self._piece = min(PIECE, window)
        self._heads_pace = heads_pace
        self._heads_window = heads_window
        self._few = few
        self._edge = self._begun()
        self._look()

    def turn(self, stop: Event | None = None) -> bool:
        """Seal up to the head of the log and sign it, if it is time, or seal what is a piece or more. True if it did.

        A tile that is not full is written anew when it grows, so it grows with checkpoints and not with appends.
        """
        stop = stop or Event()
        head = read_head(self._connection, self._log).position
        if head < self._edge.size:
            raise SealError(
                f"the tree of the log {self._log} has {self._edge.size} leaves, and the log ends at {head}: events "
                "that were sealed are gone; find out who removed them, or which dump was restored"
            )
        due = self._due()
        before = self._edge.size
        while self._edge.size < head and (due or head - self._edge.size >= self._piece) and not stop.is_set():
            self._seal(min(head, self._edge.size + self._window))
        if due and self._edge.size == head:
            self._sign(stop)
        self._counts.size, self._counts.head = self._edge.size, head
        return self._edge.size > before

    @property
    def pending(self) -> bool:
        """Whether the last turn has left events that are not sealed."""
        return self._edge.size < self._counts.head

    def _begun(self) -> Edge:
        origin = self._signers[0].name
        tree = begin_tree(self._connection, self._log_number, origin)
        if tree.origin != origin:
            raise SealError(
                f"the log is named {tree.origin!r} in its checkpoints and cannot be renamed to {origin!r}: set "
                f"DAYBOOK_PROOF_ORIGIN to {tree.origin}"
            )
        self._keep_keys()
        edge = read_edge(self._connection, self._log_number, tree.size)
        last = last_checkpoint(self._connection, self._log_number)
        if last is not None and last.size == edge.size and last.root != edge.root():
            raise SealError(
                f"the tiles of {edge.size} leaves do not have the root of the checkpoint that was signed: they were "
                "changed; restore the schema proof from a dump"
            )
        self._check_heads()
        return edge

    def _check_heads(self) -> None:
        with one_moment(self._connection):
            heads = last_heads(self._connection, self._log_number)
            if heads is None:
                return
            [top] = read_head_tiles(self._connection, self._log_number, [TOP], heads.size)
        if root_of_top(top) != heads.root:
            raise SealError(
                f"the heads of streams after position {heads.size} do not have the root of the checkpoint that was "
                "signed: they were changed; restore the schema proof from a dump"
            )

    def _keep_keys(self) -> None:
        now = self._clock()
        numbers = [
            keep_key(self._connection, self._log_number, str(signer.verifier), now)
            for signer in reversed(self._signers)
        ]
        newest = read_keys(self._connection, self._log_number)[-1]
        if numbers[-1] != newest.number:
            raise SealError(
                f"the key to sign checkpoints with was replaced by {newest.verifier} at {newest.since:%Y-%m-%d %H:%M} "
                "UTC: set that one, or make a new one"
            )

    def _seal(self, upto: int) -> None:
        """Add the leaves up to a position. If another sealer was there first, the edge is read anew."""
        size, before = self._edge.size, self._edge.last
        hashes = read_leaf_hashes(self._connection, self._log_number, max(size - 1, 0), upto)
        if before is not None:
            sealed, hashes = hashes[:HASH_BYTES], hashes[HASH_BYTES:]
            if sealed != before:
                raise SealError(
                    f"the event at position {size} is not the one that was sealed: the log or its tree was changed; "
                    "run daybook verify, and compare the log with a dump"
                )
        if len(hashes) != (upto - size) * HASH_BYTES:
            raise SealError(
                f"between the positions {size} and {upto} there are {len(hashes) // HASH_BYTES} events and not "
                f"{upto - size}: the log was changed; run daybook verify"
            )
        grown = self._edge.append(hashes)
        if not grow(self._connection, self._log_number, size, upto, grown):
            tree = read_tree(self._connection, self._log_number)
            assert tree is not None, "it was begun"
            self._edge = read_edge(self._connection, self._log_number, tree.size)
            return
        self._counts.sealed += upto - size

    def _due(self) -> bool:
        """Whether a checkpoint may be signed now. A clock that was put back does not stop it."""
        return self._passed(self._last, self._pace)

    def _passed(self, last: StoredCheckpoint | None, pace: timedelta) -> bool:
        return last is None or not timedelta(0) <= self._clock() - last.signed_at < pace

    def _heads_due(self) -> bool:
        few = self._edge.size - self._counts.heads <= self._few
        return few or self._passed(self._last_with_heads, self._heads_pace)

    def _sign(self, stop: Event) -> None:
        if self._edge.size == (0 if self._last is None else self._last.size):
            return
        heads = self._heads(stop) if self._heads_due() else None
        root = self._edge.root()
        lines = () if heads is None else (line_of(heads),)
        note = Checkpoint(self._signers[0].name, self._edge.size, root, lines).sign(self._signers)
        checkpoint = StoredCheckpoint(self._edge.size, root, str(note), self._clock())
        if keep_checkpoint(self._connection, self._log_number, checkpoint, heads):
            self._counts.signed += 1
        self._look()

    def _heads(self, stop: Event) -> Heads | None:
        """The heads at the size of the tree; None if that would hold up the checkpoint for longer than a pace."""
        until = self._clock() + self._pace
        try:
            return bring_heads(
                self._connection,
                self._log_number,
                self._edge.size,
                self._heads_window,
                lambda: not stop.is_set() and self._clock() < until,
            )
        except ProofError as error:
            raise SealError(f"{error}: the log or its heads were changed; run daybook verify") from None

    def _look(self) -> None:
        """Read what was signed last, also by another sealer."""
        self._last = last_checkpoint(self._connection, self._log_number)
        self._last_with_heads = head_checkpoint(self._connection, self._log_number)
        self._counts.heads = 0 if self._last_with_heads is None else self._last_with_heads.size
