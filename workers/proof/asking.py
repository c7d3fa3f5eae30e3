"""Asks witnesses to cosign the newest checkpoint, by C2SP `tlog-witness`, and keeps what they sign.

Each witness has one request at a time, on a thread of its own, so that a slow one holds up no other. Everything else,
also the database, is for the thread that calls `turn`. A witness gets the newest checkpoint only: those that were
signed while it was away are covered by the proof between the sizes.

No answer of a witness is trusted before it is checked. A cosignature is kept if the key of the witness signed this
checkpoint, at a possible time. After any other answer the witness is asked again after a pause.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Thread
from typing import Any, Final, Literal, NamedTuple, Protocol, get_args

from psycopg import Connection

from eventstore.proof.add_checkpoint import PATH, SIZE_TYPE, AddCheckpoint
from eventstore.proof.checkpoints import SIZE
from eventstore.proof.cosignatures import Witness, signed_at
from eventstore.proof.merkle import ProofError, consistency_proof
from eventstore.proof.notes import NoteError, open_note, parse_note
from eventstore.proof.store import StoredCheckpoint, covering_checkpoint, last_checkpoint, tile_reader
from eventstore.proof.tiles import reader_of
from eventstore.proof.witnesses import keep_cosignature, read_witnesses
from eventstore.tracebacks import traceback_of
from workers.settings import AskedWitness
from workers.webhooks.failure import DeliveryError
from workers.webhooks.messages import Message
from workers.webhooks.pausing import pause_after
from workers.webhooks.sending import Answer

logger = logging.getLogger(__name__)

MOST_ANSWER_BYTES: Final = 16 * 1024
"""Of the body of an answer: a few lines of signatures, of which those of ML-DSA have 3,300 bytes."""
MOST_SKEW: Final = timedelta(minutes=5)
"""How far the clock of a witness may differ from ours."""
MEANINGS: Final = {
    "unresolvable": "its name has no address",
    "too_slow": "it did not answer in time",
    "tls": "its certificate is not accepted",
    "unreachable": "no connection could be made, or it was lost",
    "malformed": "its answer is no HTTP, or is too long",
}
"""What the causes of `Https.ask` mean."""
CONFLICT: Final = 409
_HEADERS: Final = {"content-type": "text/plain; charset=utf-8", "user-agent": "Daybook"}

Reason = Literal["away", "refused", "wrong", "ahead", "back", "inconsistent"]
"""Why a request failed: there is no answer of use now; it does not cosign this log; the answer is a lie or garbage; it
has signed a larger tree than there is; it has forgotten a tree; our tree does not continue what it has signed."""
REASONS: Final[tuple[str, ...]] = get_args(Reason)
_ANOTHER: Final = "another database signs with its key, or an older dump was restored; find out which before others do"
_GRAVE: Final = frozenset({"wrong", "ahead", "back", "inconsistent"})


class Asks(Protocol):
    """Posts a request and returns the answer. `workers.webhooks.sending.Https` does."""

    def ask(self, url: str, message: Message, most_bytes: int) -> Answer:
        """See `Https.ask`."""


class AskError(Exception):
    """A witness did not cosign. The message is one sentence without its subject, the witness."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason


class Cosigned(NamedTuple):
    """A cosignature that was verified. `line` has no newline."""

    line: str
    at: datetime


@dataclass(slots=True)
class Counts:
    """What became of the requests to one witness. `size` and `at` are of the last cosignature; None without one."""

    name: str
    size: int | None = None
    at: datetime | None = None
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Asked:
    """A witness and how far it is. `old` is the size that it should remember."""

    url: str
    witness: Witness
    counts: Counts
    cosigned: int
    old: int
    failures: int = 0  # in a row
    failed_at: datetime | None = None
    pause: timedelta = timedelta(0)
    corrected: bool = False  # by its answer to the request before
    about: StoredCheckpoint | None = None  # what it is asked about at the moment
    answer: Future[Answer] = field(default_factory=Future)

    def rests(self, now: datetime) -> bool:
        """Whether the pause after a failure lasts. A clock that was put back ends it."""
        return self.failed_at is not None and timedelta(0) <= now - self.failed_at < self.pause


class Asker:
    """Asks the witnesses of one log, on a connection that acts as `daybook_sealer`.

    `counts` outlive it, one for each witness. `chance` is from 0 to 1. Raises `TRANSIENT` errors of the connection; a
    new asker goes on from there.
    """

    def __init__(
        self,
        connection: Connection[Any],
        log_number: int,
        witnesses: Sequence[AskedWitness],
        asks: Asks,
        clock: Callable[[], datetime],
        counts: Sequence[Counts],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._connection = connection
        self._log_number = log_number
        self._asks = asks
        self._clock = clock
        self._chance = chance
        stored = {one.verifier: one for one in read_witnesses(connection, log_number)}
        self._all = []
        for (url, witness), count in zip(witnesses, counts, strict=True):
            found = stored.get(str(witness.key))
            size = 0 if found is None else found.size
            count.size, count.at = (None, None) if found is None else (found.size, found.signed_at)
            self._all.append(_Asked(url, witness, count, size, size))

    def turn(self) -> bool:
        """Keep what has been answered, and ask who should be asked. True while an answer is waited for."""
        for one in self._all:
            if one.about is not None and one.answer.done():
                self._answered(one, one.about)
        last = last_checkpoint(self._connection, self._log_number)
        now = self._clock()
        for one in self._all:
            if last is not None and one.about is None and one.cosigned < last.size and not one.rests(now):
                self._ask(one, last)
        return any(one.about is not None for one in self._all)

    def wait(self, seconds: float) -> None:
        """Wait until a witness has answered, at most so many seconds."""
        wait([one.answer for one in self._all if one.about is not None], seconds, FIRST_COMPLETED)

    def _ask(self, one: _Asked, last: StoredCheckpoint) -> None:
        if one.cosigned and not self._signed(one.cosigned, last.origin):
            one.cosigned = one.old = 0  # the log had another name then, before a restore
        try:
            nodes = reader_of(last.size, tile_reader(self._connection, self._log_number))
            proof = tuple(consistency_proof(one.old, last.size, nodes))
        except ProofError as error:
            self._failed(one, AskError("inconsistent", f"is not asked, because the tiles make no proof: {error}"))
            return
        request = AddCheckpoint(one.old, proof, last.note.encode())
        one.about, one.answer = last, Future()
        Thread(
            target=_carry_out,
            args=(one.answer, self._asks, one.url + PATH, Message(_HEADERS, request.body)),
            name=f"witness {one.witness.name}",
            daemon=True,  # the end of the process does not wait for it
        ).start()

    def _answered(self, one: _Asked, about: StoredCheckpoint) -> None:
        one.about = None
        try:
            answer = _answer_of(one.answer)
            if answer.status == CONFLICT:
                self._correct(one, about, _size_of(answer))
                return
            cosigned = read_cosignature(answer, about, one.witness, self._clock())
        except AskError as error:
            self._failed(one, error)
            return
        key = str(one.witness.key)
        keep_cosignature(self._connection, self._log_number, key, about.size, cosigned.line, cosigned.at)
        one.cosigned = one.old = about.size
        one.failures, one.failed_at, one.corrected = 0, None, False
        one.counts.size, one.counts.at = about.size, cosigned.at
        logger.debug("the witness %s cosigned %s leaves", one.witness.name, about.size)

    def _correct(self, one: _Asked, about: StoredCheckpoint, size: int) -> None:
        """Go on from the size that the witness says it has cosigned. It gets a proof from there, and checks it.

        Raises `AskError` where it cannot, or has just been corrected.
        """
        said = f"says that it cosigned {size} leaves of this log"
        if size > about.size:
            raise AskError("ahead", f"{said}, which has {about.size}: {_ANOTHER}")
        if size == one.old or one.corrected:
            raise AskError("wrong", f"answers {CONFLICT} with the size {size} to a request from {one.old}")
        if size < one.cosigned:
            forgot = "it has forgotten what it signed, and its cosignatures are worth less; ask who runs it"
            self._log_failure(one, AskError("back", f"{said}, and it has cosigned {one.cosigned}: {forgot}"))
        elif not self._signed(size, about.origin):
            self._log_failure(one, AskError("ahead", f"{said}, of which no checkpoint is kept here: {_ANOTHER}"))
        one.old, one.corrected = size, True

    def _signed(self, size: int, origin: str) -> bool:
        """Whether a checkpoint of this size was signed under this name."""
        found = covering_checkpoint(self._connection, self._log_number, size)
        return found is not None and (found.size, found.origin) == (size, origin)

    def _failed(self, one: _Asked, error: AskError) -> None:
        """Say it, and pause. The next request is about the last cosignature that is kept: nothing else is trusted."""
        one.failures += 1
        one.failed_at, one.pause = self._clock(), pause_after(one.failures, self._chance())
        one.old, one.corrected = one.cosigned, False
        self._log_failure(one, error, f"; it is asked again in {one.pause.total_seconds():.0f} seconds")

    def _log_failure(self, one: _Asked, error: AskError, more: str = "") -> None:
        one.counts.failures[error.reason] += 1
        level = logging.ERROR if error.reason in _GRAVE else logging.WARNING
        logger.log(level, "the witness %s %s%s", one.witness.name, error, more)


def read_cosignature(answer: Answer, about: StoredCheckpoint, witness: Witness, now: datetime) -> Cosigned:
    """The cosignature of an answer. Raises `AskError`."""
    _check_status(answer.status, about.size)
    raw = about.note.encode()
    try:
        opened = open_note(raw + answer.body, [witness])
        [cosignature] = opened.verified
        at = signed_at(cosignature)
    except NoteError as error:
        raise AskError("wrong", f"gives no cosignature of this checkpoint: {error}") from None
    if opened.text != parse_note(raw).text:  # an empty line in the answer makes the signatures a part of the text
        raise AskError("wrong", "gives no cosignature of this checkpoint: there is more than lines of signatures")
    if at > now + MOST_SKEW:
        raise AskError("wrong", f"says that it signed at {at:%Y-%m-%d %H:%M:%S} UTC, which is not yet")
    if at < about.signed_at - MOST_SKEW:
        raise AskError(
            "wrong",
            f"says that it signed at {at:%Y-%m-%d %H:%M:%S} UTC, before the checkpoint was there "
            f"({about.signed_at:%Y-%m-%d %H:%M:%S} UTC)",
        )
    return Cosigned(cosignature.line.removesuffix("\n"), at)


def _check_status(status: int, size: int) -> None:
    """Raise `AskError` unless the status is 200."""
    match status:
        case 200:
            return
        case 404:
            raise AskError("refused", "does not know this log, or has another address: who runs it has to add the log")
        case 403:
            raise AskError(
                "refused", "trusts no key that signed the checkpoint: who runs it has to add GET /v1/proof/keys"
            )
        case 422:
            said = f"says that {size} leaves do not continue what it cosigned"
            why = "the log was forked, changed, or restored from an older dump; compare its checkpoint with ours"
            raise AskError("inconsistent", f"{said}: {why}")
    if status >= 500 or status == 429:
        raise AskError("away", f"answers {status}")
    raise AskError("refused", f"answers {status} to a request of the specification")


def _size_of(answer: Answer) -> int:
    """The size of an answer with the status 409. Raises `AskError`."""
    text = answer.body.decode("latin-1")
    if answer.type != SIZE_TYPE or not text.endswith("\n") or SIZE.fullmatch(text[:-1]) is None:
        raise AskError("wrong", f"answers {CONFLICT} without a size as {SIZE_TYPE}")
    return int(text)


def _answer_of(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except DeliveryError as error:
        raise AskError("away", f"cannot be asked: {MEANINGS.get(error.cause, error.cause)}") from None
    except Exception as fault:
        logger.error("asking a witness failed with %s", traceback_of(fault))
        raise AskError("away", "cannot be asked: there is an error in Daybook") from None


def _carry_out(future: Future[Answer], asks: Asks, url: str, message: Message) -> None:
    try:
        future.set_result(asks.ask(url, message, MOST_ANSWER_BYTES))
    except BaseException as error:
        future.set_exception(error)
