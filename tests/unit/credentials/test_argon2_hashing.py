"""Hashing: calls are counted, two at a time, a bounded queue, and never in an event loop. Small parameters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from typing import Any

import pytest
from argon2 import PasswordHasher

from eventstore.credentials.argon2_hashing import Argon2, BusyError, Parameters, Verdict
from tests.support.credentials import SMALL


@pytest.fixture
def argon2() -> Argon2:
    return Argon2(SMALL)


def test_a_password_matches_its_hash_and_no_other(argon2: Argon2) -> None:
    stored = argon2.hash("Vq7!kzRw")
    assert stored.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert argon2.verify(stored, "Vq7!kzRw") == Verdict(True, False)
    assert argon2.verify(stored, "Vq7!kzRW") == Verdict(False, False)
    assert argon2.hash("Vq7!kzRw") != stored, "each hash has its own salt"


def test_an_accent_may_be_written_in_two_ways(argon2: Argon2) -> None:
    assert argon2.verify(argon2.hash("Vq7!kz\u00e9x"), "Vq7!kze\u0301x").matches


def test_without_a_hash_nothing_matches_and_the_same_is_computed(argon2: Argon2) -> None:
    stored, before = argon2.hash("Vq7!kzRw"), argon2.calls
    argon2.verify(stored, "wrong")
    with_a_hash, before = argon2.calls - before, argon2.calls
    assert argon2.verify(None, "the password of nobody") == Verdict(False, False), "not even its own password"
    assert (with_a_hash, argon2.calls - before) == (1, 1)


def test_a_damaged_hash_matches_nothing(argon2: Argon2) -> None:
    for damaged in ("", "$argon2id$", "plain", "$argon2id$v=19$m=64,t=1,p=1$AAAA$AAAA"):
        assert argon2.verify(damaged, "plain") == Verdict(False, False)


def test_a_hash_with_other_parameters_is_outdated(argon2: Argon2) -> None:
    stored = argon2.hash("Vq7!kzRw")
    assert Argon2(Parameters(2, 64, 1)).verify(stored, "Vq7!kzRw") == Verdict(True, True)


class Stopped:
    """A hash that stops in the middle until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.begun = Event(), 0
        real = PasswordHasher.hash

        def stop(hasher: PasswordHasher, *given: Any) -> str:
            self.begun += 1
            assert self.go.wait(30)
            return real(hasher, *given)

        monkeypatch.setattr(PasswordHasher, "hash", stop)


@contextmanager
def hashing(argon2: Argon2, number: int, stopped: Stopped, at_once: int) -> Iterator[list[BaseException]]:
    """So many calls, of which the first ones are stopped."""
    errors: list[BaseException] = []

    def call() -> None:
        try:
            argon2.hash("Vq7!kzRw")
        except BusyError as error:
            errors.append(error)

    threads = [Thread(target=call) for _ in range(number)]
    with ExitStack() as ends:
        for thread in threads:
            thread.start()
            ends.callback(thread.join, 30)
        while argon2._inside < number or stopped.begun < min(number, at_once):
            Event().wait(0.001)
        try:
            yield errors
        finally:
            stopped.go.set()


def test_two_at_a_time_and_one_more_than_the_queue_is_refused_with_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    argon2 = Argon2(SMALL, at_once=2, waiting=3)
    stopped = Stopped(monkeypatch)
    with hashing(argon2, 5, stopped, 2) as errors:
        assert stopped.begun == 2, "the others wait"
        with pytest.raises(BusyError, match="2 passwords are being hashed and 3 wait, which is the most"):
            argon2.verify(None, "x")
    assert errors == []
    assert stopped.begun == 5
    assert argon2.calls == 5


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    argon2 = Argon2(SMALL, at_once=1, waiting=1, wait_seconds=0.01)
    with hashing(argon2, 1, Stopped(monkeypatch), 1), pytest.raises(BusyError, match=r"waited 0\.01 s for its turn"):
        argon2.hash("x")
    assert argon2._inside == 0
    assert argon2.hash("x"), "whoever gave up has left the queue"


def test_it_is_not_called_in_an_event_loop(argon2: Argon2) -> None:
    async def call() -> None:
        argon2.hash("x")

    with pytest.raises(AssertionError, match="call it in a thread"):
        asyncio.run(call())
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(argon2.hash, "x").result()
