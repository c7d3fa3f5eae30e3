"""Witnesses are asked: what they sign is kept and served, and what they answer else is said and not believed."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from eventstore.proof.add_checkpoint import AddCheckpoint
from eventstore.proof.checkpoints import Checkpoint, open_checkpoint
from eventstore.proof.cosignatures import Witness, cosign
from eventstore.proof.notes import COSIGNATURE, MOST_SIGNATURES, Signature, Signer, Verifier, parse_note
from eventstore.proof.store import StoredCheckpoint, rename_tree
from eventstore.proof.witnesses import (
    MOST_COSIGNATURES,
    checkpoint_note,
    keep_cosignature,
    read_witnesses,
    witnessed_checkpoint,
)
from tests.integration.workers.running import environment, settings_of, started
from tests.support.ledger import Ledger, deposit, ledger_on
from tests.support.postgres import Database, Server
from tests.support.sealing import KEY, ORIGIN, PACE, Sealing, sealing_on
from tests.support.waiting import wait_until
from tests.support.witnessing import (
    NAME,
    WITNESS,
    Liar,
    Lie,
    answer,
    conflict,
    cosigned,
    liar,
    size_of,
    witness_on,
)
from workers.clock_and_ids import now
from workers.ports import free_port
from workers.proof.asking import MOST_ANSWER_BYTES, MOST_SKEW, Asker, Counts
from workers.proof.running import run_asker
from workers.proof.sealer import signers_of
from workers.settings import AskedWitness
from workers.webhooks.pausing import FIRST_PAUSE, LONGEST_PAUSE
from workers.webhooks.sending import Https
from workers.witness.serving import FILE

LOG_KEY = signers_of(ORIGIN, (KEY,))[0].verifier
OTHER = Signer("other.example/witness", b"x" * 32, COSIGNATURE)
PATIENCE_SECONDS = 60.0


@dataclass
class Asking:
    """A sealer, and what asks witnesses, with one clock."""

    sealing: Sealing
    ledger: Ledger
    witnesses: list[AskedWitness]
    counts: list[Counts]
    seconds: float = PATIENCE_SECONDS
    made: list[Asker] = field(default_factory=list)

    def asker(self) -> Asker:
        """What asks, and begins where the last one ended."""
        sealing = self.sealing
        asks = Https(allow_http=True, allow_private=True, timeout_seconds=self.seconds)
        return Asker(
            sealing.connection, sealing.log_number, self.witnesses, asks, lambda: sealing.now, self.counts,
            chance=lambda: 0.5,
        )  # fmt: skip

    def sealed(self, number: int = 1) -> StoredCheckpoint:
        """A new checkpoint, after so many more deposits."""
        account = self.ledger.account()
        for _ in range(number):
            self.ledger.accepted(deposit(account, 100))
        self.sealing.now += PACE
        self.sealing.sealer().turn()
        last = self.sealing.last()
        assert last is not None
        return last

    def note(self, size: int) -> str:
        """The note of a checkpoint, with cosignatures."""
        return checkpoint_note(self.sealing.connection, self.sealing.log_number, size)

    def failures(self) -> dict[str, int]:
        """The failures of the only witness."""
        [counts] = self.counts
        return dict(counts.failures)

    def stored(self) -> list[tuple[str, int]]:
        """The witnesses that have cosigned, and how far each is."""
        found = read_witnesses(self.sealing.connection, self.sealing.log_number)
        return [(one.verifier, one.size) for one in found]


def settle(asker: Asker) -> None:
    """Let it ask until it waits for nothing."""
    while asker.turn():
        asker.wait(PATIENCE_SECONDS)


@pytest.fixture
def stack(database: Database, ledger: Ledger) -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def asking(
    stack: ExitStack, database: Database, ledger: Ledger, *urls: str, signers: tuple[Signer, ...] = (WITNESS,)
) -> Asking:
    sealing = stack.enter_context(sealing_on(database))
    witnesses = [AskedWitness(url, Witness(one.verifier)) for url, one in zip(urls, signers, strict=True)]
    return Asking(sealing, ledger, witnesses, [Counts(one.name) for one in signers])


def asking_a_liar(stack: ExitStack, database: Database, ledger: Ledger, *lies: Lie) -> tuple[Asking, Liar]:
    lying = stack.enter_context(liar(*lies))
    return asking(stack, database, ledger, lying.url), lying


def honest(made: list[Asking]) -> Lie:
    """What a witness would answer that signs everything."""
    return lambda asked: cosigned(asked, made[0].sealing.now)


LOG: dict[str, list[Verifier]] = {ORIGIN: [LOG_KEY]}


def test_a_checkpoint_is_cosigned_kept_and_served(
    stack: ExitStack, database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    witness = stack.enter_context(witness_on(tmp_path, LOG))
    made = asking(stack, database, ledger, witness.url)
    asker = made.asker()
    settle(asker)  # there is no checkpoint
    assert made.stored() == []
    for number in (1, 20, 150):
        last = made.sealed(number)
        witness.now = made.sealing.now
        settle(asker)
        note = made.note(last.size)
        assert note.startswith(last.note)
        opened = open_checkpoint(note.encode(), ORIGIN, [LOG_KEY, Witness(WITNESS.verifier)])
        assert [one.name for one in opened.note.verified] == [ORIGIN, NAME]
        assert made.stored() == [(str(WITNESS.verifier), last.size)]
        [found] = read_witnesses(made.sealing.connection, made.sealing.log_number)
        assert found.signed_at == witness.now
        assert (made.counts[0].size, made.counts[0].at) == (last.size, witness.now)
    assert made.failures() == {}


def test_who_asks_goes_on_after_a_restart_and_leaves_out_what_was_signed_between(
    stack: ExitStack, database: Database, ledger: Ledger
) -> None:
    there: list[Asking] = []
    made, lying = asking_a_liar(stack, database, ledger, honest(there))
    there.append(made)
    first = made.sealed()
    settle(made.asker())
    settle(made.asker())  # nothing is new
    made.sealed(3)
    last = made.sealed(3)
    settle(made.asker())
    assert [(one.old, size_of(one)) for one in lying.asked] == [(0, first.size), (first.size, last.size)]


def test_a_witness_that_is_slow_holds_up_no_other_and_no_sealing(
    stack: ExitStack, database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    slow = stack.enter_context(liar(lambda asked: cosigned(asked, made.sealing.now, OTHER)))
    slow.held.clear()
    witness = stack.enter_context(witness_on(tmp_path, LOG))
    made = asking(stack, database, ledger, slow.url, witness.url, signers=(OTHER, WITNESS))
    asker = made.asker()
    last = None
    for _ in range(3):
        last = made.sealed()
        witness.now = made.sealing.now
        while asker.turn() and made.stored() != [(str(WITNESS.verifier), last.size)]:
            asker.wait(PATIENCE_SECONDS)
        assert asker.turn(), "the slow one is still waited for"
    wait_until(lambda: len(slow.asked) == 1, "a request")
    slow.held.set()
    settle(asker)
    assert last is not None
    assert made.stored() == [(str(WITNESS.verifier), last.size), (str(OTHER.verifier), last.size)]
    assert len(slow.asked) == 2, "one about each checkpoint that was newest when it was free"
    opened = open_checkpoint(
        made.note(last.size).encode(), ORIGIN, [Witness(OTHER.verifier), Witness(WITNESS.verifier)]
    )
    assert len(opened.note.verified) == 2
    first = open_checkpoint(made.note(size_of(slow.asked[0])).encode(), ORIGIN, [Witness(OTHER.verifier)])
    assert first.checkpoint.size < last.size


# Witnesses that lie


def of_another(asked: AddCheckpoint) -> str:
    """The text of another checkpoint of the same size."""
    return Checkpoint(ORIGIN, size_of(asked), b"\0" * 32).text


def spoilt(asked: AddCheckpoint, made: Asking) -> bytes:
    line = cosign(WITNESS, parse_note(asked.note).text, made.sealing.now).line
    return answer("200 OK", line[:-20] + ("A" if line[-20] != "A" else "B") + line[-19:])


def over_more(asked: AddCheckpoint, made: Asking) -> bytes:
    """A cosignature of the note with its signatures, in an answer whose empty line makes them a part of the text."""
    seconds = int(made.sealing.now.timestamp())
    signed = WITNESS.signature_of(f"cosignature/v1\ntime {seconds}\n{asked.note.decode()}".encode())
    return answer("200 OK", f"\n{Signature(NAME, WITNESS.verifier.id, seconds.to_bytes(8, 'big') + signed).line}")


def at(moved: timedelta) -> Any:
    return lambda asked, made: cosigned(asked, made.sealing.now + moved)


LIES: dict[str, tuple[Any, str, str]] = {
    "a wrong signature": (spoilt, "wrong", "gives no cosignature of this checkpoint: the signature by"),
    "by another key": (lambda a, m: cosigned(a, m.sealing.now, OTHER), "wrong", "no known key has signed the note"),
    "another key, same name": (lambda a, m: cosigned(a, m.sealing.now, Signer(NAME, b"y" * 32, COSIGNATURE)), "wrong",
                               "no known key has signed the note"),
    "of another checkpoint": (lambda a, m: answer("200 OK", cosign(WITNESS, of_another(a), m.sealing.now).line),
                              "wrong", "the note was changed"),
    "of more than it": (over_more, "wrong", "there is more than lines of signatures"),
    "from the future": (at(MOST_SKEW + timedelta(seconds=1)), "wrong", "which is not yet"),
    "from the past": (at(-MOST_SKEW - timedelta(seconds=1)), "wrong", "before the checkpoint was there"),
    "without a time": (lambda a, m: cosigned(a, m.sealing.now.fromtimestamp(0, m.sealing.now.tzinfo)), "wrong",
                       "before the checkpoint was there"),
    "nothing": (lambda a, m: answer("200 OK", ""), "wrong", "no known key has signed the note"),
    "the checkpoint": (lambda a, m: answer("200 OK", a.note), "wrong", "gives no cosignature of this checkpoint"),
    "garbage": (lambda a, m: answer("200 OK", b"\xff\x00" * 100), "wrong", "gives no cosignature of this checkpoint"),
    "no newline": (lambda a, m: answer("200 OK", cosign(WITNESS, parse_note(a.note).text, m.sealing.now).line[:-1]),
                   "wrong", "gives no cosignature"),
    "many lines": (lambda a, m: answer("200 OK", "— a AAAAAAAA\n" * (MOST_SIGNATURES + 1)), "wrong", "at most 64"),
    "too long": (lambda a, m: answer("200 OK", "x" * (MOST_ANSWER_BYTES + 1)), "away", "is no HTTP, or is too long"),
    "no HTTP": (lambda a, m: b"220 mail.example ESMTP\r\n", "away", "is no HTTP, or is too long"),
    "an end": (lambda a, m: b"", "away", "no connection could be made, or it was lost"),
    "an error": (lambda a, m: answer("500 Oh", "no"), "away", "answers 500"),
    "too many": (lambda a, m: answer("429 Slower", "no"), "away", "answers 429"),
    "elsewhere": (lambda a, m: answer("302 Found\r\nlocation: http://127.0.0.1:1/", ""), "refused", "answers 302"),
    "unknown log": (lambda a, m: answer("404 Not Found", "no"), "refused", "does not know this log"),
    "untrusted key": (lambda a, m: answer("403 Forbidden", "no"), "refused", "trusts no key that signed"),
    "malformed": (lambda a, m: answer("400 Bad Request", "no"), "refused", "answers 400 to a request of the spec"),
    "a fork": (lambda a, m: answer("422 No", "no"), "inconsistent", "the log was forked, changed, or restored"),
    "ahead": (lambda a, m: conflict(10**6), "ahead", "another database signs with its key, or an older dump"),
    "far ahead": (lambda a, m: conflict("9" * 19), "ahead", "another database signs with its key"),
    "the same size": (lambda a, m: conflict(a.old), "wrong", "answers 409 with the size 0 to a request from 0"),
    "no size": (lambda a, m: answer("409 Conflict", "many\n", "text/x.tlog.size"), "wrong", "409 without a size"),
    "zeros": (lambda a, m: conflict("01"), "wrong", "409 without a size as text/x.tlog.size"),
    "half a size": (lambda a, m: answer("409 Conflict", "1", "text/x.tlog.size"), "wrong", "409 without a size"),
    "another type": (lambda a, m: answer("409 Conflict", "1\n", "text/html"), "wrong", "409 without a size"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_witness_that_lies_is_not_believed(
    stack: ExitStack, database: Database, ledger: Ledger, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    lie, reason, sentence = LIES[name]
    there: list[Asking] = []
    made, lying = asking_a_liar(stack, database, ledger, lambda asked: lie(asked, there[0]), honest(there))
    there.append(made)
    last, asker = made.sealed(), made.asker()
    settle(asker)
    assert made.stored() == []
    assert made.note(last.size) == last.note
    assert made.failures() == {reason: 1}
    [told] = [one for one in caplog.records if one.name == "workers.proof.asking"]
    assert told.getMessage().startswith(f"the witness {NAME} ")
    assert sentence in told.getMessage()
    assert "it is asked again in 5 seconds" in told.getMessage()
    grave = reason not in ("away", "refused")
    assert told.levelno == (logging.ERROR if grave else logging.WARNING)
    made.sealing.now += FIRST_PAUSE
    settle(asker)
    assert made.stored() == [(str(WITNESS.verifier), last.size)]
    assert [one.old for one in lying.asked] == [0, 0], "nothing was believed"


def test_an_old_cosignature_is_none_of_the_next_checkpoint(
    stack: ExitStack, database: Database, ledger: Ledger
) -> None:
    given: list[bytes] = []

    def replays(asked: AddCheckpoint) -> bytes:
        given.append(cosigned(asked, made.sealing.now))
        return given[0]

    made, _ = asking_a_liar(stack, database, ledger, replays)
    first, asker = made.sealed(), made.asker()
    settle(asker)
    made.sealed()
    settle(asker)
    assert made.stored() == [(str(WITNESS.verifier), first.size)]
    assert made.failures() == {"wrong": 1}


def test_pauses_become_longer_up_to_a_bound_and_a_clock_that_is_put_back_ends_them(
    stack: ExitStack, database: Database, ledger: Ledger
) -> None:
    made, lying = asking_a_liar(stack, database, ledger, lambda asked: answer("503 Busy", ""))
    made.sealed()
    asker = made.asker()
    settle(asker)
    for number in range(1, 14):
        pause = min(FIRST_PAUSE * 2 ** (number - 1), LONGEST_PAUSE)
        made.sealing.now += pause - timedelta(seconds=1)
        settle(asker)
        assert len(lying.asked) == number, "it is too early"
        made.sealing.now += timedelta(seconds=1)
        settle(asker)
        assert len(lying.asked) == number + 1
    made.sealing.now -= timedelta(days=1)
    settle(asker)
    assert len(lying.asked) == 15


def test_a_witness_that_does_not_answer_in_time(stack: ExitStack, database: Database, ledger: Ledger) -> None:
    made, lying = asking_a_liar(stack, database, ledger, lambda asked: b"")
    lying.held.clear()
    made.seconds = 0.2
    made.sealed()
    settle(made.asker())
    assert made.failures() == {"away": 1}


def test_nobody_listens(stack: ExitStack, database: Database, ledger: Ledger) -> None:
    made = asking(stack, database, ledger, f"http://127.0.0.1:{free_port()}")
    made.sealed()
    settle(made.asker())
    assert made.failures() == {"away": 1}


# What a witness remembers


def test_an_answer_that_was_lost_is_made_up_for(stack: ExitStack, database: Database, ledger: Ledger) -> None:
    """The witness has cosigned, and the answer did not come."""
    there: list[Asking] = []
    first_size: list[int] = []
    lies: list[Lie] = [lambda asked: b"", lambda asked: conflict(first_size[0]), honest(there)]
    made, lying = asking_a_liar(stack, database, ledger, *lies)
    there.append(made)
    first_size.append(made.sealed().size)
    asker = made.asker()
    settle(asker)
    last = made.sealed()
    settle(asker)
    assert [one.old for one in lying.asked] == [0, 0, *first_size]
    assert made.stored() == [(str(WITNESS.verifier), last.size)]
    assert made.failures() == {"away": 1}, "there is no alarm"


def test_a_witness_that_was_put_back_is_told_of_and_goes_on(
    stack: ExitStack, database: Database, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with witness_on(tmp_path, LOG) as witness:
        made = asking(stack, database, ledger, witness.url)
        first = made.sealed()
        witness.now = made.sealing.now
        settle(made.asker())
    (tmp_path / FILE).unlink()
    with witness_on(tmp_path, LOG) as witness:
        made.witnesses = [AskedWitness(witness.url, Witness(WITNESS.verifier))]
        last = made.sealed()
        witness.now = made.sealing.now
        settle(made.asker())
    assert made.failures() == {"back": 1}
    assert f"it cosigned 0 leaves of this log, and it has cosigned {first.size}: it has forgotten" in caplog.text
    assert made.stored() == [(str(WITNESS.verifier), last.size)]


def test_a_log_with_another_name_after_a_restore_is_a_new_one_to_a_witness(
    stack: ExitStack, database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    named = "daybook.example/after-the-restore"
    logs = LOG | {named: [signers_of(named, (KEY,))[0].verifier]}
    witness = stack.enter_context(witness_on(tmp_path, logs))
    made = asking(stack, database, ledger, witness.url)
    asker = made.asker()
    made.sealed()
    witness.now = made.sealing.now
    settle(asker)
    with psycopg.connect(database.url) as owner:
        rename_tree(owner, made.sealing.log_number, named)
    made.sealing.origin = named
    for again in (asker, made.asker()):
        last = made.sealed()
        witness.now = made.sealing.now
        settle(again)
        assert made.stored() == [(str(WITNESS.verifier), last.size)]
        assert made.failures() == {}, "it has forgotten nothing"


def test_a_size_that_was_never_signed_here_is_told_of(
    stack: ExitStack, database: Database, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    there: list[Asking] = []
    made, lying = asking_a_liar(stack, database, ledger, lambda asked: conflict(1), honest(there))
    there.append(made)
    made.sealed(5)
    settle(made.asker())
    assert [one.old for one in lying.asked] == [0, 1]
    assert made.failures() == {"ahead": 1}
    assert "it cosigned 1 leaves of this log, of which no checkpoint is kept here" in caplog.text


def test_a_witness_that_answers_with_one_size_after_the_other_has_a_pause(
    stack: ExitStack, database: Database, ledger: Ledger
) -> None:
    made, lying = asking_a_liar(stack, database, ledger, *[lambda asked: conflict(asked.old + 1)] * 9)
    made.sealed(5)
    settle(made.asker())
    assert len(lying.asked) == 2
    assert made.failures() == {"ahead": 1, "wrong": 1}


def test_a_log_that_was_forked_gets_no_second_cosignature(
    stack: ExitStack, database: Database, ledger: Ledger, postgres18: Server, tmp_path: Path
) -> None:
    """Two databases sign with one key and one origin, as after a restore: the witness has seen only one of them."""
    witness = stack.enter_context(witness_on(tmp_path, LOG))
    made = asking(stack, database, ledger, witness.url)
    last = made.sealed(3)
    witness.now = made.sealing.now
    settle(made.asker())
    with postgres18.database() as forked, ledger_on(forked) as other_ledger, ExitStack() as inner:
        other = asking(inner, forked, other_ledger, witness.url)
        other.sealing.now = made.sealing.now
        while other.sealed(1).size <= last.size:
            pass
        settle(other.asker())
        assert other.stored() == []
        assert other.failures() == {"inconsistent": 1} | ({"ahead": 1} if "ahead" in other.failures() else {})


# Processes


def test_a_witness_that_is_killed_goes_on_where_it_was(
    stack: ExitStack, database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    port = free_port()
    env = environment(
        DAYBOOK_DATA_DIR=str(tmp_path),
        DAYBOOK_PORT=str(port),
        DAYBOOK_WITNESS_NAME=NAME,
        DAYBOOK_WITNESS_KEY=b64encode(WITNESS.seed).decode(),
        DAYBOOK_WITNESS_LOGS=str(LOG_KEY),
    )
    with started("witness", "--new", env=env) as process:
        printed, _ = process.communicate()
    assert printed.strip() == str(WITNESS.verifier)
    made = asking(stack, database, ledger, f"http://127.0.0.1:{port}")
    made.sealing.now = now()  # the witness has the clock of this machine
    sizes: list[int] = []
    for _ in range(3):
        with started("witness", env=env) as process:
            last = made.sealed()
            wait_until(partial(_is_cosigned, made, last.size), "a cosignature")
            sizes.append(last.size)
            process.kill()
            process.wait()
    assert made.stored() == [(str(WITNESS.verifier), sizes[-1])]
    assert "back" not in made.failures()


def _is_cosigned(made: Asking, size: int) -> bool:
    settle(made.asker())  # without the pause of the one before
    return made.stored() == [(str(WITNESS.verifier), size)]


def test_the_process_asks_until_it_is_stopped(
    stack: ExitStack, database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    witness = stack.enter_context(witness_on(tmp_path, LOG))
    made = asking(stack, database, ledger, witness.url)
    settings = settings_of(database).model_copy(
        update={"proof_witnesses": (f"{witness.url}/ {WITNESS.verifier}",), "proof_seconds": 0.1}
    )
    stop, counts = Event(), [Counts(NAME)]
    thread = Thread(target=run_asker, args=(settings, stop, counts), kwargs={"clock": lambda: made.sealing.now})
    thread.start()
    try:
        last = made.sealed()
        witness.now = made.sealing.now
        wait_until(lambda: made.stored() == [(str(WITNESS.verifier), last.size)], "a cosignature")
        wait_until(lambda: counts[0].size == last.size, "its figures")
    finally:
        stop.set()
        thread.join()


# What is kept


def test_cosignatures_are_added_and_never_changed(stack: ExitStack, database: Database, ledger: Ledger) -> None:
    made = asking(stack, database, ledger, "http://127.0.0.1:1")
    last = made.sealed()
    connection, log_number, now = made.sealing.connection, made.sealing.log_number, made.sealing.now
    line = cosign(WITNESS, parse_note(last.note.encode()).text, now).line.removesuffix("\n")
    key = str(WITNESS.verifier)
    assert keep_cosignature(connection, log_number, key, last.size, line, now)
    assert not keep_cosignature(connection, log_number, key, last.size, "— other AAAA", now), "there is one"
    assert made.note(last.size) == f"{last.note}{line}\n"
    with pytest.raises(psycopg.errors.RaiseException, match="there is no checkpoint of 9999 leaves"):
        keep_cosignature(connection, log_number, key, 9999, line, now)
    for wrong in ("", "x", f"{line}\n", f"{line}\n{line}", "— a b\n", "— a\u2028b c d", "— two words AAAA"):
        with pytest.raises(psycopg.errors.CheckViolation):
            keep_cosignature(connection, log_number, "other", last.size, wrong, now)
    for statement in (
        "UPDATE proof.cosignatures SET line = line",
        "DELETE FROM proof.cosignatures",
        "INSERT INTO proof.cosignatures VALUES (1, 'x', 1, '— a AAAA', now())",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
    with pytest.raises(LookupError):
        made.note(9999)


def test_the_newest_checkpoint_with_so_many_cosignatures(stack: ExitStack, database: Database, ledger: Ledger) -> None:
    made = asking(stack, database, ledger, "http://127.0.0.1:1")
    connection, log_number = made.sealing.connection, made.sealing.log_number
    first, second, third = made.sealed(), made.sealed(), made.sealed()
    for checkpoint, number in ((first, MOST_COSIGNATURES + 5), (second, 1)):
        for witness in range(number):
            keep_cosignature(
                connection, log_number, f"w{witness}", checkpoint.size, f"— w{witness} AAAAAAAA", third.signed_at
            )
    assert witnessed_checkpoint(connection, log_number, 1) == second
    assert witnessed_checkpoint(connection, log_number, 2) == first
    assert witnessed_checkpoint(connection, log_number, 99) is None
    assert [one.size for one in read_witnesses(connection, log_number) if one.verifier in ("w0", "w1")] == [
        second.size,
        first.size,
    ]
    assert made.note(first.size).count("\n— w") == MOST_COSIGNATURES
    assert len(parse_note(made.note(first.size).encode()).signatures) == 1 + MOST_COSIGNATURES
