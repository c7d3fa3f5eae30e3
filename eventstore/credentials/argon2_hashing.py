"""Hashes passwords with argon2id: parameters in one place, at most two at a time, and a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from typing import Final, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from eventstore.credentials.password_rules import normalised


@dataclass(frozen=True, slots=True)
class Parameters:
    """The cost of a hash. Raise them when machines get faster: each password is hashed anew at its next use."""

    passes: int
    memory_kib: int
    parallelism: int


PARAMETERS: Final = Parameters(passes=3, memory_kib=64 * 1024, parallelism=1)
"""The second choice of RFC 9106 (3 passes, 64 MiB) without its parallelism: two sign-ins take two processors."""
AT_ONCE: Final = 2
WAITING: Final = 20
"""Calls that may wait. One more is refused at once."""
WAIT_SECONDS: Final = 5.0


class BusyError(RuntimeError):
    """Too many passwords are being hashed. Nothing was decided: the caller may try again."""


class Verdict(NamedTuple):
    """Whether the password is right, and whether its hash was made with other parameters than those of today."""

    matches: bool
    outdated: bool


class Argon2:
    """Hashes and compares. Thread-safe. It takes a processor for a tenth of a second, so no event loop may call it.

    `calls` counts the hashes that were computed, also those of a comparison.
    """

    def __init__(
        self,
        parameters: Parameters = PARAMETERS,
        *,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._hasher = PasswordHasher(parameters.passes, parameters.memory_kib, parameters.parallelism, type=Type.ID)
        self._at_once = at_once
        self._most = at_once + waiting
        self._wait_seconds = wait_seconds
        self._slots = BoundedSemaphore(at_once)
        self._lock = Lock()
        self._inside = 0
        self.calls = 0
        self._dummy = self._hasher.hash("the password of nobody")

    def hash(self, password: str) -> str:
        """The hash of a password, with salt and parameters. Raises `BusyError`."""
        with self._slot():
            return self._hasher.hash(_bytes(password))

    def verify(self, stored: str | None, password: str) -> Verdict:
        """Compare with a stored hash. Without one, the same is computed with a hash of nobody's password.

        Raises `BusyError`.
        """
        with self._slot():
            try:
                self._hasher.verify(self._dummy if stored is None else stored, _bytes(password))
            except (VerificationError, InvalidHashError):
                return Verdict(False, False)
        return Verdict(stored is not None, stored is not None and self._hasher.check_needs_rehash(stored))

    @contextmanager
    def _slot(self) -> Iterator[None]:
        _refuse_event_loop()
        with self._lock:
            if self._inside >= self._most:
                raise BusyError(
                    f"{self._at_once} passwords are being hashed and {self._most - self._at_once} wait, which is the "
                    "most: try again in a few seconds"
                )
            self._inside += 1
        try:
            if not self._slots.acquire(timeout=self._wait_seconds):
                raise BusyError(
                    f"a password waited {self._wait_seconds:g} s for its turn to be hashed, {self._at_once} at a time: "
                    "try again in a few seconds"
                )
            try:
                with self._lock:
                    self.calls += 1
                yield
            finally:
                self._slots.release()
        finally:
            with self._lock:
                self._inside -= 1


def _bytes(password: str) -> bytes:
    return normalised(password).encode("utf-8", "surrogatepass")


def _refuse_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise AssertionError("argon2 would stop the event loop: call it in a thread")
