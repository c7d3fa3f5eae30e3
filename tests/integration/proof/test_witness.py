"""A witness over HTTP: what it cosigns, what it refuses and with which status, and that it forgets nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import httpx
import pytest

from eventstore.proof.add_checkpoint import MOST_REQUEST_BYTES, PATH, SIZE_TYPE
from eventstore.proof.checkpoints import open_checkpoint
from eventstore.proof.cosignatures import Witness, signed_at
from eventstore.proof.notes import Signer
from tests.support.merkle import hashes_of
from tests.support.witnessing import BEGIN, LOG, NAME, WITNESS, MemoryLog, Running, witness_on
from workers.witness.heads import Head, Heads, HeadsError, make_heads
from workers.witness.serving import FILE

KEY = Witness(WITNESS.verifier)
TOGETHER_SECONDS = 0.5
OTHER = Signer(LOG.name, b"o" * 32)
HASH = hashlib.sha256(LOG.name.encode()).hexdigest()


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Running]:
    with witness_on(tmp_path) as running:
        yield running


def verified(log: MemoryLog, size: int, answer: httpx.Response) -> None:
    """The answer has a cosignature of the checkpoint of this size."""
    assert answer.status_code == 200, answer.text
    opened = open_checkpoint(log.note(size) + answer.content, log.origin, [KEY])
    assert opened.checkpoint.size == size


def test_checkpoints_that_continue_one_another_are_cosigned(witness: Running) -> None:
    log, old = MemoryLog(extensions=("daybook.heads.v1 1 AAAA",)), 0
    for size in (1, 2, 7, 8, 8, 33, 40):
        answer = witness.asked(log.request(old, size))
        verified(log, size, answer)
        [line] = answer.text.splitlines()
        assert line.startswith(f"— {NAME} ")
        [cosignature] = open_checkpoint(log.note(size) + answer.content, log.origin, [KEY]).note.verified
        assert signed_at(cosignature) == witness.now
        witness.now += timedelta(seconds=3)
        old = size


def test_a_tree_without_leaves_is_cosigned_too(witness: Running) -> None:
    verified(MemoryLog(), 0, witness.asked(MemoryLog().request(0, 0)))
    verified(MemoryLog(), 5, witness.asked(MemoryLog().request(0, 5)))


def test_its_clock_may_be_put_back_and_its_times_do_not_go_back(witness: Running) -> None:
    log = MemoryLog()
    witness.asked(log.request(0, 5))
    witness.now -= timedelta(days=1)
    answer = witness.asked(log.request(5, 6))
    [cosignature] = open_checkpoint(log.note(6) + answer.content, log.origin, [KEY]).note.verified
    assert signed_at(cosignature) == BEGIN


def test_a_log_signs_with_several_keys(tmp_path: Path) -> None:
    with witness_on(tmp_path, {LOG.name: [LOG.verifier, OTHER.verifier]}) as witness:
        for old, size, signers in ((0, 3, [LOG]), (3, 4, [OTHER, LOG]), (4, 5, [OTHER])):
            verified(MemoryLog(signers), size, witness.asked(MemoryLog(signers).request(old, size)))


def test_signatures_of_unknown_keys_are_ignored_and_not_kept(witness: Running) -> None:
    log = MemoryLog([OTHER, LOG])
    verified(log, 3, witness.asked(log.request(0, 3)))
    kept = witness.read(f"/{HASH}/checkpoint").text
    assert kept.count("\n— ") == 2
    assert open_checkpoint(kept.encode(), LOG.name, [LOG.verifier, KEY]).checkpoint.size == 3


def test_its_last_checkpoint_can_be_read(witness: Running) -> None:
    address = f"/{HASH}/checkpoint"
    assert witness.read(address).status_code == 404
    assert witness.read(f"/{'0' * 64}/checkpoint").status_code == 404
    assert f"log {LOG.name}: nothing yet\n" in witness.read().text
    for old, size in ((0, 3), (3, 9)):
        witness.asked(MemoryLog().request(old, size))
        opened = open_checkpoint(witness.read(address).content, LOG.name, [LOG.verifier, KEY])
        assert opened.checkpoint.size == size
        assert len(opened.note.verified) == 2
    overview = witness.read().text
    assert overview == (f"witness {WITNESS.verifier}\nlog {LOG.name}: 9 leaves, cosigned at 2026-11-30T12:00:00Z\n")


# What is refused


def replaced(old: str, new: str) -> Callable[[MemoryLog], bytes]:
    return lambda log: log.request(5, 9).replace(old.encode(), new.encode(), 1)


FORKED = MemoryLog(hashes=hashes_of(4) + hashes_of(39)[::-1])
REFUSED: dict[str, tuple[Callable[[MemoryLog], bytes], int, str]] = {
    "nothing": (lambda _: b"", 400, "an empty line and a checkpoint"),
    "no checkpoint": (lambda _: b"old 5\n\n", 400, "a note has a text, an empty line"),
    "no empty line": (lambda log: b"old 5\n" + log.note(9).replace(b"\n\n", b"\n"), 400, "an empty line"),
    "no old size": (lambda log: b"\n\n" + log.note(9), 400, "the first line is `old` and a size"),
    "leading zero": (replaced("old 5", "old 05"), 400, "without leading zeros"),
    "negative": (replaced("old 5", "old -5"), 400, "without leading zeros"),
    "a sign": (replaced("old 5", "old +5"), 400, "without leading zeros"),
    "two spaces": (replaced("old 5", "old  5"), 400, "without leading zeros"),
    "a tab": (replaced("old 5", "old\t5"), 400, "the first line is `old`"),
    "other digits": (replaced("old 5", "old \u0665"), 400, "are ASCII"),
    "huge": (replaced("old 5", f"old {2**63}"), 400, "the first line is `old`"),
    "endless": (replaced("old 5", f"old {'9' * 5000}"), 400, "the first line is `old`"),
    "carriage returns": (lambda log: log.request(5, 9).replace(b"\n", b"\r\n"), 400, "an empty line"),
    "no base64": (lambda log: b"old 5\n!\n\n" + log.note(9), 400, "a hash of the proof is not base64"),
    "another spelling": (lambda log: b"old 5\nAAB=\n\n" + log.note(9), 400, "in its only spelling"),
    "a short hash": (lambda log: b"old 5\nAAAA\n\n" + log.note(9), 400, "a hash of the proof has 32 bytes"),
    "64 hashes": (lambda log: b"old 5" + b"\n" + b"\n".join([b"A" * 43 + b"="] * 64) + b"\n\n" + log.note(9), 400,
                  "at most 63 hashes, and this one has 64"),
    "not UTF-8": (lambda log: b"old 5\n\n\xff" + log.note(9), 400, "a note is UTF-8"),
    "a control character": (lambda log: b"old 5\n\n\x01" + log.note(9), 400, "no control characters"),
    "old > size": (lambda log: log.request(9, 8), 400, "the old size is 9, and the checkpoint has fewer leaves, 8"),
    "zeros in the size": (replaced("\n9\n", "\n09\n"), 403, "is wrong: the note was changed"),
    "unknown origin": (replaced(LOG.name, "other.example"), 404, "the log 'other.example' is not known"),
    "an origin of two lines": (replaced(f"\n{LOG.name}\n", f"\nx\n{LOG.name}\n"), 404, "the log 'x' is not known"),
    "a line after the origin": (replaced(f"{LOG.name}\n9", f"{LOG.name}\nx\n9"), 403, "is wrong: the note was changed"),
    "a long origin": (replaced(LOG.name, "x" * 2000), 404, "is not known to this witness"),
    "another key": (lambda log: MemoryLog([OTHER]).request(5, 9), 403, "no known key has signed the note"),
    "a changed root": (lambda log: log.request(5, 9).replace(log.note(9)[:70], FORKED.note(9)[:70]), 403,
                       "is wrong: the note was changed"),
    "a shorter proof": (lambda log: b"old 5\n\n" + log.note(9), 422, "the consistency proof from 5 to 9 leaves"),
    "another proof": (lambda log: log.request(6, 9).replace(b"old 6", b"old 5"), 422, "the consistency proof"),
    "a fork": (lambda _: FORKED.request(5, 9), 422, "does not lead to the root of the older tree"),
    "another root for the size": (lambda _: FORKED.request(5, 5), 422, "there are two roots for the same 5 leaves"),
    "a proof of nothing": (lambda log: log.request(5, 5).replace(b"5\n", b"5\n" + b"A" * 43 + b"=\n", 1), 422,
                           "has no hashes, and this one has 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_has_a_status_and_a_sentence(witness: Running, name: str) -> None:
    make, status, sentence = REFUSED[name]
    log = MemoryLog()
    assert witness.asked(log.request(0, 5)).status_code == 200
    answer = witness.asked(make(log))
    assert (answer.status_code, sentence in answer.text) == (status, True), f"{answer.status_code} {answer.text}"
    assert answer.text.count("\n") == 1
    assert len(answer.text) < 500
    verified(log, 9, witness.asked(log.request(5, 9)))  # nothing was changed by it


def test_a_signed_checkpoint_that_is_none_is_malformed(witness: Running) -> None:
    for text in (f"{LOG.name}\n09\nAAAA\n", f"{LOG.name}\n9\nAAAA\n", f"{LOG.name}\n9\n"):
        note = f"{text}\n{LOG.sign(text).line}".encode()
        assert witness.asked(b"old 0\n\n" + note).status_code == 400


def test_the_empty_tree_has_one_root(witness: Running) -> None:
    text = f"{LOG.name}\n0\n{'A' * 43}=\n"
    answer = witness.asked(f"old 0\n\n{text}\n{LOG.sign(text).line}".encode())
    assert (answer.status_code, "of the empty tree" in answer.text) == (422, True)


def test_a_proof_from_nothing_is_empty(witness: Running) -> None:
    answer = witness.asked(b"old 0\n" + b"A" * 43 + b"=\n\n" + MemoryLog().note(9))
    assert answer.status_code == 422


@pytest.mark.parametrize("old", [0, 4, 6, 9])
def test_another_old_size_is_answered_with_the_size(witness: Running, old: int) -> None:
    log = MemoryLog()
    answer = witness.asked(log.request(3, 9))
    assert (answer.status_code, answer.text) == (409, "0\n")
    witness.asked(log.request(0, 5))
    answer = witness.asked(log.request(old, 9))
    assert (answer.status_code, answer.text) == (409, "5\n")
    assert answer.headers["content-type"] == SIZE_TYPE


def test_a_smaller_tree_is_never_cosigned(witness: Running) -> None:
    log = MemoryLog()
    witness.asked(log.request(0, 9))
    for old in (0, 5):
        assert witness.asked(log.request(old, 5)).status_code == 409
    assert witness.asked(log.request(9, 5)).status_code == 400


def test_a_body_that_is_too_large_is_not_read_to_its_end(witness: Running) -> None:
    answer = witness.asked(b"x" * (MOST_REQUEST_BYTES + 1))
    assert answer.status_code == 413
    assert witness.read(PATH).status_code == 405
    assert witness.read("/elsewhere").status_code == 404


# It forgets nothing


def test_of_requests_at_once_each_continues_the_one_before(tmp_path: Path) -> None:
    """From each size many ask for different larger ones: one gets a cosignature, and no tree is put back."""
    log = MemoryLog()
    with witness_on(tmp_path) as witness, ThreadPoolExecutor(8) as threads:
        old = 0
        while old < 32:
            sizes = range(old + 1, old + 9)
            answers = list(threads.map(lambda size, old=old: witness.asked(log.request(old, size)), sizes))
            signed = [size for size, answer in zip(sizes, answers, strict=True) if answer.status_code == 200]
            assert len(signed) == 1
            assert {answer.text for answer in answers if answer.status_code == 409} == {f"{signed[0]}\n"}
            old = signed[0]


def test_a_request_does_not_read_what_another_is_about_to_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race of the specification: both would read the same size. Where they cannot, the first does not wait long."""
    both, read = Barrier(2), Heads.read

    def read_together(heads: Heads, origin: str) -> Head | None:
        found = read(heads, origin)
        with suppress(BrokenBarrierError):
            both.wait(TOGETHER_SECONDS)
        return found

    monkeypatch.setattr(Heads, "read", read_together)
    with witness_on(tmp_path) as witness, ThreadPoolExecutor(2) as threads:
        answers = threads.map(lambda size: witness.asked(MemoryLog().request(0, size)).status_code, (5, 9))
        assert sorted(answers) == [200, 409]


def test_after_a_restart_it_goes_on(tmp_path: Path) -> None:
    log = MemoryLog()
    for old, size in ((0, 4), (4, 20), (20, 40)):
        with witness_on(tmp_path) as witness:
            assert witness.asked(log.request(0, 3)).status_code == (409 if old else 200)
            verified(log, size, witness.asked(log.request(old or 3, size)))


def test_a_checkpoint_that_cannot_be_kept_is_not_cosigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with witness_on(tmp_path) as witness:
        with monkeypatch.context() as patched:
            patched.setattr(Heads, "keep", full)
            answer = witness.asked(MemoryLog().request(0, 5))
            assert (answer.status_code, "was not cosigned" in answer.text) == (503, True)
        verified(MemoryLog(), 5, witness.asked(MemoryLog().request(0, 5)))


def test_a_fork_is_told_with_both_checkpoints(witness: Running, caplog: pytest.LogCaptureFixture) -> None:
    witness.asked(MemoryLog().request(0, 5))
    witness.asked(FORKED.request(5, 5))
    [told] = [one.getMessage() for one in caplog.records if "its history was forked" in one.getMessage()]
    for log in (MemoryLog(), FORKED):
        assert repr(log.note(5).decode())[1:-1] in told


# Its file


def test_a_file_is_used_by_one_witness(tmp_path: Path) -> None:
    path = tmp_path / FILE
    make_heads(path)
    with Heads(path), pytest.raises(HeadsError, match="another witness uses it"):
        Heads(path)
    Heads(path).close()


def test_a_file_that_is_missing_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(HeadsError, match=r"there is no .*witness.sqlite: `daybook witness --new` makes it; if this"):
        Heads(tmp_path / FILE)
    make_heads(tmp_path / FILE)
    with pytest.raises(HeadsError, match="is there already: start the witness without --new"):
        make_heads(tmp_path / FILE)
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b"not a database, but long enough" * 100), "file is not a database"),
        (lambda path: path.write_bytes(b""), "is no file of a witness"),
        (lambda path: path.write_bytes(path.read_bytes()[:4096]), "malformed|damaged"),
        (lambda path: changed(path, "PRAGMA user_version = 2"), "has version 2, and this Daybook knows 1"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    path = tmp_path / FILE
    make_heads(path)
    spoil(path)
    with pytest.raises(HeadsError, match=message):
        Heads(path)


def changed(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
