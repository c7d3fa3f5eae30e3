"""Personal data, sealed per person: a data key each, itself sealed with the master key.

AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D); the additional data binds a sealed value to its event type,
field and subject, so it cannot be moved to another place and opened there. The text in the log is base64url of nonce,
ciphertext and tag. Erasing a person is erasing their key: what is sealed then is noise, and every hash over the log
still holds, because it was taken over the sealed bytes.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_CACHED_KEYS = 50_000


class SealingError(RuntimeError):
    """A value that cannot be sealed or opened: a wrong master key, a forged value, an erased person."""


class KeyStore(Protocol):
    """Where sealed data keys are kept (see `eventstore.subject_keys`)."""

    def find(self, subjects: Iterable[str]) -> dict[str, bytes | None]:
        """The sealed keys there are; None for one that was erased; no entry for a person never heard of."""

    def keep(self, sealed: dict[str, bytes]) -> dict[str, bytes | None]:
        """Keep new keys; the answer is what holds, whoever was first."""


class Sealer:
    """Seals and opens with the keys of one log. Thread-safe."""

    def __init__(self, keys: KeyStore, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise SealingError(f"the master key has {len(master_key)} bytes; it must have {KEY_BYTES}")
        self._keys = keys
        self._master = AESGCM(master_key)
        self._cache: OrderedDict[str, bytes | None] = OrderedDict()  # as ciphers they would take twenty times as much
        self._lock = Lock()

    def prepare(self, subjects: Iterable[str]) -> None:
        """Have the keys of these people at hand, making those of newcomers: one look-up for all of them."""
        with self._lock:
            missing = [subject for subject in subjects if subject not in self._cache]
        if not missing:
            return
        found = self._keys.find(missing)
        new = {
            subject: self._wrap(subject, AESGCM.generate_key(bit_length=8 * KEY_BYTES))
            for subject in missing
            if subject not in found
        }
        if new:
            found |= self._keys.keep(new)
        self._remember(found)

    def look_up(self, subjects: Iterable[str]) -> None:
        """Have the keys of these people at hand, as far as there are any: one look-up for all of them."""
        with self._lock:
            missing = [subject for subject in subjects if subject not in self._cache]
        if missing:
            self._remember(self._keys.find(missing))

    def forget(self) -> None:
        """Drop every key from memory; they are looked up again when needed."""
        with self._lock:
            self._cache.clear()

    def seal(self, subject: str, type: str, field: str, value: str) -> str:
        """The sealed text of a value. Raises `SealingError` for a person whose key was erased."""
        key = self._key(subject)
        if key is None:
            raise SealingError(f"the key of {subject} was erased: nothing can be written about them any more")
        nonce = os.urandom(_NONCE_BYTES)
        return urlsafe_b64encode(nonce + key.encrypt(nonce, value.encode(), _bind(type, field, subject))).decode()

    def open(self, subject: str, type: str, field: str, sealed: str) -> str | None:
        """The value, or None where the key was erased. Raises `SealingError` for a forged or moved value."""
        key = self._key(subject)
        if key is None:
            return None
        raw = urlsafe_b64decode(sealed)
        try:
            return key.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bind(type, field, subject)).decode()
        except InvalidTag:
            raise SealingError(f"{field} of a {type} about {subject} does not open with their key") from None

    def _key(self, subject: str) -> AESGCM | None:
        with self._lock:
            known = subject in self._cache
            if known:
                self._cache.move_to_end(subject)
        if not known:
            self._remember(self._keys.find([subject]))
        with self._lock:
            key = self._cache.get(subject)  # absent: never heard of, so not remembered as erased either
        return None if key is None else AESGCM(key)

    def _remember(self, found: dict[str, bytes | None]) -> None:
        opened = {
            subject: None if sealed is None else self._unwrap(subject, sealed) for subject, sealed in found.items()
        }
        with self._lock:
            self._cache.update(opened)
            while len(self._cache) > max(_CACHED_KEYS, len(opened)):
                self._cache.popitem(last=False)

    def _wrap(self, subject: str, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, key, _bind("subject-key", "key", subject))

    def _unwrap(self, subject: str, sealed: bytes) -> bytes:
        try:
            return self._master.decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bind("subject-key", "key", subject)
            )
        except InvalidTag:
            raise SealingError(
                f"the key of {subject} does not open with this master key: is DAYBOOK_MASTER_KEY the one of this log?"
            ) from None


def _bind(type: str, field: str, subject: str) -> bytes:
    return f"{type}\x1f{field}\x1f{subject}".encode()
