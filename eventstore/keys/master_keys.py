"""The master keys of a process, compared with those that its database knows.

A database knows a master key by its fingerprint. Each wrapped key of a person names its master key by number. So a
process with another key is refused before it writes or folds anything. During a rotation a process holds the present
master key and the previous one, so it goes on working.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
WRAPPED_BYTES: Final = NONCE_BYTES + KEY_BYTES + 16
"""Nonce, a person's key and the tag of AES-GCM. `log.keep_subject_keys` accepts no other length."""
FINGERPRINT_BYTES: Final = 16
SAMPLE: Final = 100
"""Wrapped keys to try if the database knows no master key yet. One that opens shows that the master key is right."""

Status: TypeAlias = Literal["current", "superseded", "retired"]


class SealingError(RuntimeError):
    """A value cannot be sealed or opened."""


class MasterKeyError(SealingError):
    """The master keys of this process are not those of its database. The settings are wrong; no data is damaged."""


class StaleMasterKeyError(SealingError):
    """A key was wrapped with a master key that is no longer current."""


class KnownMasterKey(NamedTuple):
    """A master key, as the database knows it."""

    number: int
    fingerprint: bytes
    status: Status  # current: wraps new keys; superseded: keys are being rewrapped; retired: no key is left


class WrappedKey(NamedTuple):
    """A person's key, wrapped with the master key of this number."""

    sealed: bytes
    master_key: int


class MasterKeyStore(Protocol):
    """The master keys that a database knows (see `eventstore.keys.subject_keys`)."""

    def master_keys(self) -> Sequence[KnownMasterKey]:
        """All of them."""

    def record_master_key(self, fingerprint: bytes) -> None:
        """Record the first one. It has no effect if one is known."""

    def some_keys(self, most: int) -> Sequence[tuple[str, bytes]]:
        """Some people and their wrapped keys."""


def fingerprint(master_key: bytes) -> bytes:
    """The fingerprint of a master key. It does not help to guess the key, which is 32 random bytes."""
    return hmac.digest(master_key, b"daybook master key fingerprint v1", "sha256")[:FINGERPRINT_BYTES]


def wrap(cipher: AESGCM, subject: str, key: bytes) -> bytes:
    """Wrap a person's key. It can be unwrapped for this person only."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, key, _bind(subject))


def unwrap(cipher: AESGCM, subject: str, wrapped: bytes) -> bytes | None:
    """Unwrap a person's key. None if it does not open or has a wrong length."""
    try:
        key = cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _bind(subject))
    except (InvalidTag, ValueError):  # ValueError: too short for a nonce
        return None
    return key if len(key) == KEY_BYTES else None


def _bind(subject: str) -> bytes:
    return f"subject-key\x1fkey\x1f{subject}".encode()


@dataclass(frozen=True, slots=True)
class _Matched:
    """The keys of this process by their numbers in the database. `wraps` is None while the database knows none."""

    by_number: dict[int, AESGCM]
    wraps: int | None


class MasterKeys:
    """The present master key and, during a rotation, the previous one. Thread-safe if the store is."""

    def __init__(self, store: MasterKeyStore, present: bytes, previous: bytes | None = None) -> None:
        for key in (present, *([previous] if previous is not None else [])):
            if len(key) != KEY_BYTES:
                raise SealingError(f"a master key has {len(key)} bytes; it must have {KEY_BYTES}")
        self.present = fingerprint(present)
        self.held = {self.present: AESGCM(present)}
        if previous is not None:
            self.held.setdefault(fingerprint(previous), AESGCM(previous))
        self._store = store
        self._matched = _Matched({}, None)

    def check(self, *, record: bool = False) -> None:
        """Compare the keys with those that the database knows. Raises `MasterKeyError`.

        If the database knows none, one of its wrapped keys must open. With `record` the fingerprint is then recorded.
        """
        known = self._store.master_keys()
        if not known:
            first = self._first()
            if not record:
                self._matched = _Matched({1: self.held[first]}, None)
                return
            self._store.record_master_key(first)
            known = self._store.master_keys()
        self._refuse_unknown(known)
        held = {one.number: self.held[one.fingerprint] for one in known if one.fingerprint in self.held}
        self._matched = _Matched(held, next(one.number for one in known if one.status == "current"))

    def have(self, numbers: Collection[int]) -> None:
        """Read the state of these master keys from the database. Raises `MasterKeyError`."""
        matched = self._matched
        if matched.wraps is None or not matched.by_number.keys() >= set(numbers):
            self.check()

    def unwrap(self, subject: str, wrapped: WrappedKey) -> bytes | None:
        """Unwrap a person's key. None if it does not open. Call `have` first."""
        cipher = self._matched.by_number.get(wrapped.master_key)
        return None if cipher is None else unwrap(cipher, subject, wrapped.sealed)

    def wrapping(self) -> tuple[int, AESGCM]:
        """The number and the cipher for wrapping new keys. Raises `MasterKeyError`."""
        if self._matched.wraps is None:
            self.check(record=True)
        matched = self._matched
        assert matched.wraps is not None
        return matched.wraps, matched.by_number[matched.wraps]

    def _first(self) -> bytes:
        """The fingerprint of the master key that opens the wrapped keys of this database, or of the present one if
        there are none. One damaged key decides nothing."""
        some = self._store.some_keys(SAMPLE)
        for held, cipher in self.held.items():
            if any(unwrap(cipher, subject, sealed) is not None for subject, sealed in some):
                return held
        if some:
            raise MasterKeyError(
                f"none of {len(some)} keys of people in this database opens with DAYBOOK_MASTER_KEY: set it to the key "
                "that this database was first used with"
            )
        return self.present

    def _refuse_unknown(self, known: Sequence[KnownMasterKey]) -> None:
        if not any(one.status == "current" for one in known):
            raise MasterKeyError("log.master_keys names no current master key: the database is damaged, restore it")
        present = next((one for one in known if one.fingerprint == self.present), None)
        if present is not None and present.status == "retired":
            raise MasterKeyError(
                f"DAYBOOK_MASTER_KEY is the master key {_shown(self.present)}, which this database has retired: set it "
                "to the key that replaced it"
            )
        for one in known:
            if one.status == "retired" or one.fingerprint in self.held:
                continue
            if one.status == "superseded":
                raise MasterKeyError(
                    f"keys of people are still wrapped with the master key {_shown(one.fingerprint)}: set "
                    "DAYBOOK_PREVIOUS_MASTER_KEY to it until daybook rotate-master-key has ended"
                )
            raise MasterKeyError(
                f"this database is used with the master key {_shown(one.fingerprint)}, and DAYBOOK_MASTER_KEY is "
                f"{_shown(self.present)}: set it to the key of this database (to change that, see daybook "
                "rotate-master-key)"
            )


def _shown(fingerprint: bytes) -> str:
    """The beginning of a fingerprint, for messages."""
    return fingerprint[:4].hex()
