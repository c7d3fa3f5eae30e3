"""Writes bundles: it reads leaves, proofs, heads and checkpoints, and checks each leaf against the signed root.

Leaves are read and proven in windows, so memory does not grow with a bundle. Everything is read on one connection,
which should be in a transaction with one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from psycopg import Connection

from eventstore.log.leaf import leaf_hash
from eventstore.log.read import read_uuid
from eventstore.proof import bundle
from eventstore.proof.bundle import Line, Subject
from eventstore.proof.heads import HeadProof
from eventstore.proof.leaves import read_command, read_leaves_at, read_positions, read_records
from eventstore.proof.merkle import ProofError, ReadNodes, consistency_proof, inclusion_proofs, verify_inclusion
from eventstore.proof.notes import parse_note, parse_verifier
from eventstore.proof.store import (
    StoredCheckpoint,
    covering_checkpoint,
    earlier_checkpoint,
    head_checkpoint,
    head_proof,
    read_keys,
    read_leaves,
    tile_reader,
)
from eventstore.proof.tiles import Edge, reader_of
from eventstore.proof.witnesses import checkpoint_note, read_witnesses

WINDOW: Final = 1_000
"""Leaves that are read and proven at once."""
LOG_WINDOW: Final = 5_000
"""Leaves of the whole log that are read at once: 3 MB of usual events. With fewer, looking up commands takes longer."""
MOST_SINCE: Final = 100
"""Most earlier checkpoints of a bundle."""


class EvidenceError(LookupError):
    """There is no such evidence, or not yet. The message is one sentence, and says what to do.

    `kind` and `id` name what was not found.
    """

    def __init__(self, message: str, kind: str, id: str | int) -> None:
        super().__init__(message)
        self.kind = kind
        self.id = str(id)


class ChangedError(RuntimeError):
    """The log does not have what was sealed. The message is one sentence."""


@dataclass(frozen=True)
class Evidence:
    """Writes bundles of one log. Each method returns the lines, and raises `EvidenceError` before the first one.

    `since`: sizes of checkpoints that the reader kept: the bundle proves that each is the beginning of the last one.
    While lines are read they raise `ChangedError` if the log was changed after it was sealed, and `BundleError`.
    """

    connection: Connection[Any]
    log_number: int
    since: Sequence[int] = field(default=())

    def of_event(self, position: int) -> Iterator[bytes]:
        """An event, and nothing else of its unit."""
        last = self._covering(position, "event", position)
        return self._bundle(Subject("event", {"position": position}), last, self._proven([position], last))

    def of_command(self, actor: str, key: str) -> Iterator[bytes]:
        """The record of a command and every event of its unit."""
        first, end, record = self._unit(actor, key)
        last = self._covering(end, "command", key)
        subject = Subject("command", {"actor": actor, "command": key})
        return self._bundle(subject, last, self._with_record(record, range(first, end + 1), last))

    def receipt(self, actor: str, key: str) -> Iterator[bytes]:
        """The last event of a command's unit, and the command's record, whose hash each event of the unit has."""
        _, end, record = self._unit(actor, key)
        last = self._covering(end, "command", key)
        return self._bundle(Subject("event", {"position": end}), last, self._with_record(record, [end], last))

    def of_stream(self, stream: str) -> Iterator[bytes]:
        """Every event of a stream, and the proof that there are no more."""
        last, head = self._head(stream)
        return self._bundle(Subject("stream", {"stream": stream}), last, self._of_stream(head, last))

    def of_statement(self, account: str, statement: Callable[[int], Iterable[bytes]]) -> Iterator[bytes]:
        """A statement, every event of its account, and the proof that there are no more.

        `statement` returns the statement as of a position, the bytes of a JSON object.
        """
        last, head = self._head(account)
        stated = bundle.statement(statement(last.size))

        def lines() -> Iterator[Line]:
            yield from self._of_stream(head, last)
            yield stated

        return self._bundle(Subject("statement", {"stream": account}), last, lines())

    def of_log(self, progress: Callable[[int, int], None] = lambda position, size: None) -> Iterator[bytes]:
        """Every event of the log, and the record of every command that has events.

        `progress` gets how far it is, and the size of the last checkpoint.
        """
        last = self._with_heads()
        return self._bundle(Subject("log", {}), last, self._whole(last, progress))

    # The lines

    def _bundle(self, subject: Subject, last: StoredCheckpoint, content: Iterator[Line]) -> Iterator[bytes]:
        with _unchanged():
            beginning = list(self._beginning(subject, last))

        def lines() -> Iterator[Line]:
            yield from beginning
            with _unchanged():
                yield from content

        return bundle.encoded(lines())

    def _beginning(self, subject: Subject, last: StoredCheckpoint) -> Iterator[Line]:
        """The lines before the content. All names are that of the last checkpoint: a restored log has had others."""
        checkpoints = [*self._earlier(last), last]
        notes = [checkpoint_note(self.connection, self.log_number, one.size) for one in checkpoints]
        yield bundle.header(subject, last.origin, read_uuid(self.connection, self.log_number), last.size)
        for key in read_keys(self.connection, self.log_number):
            if parse_verifier(key.verifier).name == last.origin:
                yield bundle.key(key.verifier, key.since, key.size)
        yield from map(bundle.witness, self._cosigned(notes))
        yield from map(bundle.checkpoint, notes)
        read = self._reader(last.size)
        for old, new in pairwise(checkpoints):
            yield bundle.consistency(old.size, new.size, consistency_proof(old.size, new.size, read))

    def _cosigned(self, notes: Iterable[str]) -> Iterator[str]:
        """The public keys of the witnesses that have cosigned one of the notes."""
        signed = {(one.name, one.id) for note in notes for one in parse_note(note.encode()).signatures}
        for witness in read_witnesses(self.connection, self.log_number):
            key = parse_verifier(witness.verifier)
            if (key.name, key.id) in signed:
                yield witness.verifier

    def _of_stream(self, head: HeadProof, last: StoredCheckpoint) -> Iterator[Line]:
        version, events = -1, 0  # streams of the eventsourcing library may count from 0
        while found := read_positions(self.connection, self.log_number, head.stream, version, last.size, WINDOW):
            version, events = found[-1].version, events + len(found)
            yield from self._proven([one.position for one in found], last)
        if version != head.version or events < version:
            raise ChangedError(
                f"the stream {head.stream} was sealed at version {head.version}, and {events} of its events are left: "
                "the log was changed; run daybook verify, and compare the log with a dump"
            )
        yield bundle.head(head)

    def _with_record(self, record: bytes, positions: Sequence[int], last: StoredCheckpoint) -> Iterator[Line]:
        yield bundle.record(record)
        for first in range(0, len(positions), WINDOW):
            yield from self._proven(positions[first : first + WINDOW], last)

    def _proven(self, positions: Sequence[int], last: StoredCheckpoint) -> Iterator[Line]:
        """Leaves with proofs, in ascending order."""
        leaves = read_leaves_at(self.connection, self.log_number, positions)
        proofs = inclusion_proofs([position - 1 for position in positions], last.size, self._reader(last.size))
        for position, proof in zip(positions, proofs, strict=True):
            leaf = leaves.get(position)
            if leaf is None or not _leads(position, leaf, proof, last):
                leaf = self._with_all_commands(position)
                if leaf is None or not _leads(position, leaf, proof, last):
                    raise ChangedError(
                        f"the event at position {position} is not the one that was sealed: the log or its tree was "
                        "changed; run daybook verify, and compare the log with a dump"
                    )
            yield bundle.leaf(leaf, proof)

    def _with_all_commands(self, position: int) -> bytes | None:
        """The leaf at a position, with whatever commands end with its unit."""
        found = read_leaves(self.connection, self.log_number, position - 1, position)
        return found[0] if found else None

    def _whole(self, last: StoredCheckpoint, progress: Callable[[int, int], None]) -> Iterator[Line]:
        """All leaves, and before each the records of the commands whose unit ends with it."""
        edge = Edge()
        for after in range(0, last.size, LOG_WINDOW):
            upto = min(after + LOG_WINDOW, last.size)
            leaves = read_leaves(self.connection, self.log_number, after, upto)
            if len(leaves) != upto - after:
                raise ChangedError(
                    f"between the positions {after} and {upto} there are {len(leaves)} events and not {upto - after}: "
                    "the log was changed; run daybook verify"
                )
            records = iter(read_records(self.connection, self.log_number, after, upto))
            ends, record = next(records, _NONE)
            for position, leaf in enumerate(leaves, after + 1):
                while ends == position:
                    yield bundle.record(record)
                    ends, record = next(records, _NONE)
                yield bundle.leaf(leaf, None)
            edge.append(b"".join(map(leaf_hash, leaves)))
            progress(upto, last.size)
        if edge.root() != last.root:
            raise ChangedError(
                f"the {last.size} events do not have the root of the checkpoint that was signed: the log or its tree "
                "was changed; run daybook verify, and compare the log with a dump"
            )

    # What is looked up

    def _unit(self, actor: str, key: str) -> tuple[int, int, bytes]:
        """First and last position of a command's events, and its record."""
        found = read_command(self.connection, self.log_number, actor, key)
        if found is None:
            raise EvidenceError(f"No answer is recorded for key {key} of {actor}.", "command", key)
        if found.first is None or found.last is None:
            raise EvidenceError(
                f"The command with key {key} of {actor} has no event, so that nothing on the log has its record.",
                "command",
                key,
            )
        return found.first, found.last, found.record

    def _covering(self, position: int, kind: str, id: str | int) -> StoredCheckpoint:
        """The first checkpoint with this position and everything that the reader has seen."""
        found = covering_checkpoint(self.connection, self.log_number, max((position, *self.since)))
        if found is not None:
            return found
        if self.since and covering_checkpoint(self.connection, self.log_number, position) is not None:
            raise self._unsigned(max(self.since))
        raise EvidenceError(
            f"No checkpoint covers position {position} yet: daybook seal signs them; ask again later.", kind, id
        )

    def _with_heads(self) -> StoredCheckpoint:
        """The last checkpoint that commits to the heads of streams."""
        found = head_checkpoint(self.connection, self.log_number)
        if found is None:
            raise EvidenceError(
                "No checkpoint commits to the heads of streams yet: daybook seal signs them; ask again later.",
                "checkpoint",
                "last",
            )
        return found

    def _head(self, stream: str) -> tuple[StoredCheckpoint, HeadProof]:
        last = self._with_heads()
        with _unchanged():
            found = head_proof(self.connection, self.log_number, stream)
        if found is None:
            raise EvidenceError(
                f"There is no stream {stream} among the {last.size} events that are sealed with the heads of streams.",
                "stream",
                stream,
            )
        return last, found

    def _earlier(self, last: StoredCheckpoint) -> list[StoredCheckpoint]:
        """The checkpoints that the reader kept, without the last one."""
        checkpoints = []
        for size in sorted(set(self.since) - {last.size}):
            found = covering_checkpoint(self.connection, self.log_number, size)
            if found is None or found.size != size:
                raise self._unsigned(size)
            if size > last.size:
                raise EvidenceError(
                    f"The last checkpoint that commits to the heads of streams has {last.size} leaves, fewer than "
                    f"{size}: ask again once a later one is signed.",
                    "checkpoint",
                    size,
                )
            if found.origin != last.origin:
                raise EvidenceError(
                    f"The checkpoint of {size} leaves is of the log {found.origin}, and that of {last.size} leaves of "
                    f"{last.origin}: the log was restored between them, and a bundle has checkpoints of one name. GET "
                    "/v1/proof/consistency proves that the one is the beginning of the other.",
                    "checkpoint",
                    size,
                )
            checkpoints.append(found)
        return checkpoints

    def _unsigned(self, size: int) -> EvidenceError:
        nearest = (
            earlier_checkpoint(self.connection, self.log_number, size),
            covering_checkpoint(self.connection, self.log_number, size),
        )
        sizes = " and ".join(str(one.size) for one in nearest if one is not None)
        return EvidenceError(
            f"No checkpoint of {size} leaves was signed; the nearest have {sizes}.", "checkpoint", size
        )

    def _reader(self, size: int) -> ReadNodes:
        return reader_of(size, tile_reader(self.connection, self.log_number))


@contextmanager
def _unchanged() -> Iterator[None]:
    """Raise `ChangedError` where there is no proof, because the tree lacks hashes that it had."""
    try:
        yield
    except ProofError as error:
        raise ChangedError(
            f"there is no proof: {error}; the tree was changed: run daybook verify, and restore the schema proof from "
            "a dump"
        ) from None


_NONE: Final = (0, b"")
"""There is no further record."""


def _leads(position: int, leaf: bytes, proof: Sequence[bytes], last: StoredCheckpoint) -> bool:
    """Whether a proof leads from a leaf to the signed root."""
    try:
        verify_inclusion(position - 1, last.size, leaf_hash(leaf), proof, last.root)
    except ProofError:
        return False
    return True
