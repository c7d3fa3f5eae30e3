"""Seals personal data with a data key per person, which is wrapped with the master key.

AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D). The additional data binds a sealed value to its place: stream,
version, type of event, field and subject. It does not open anywhere else. The text in the log is `2.` and base64url of
nonce, ciphertext and tag. A text without a version has version 1: type, field and subject are bound (ADR 0014).

To erase a person is to erase their key. The sealed values are noise then, and every hash over the log still holds,
because it was made of the sealed bytes. Keys are cached, so whoever asks for the keys of many people first asks which
were erased meanwhile. A damaged key or value affects only its person: opening it raises `UnreadableError`, and reading
the keys of many people never does.
"""

from __future__ import annotations

import os
from base64 import b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Final, NamedTuple, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventstore.keys.master_keys import (
    KEY_BYTES,
    NONCE_BYTES,
    MasterKeys,
    MasterKeyStore,
    SealingError,
    StaleMasterKeyError,
    WrappedKey,
    wrap,
)

VERSION: Final = 2
"""The version of values that are sealed today."""
WRITER_ERASURE_SECONDS: Final = 1.0
"""How long a process that seals may use a key after it was erased. What it seals then can never be opened."""
COMMIT_SECONDS: Final = 60.0
"""More than the time between the moment of an erasure and its commit, in seconds."""
_CACHED_KEYS = 50_000
_MOST_WRAPPINGS = 3
"""How many times new keys are wrapped again because a rotation of the master key began meanwhile."""


class UnreadableError(SealingError):
    """A key or a sealed value cannot be opened: it is damaged, forged, moved or lost."""


class UnusableKeyError(SealingError):
    """The key of a person is damaged. Nothing can be sealed for them until it is restored."""


class Place(NamedTuple):
    """The place of a sealed value in the log, and its subject."""

    stream: str
    version: int
    type: str
    field: str
    subject: str

    def __str__(self) -> str:
        return f"{self.field} of {self.type} at version {self.version} of {self.stream}"


class KeyStore(MasterKeyStore, Protocol):
    """The store of wrapped data keys (see `eventstore.keys.subject_keys`)."""

    def find(self, subjects: Iterable[str]) -> dict[str, WrappedKey | None]:
        """The wrapped keys of these people: None for an erased key, no entry for an unknown person."""

    def keep(self, sealed: Mapping[str, bytes], master_key: int) -> dict[str, WrappedKey | None]:
        """Store new keys, wrapped with the master key of this number. Returns the keys of whichever process was first.

        Raises `StaleMasterKeyError` if that is no longer the current master key.
        """

    def erased(self, since: datetime | None) -> tuple[datetime, Sequence[str]]:
        """The time of the store, and the people whose key was erased after this time; nobody if it is None."""


@dataclass(frozen=True, slots=True)
class _Unusable:
    """Replaces a key that does not open, or a key that is missing and should exist."""

    why: str


_Key: TypeAlias = bytes | _Unusable | None
"""A data key; None if it was erased."""

_LOST: Final = _Unusable("whose key is lost")
_DAMAGED: Final = _Unusable("whose key does not open with the master key")


class Sealer:
    """Seals and opens with the keys of one log. Thread-safe."""

    def __init__(
        self,
        keys: KeyStore,
        master_key: bytes,
        previous: bytes | None = None,
        *,
        erasure_seconds: float = 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`previous` is the previous master key, which may still wrap keys until a rotation has ended.

        Erased keys are asked for at each `look_up` and `prepare`, at most once in `erasure_seconds`.
        """
        self._keys = keys
        self.master_keys = MasterKeys(keys, master_key, previous)
        self._cache: OrderedDict[str, _Key] = OrderedDict()  # ciphers would take twenty times the memory
        self._lock = Lock()
        self._erasure_seconds = erasure_seconds
        self._clock = clock
        self._asked_at = clock()  # when erased keys were asked for last, by this clock
        self._known_until: datetime | None = None  # and by that of the store
        self._erasures = 0  # erased keys that the answers named, some of them more than once

    def prepare(self, subjects: Iterable[str]) -> None:
        """Load the keys of these people with one query, and make keys for new people.

        Raises `MasterKeyError`, as `look_up` does.
        """
        self._forget_erased()
        missing = self._missing(subjects)
        if not missing:
            return
        found = self._keys.find(missing)
        new = [subject for subject in missing if subject not in found]
        if new:
            found |= self._make(new)
        self._remember(missing, found)

    def look_up(self, subjects: Iterable[str]) -> None:
        """Load the existing keys of these people with one query."""
        self._forget_erased()
        missing = self._missing(subjects)
        if missing:
            self._remember(missing, self._keys.find(missing))

    def erasures(self) -> int:
        """Ask which keys were erased since this was asked last. Returns a number that grows whenever there were some.

        Without a key in memory nothing was opened or sealed, and nothing is asked. Raises the errors of the store.
        """
        self._forget_erased(at_once=True)
        return self._erasures

    def unusable(self, subjects: Iterable[str]) -> dict[str, str]:
        """The people whose key does not open or is lost, with the reason. It takes one query."""
        subjects = list(subjects)
        self.look_up(subjects)
        keys = {subject: self._key(subject) for subject in subjects}
        return {subject: key.why for subject, key in keys.items() if isinstance(key, _Unusable)}

    def forget(self) -> None:
        """Drop every key from memory. Keys are read again when they are needed."""
        with self._lock:
            self._cache.clear()

    def seal(self, place: Place, value: str) -> str:
        """The sealed text of a value. Raises `SealingError` for a person whose key was erased, `UnusableKeyError` for a
        person whose key is damaged."""
        key = self._usable(place.subject)
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, value.encode(), _bind(place))
        return f"{VERSION}.{urlsafe_b64encode(sealed).decode()}"

    def key_of(self, subject: str) -> bytes:
        """The key itself, made if it is not there. It is for keys that are not of people. Raises as `seal`."""
        self.prepare([subject])
        return self._usable(subject)

    def check(self, place: Place, value: str) -> str:
        """Raise as `seal` would, and return the value as it is. No key is made for a new person."""
        found = self._keys.find([place.subject])
        if place.subject in found:
            self._remember([place.subject], found)
            self._usable(place.subject)
        value.encode()
        return value

    def open(self, place: Place, sealed: str) -> str | None:
        """Open a sealed value. None if the key was erased. Raises `UnreadableError`."""
        key = self._key(place.subject)
        if key is None:
            return None
        if isinstance(key, _Unusable):
            raise UnreadableError(f"{place} is about {place.subject}, {key.why}")
        version, text = split_version(sealed)
        bound = _bind_1(place) if version == 1 else _bind(place)
        try:
            raw = b64decode(text, b"-_", validate=True)
            return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound).decode()
        except (InvalidTag, ValueError):  # ValueError: not base64, too short for a nonce, or not UTF-8
            raise UnreadableError(f"{place} does not open with the key of {place.subject}") from None

    def _usable(self, subject: str) -> bytes:
        """The key of a person. Raises as `seal` does."""
        key = self._key(subject)
        if key is None:
            raise SealingError(f"the key of {subject} was erased: nothing can be written about them any more")
        if isinstance(key, _Unusable):
            raise UnusableKeyError(f"nothing can be written about {subject}, {key.why}: restore it from a backup")
        return key

    def _forget_erased(self, *, at_once: bool = False) -> None:
        """Drop the cached keys that were erased since this was asked last. The first time nothing is cached.

        An erasure is committed a little after its moment. Another thread may have read a key before that, and cache it
        after this. So each question goes back further than the last one, by `COMMIT_SECONDS`.
        """
        now = self._clock()
        with self._lock:
            known = self._known_until
            waits = not at_once and now - self._asked_at < self._erasure_seconds
            if known is not None and (waits or not self._cache):
                return
        until, erased = self._keys.erased(None if known is None else known - timedelta(seconds=COMMIT_SECONDS))
        with self._lock:
            self._asked_at, self._known_until = now, until
            self._erasures += len(erased)
            for subject in erased:
                self._cache.pop(subject, None)

    def _missing(self, subjects: Iterable[str]) -> list[str]:
        """The people whose key must be read. An unusable key is read again: it may have been restored."""
        with self._lock:
            cached = self._cache
            return [one for one in subjects if one not in cached or isinstance(cached[one], _Unusable)]

    def _key(self, subject: str) -> _Key:
        with self._lock:
            if subject in self._cache:
                self._cache.move_to_end(subject)
                return self._cache[subject]
        return self._remember([subject], self._keys.find([subject]))[subject]

    def _make(self, subjects: Iterable[str]) -> dict[str, WrappedKey | None]:
        """Make and store a key for each of these people."""
        new = {subject: AESGCM.generate_key(bit_length=8 * KEY_BYTES) for subject in subjects}
        for _ in range(_MOST_WRAPPINGS):
            number, cipher = self.master_keys.wrapping()
            try:
                return self._keys.keep({one: wrap(cipher, one, key) for one, key in new.items()}, number)
            except StaleMasterKeyError:
                self.master_keys.check()
        raise StaleMasterKeyError(f"the master key changed {_MOST_WRAPPINGS} times while keys of people were made")

    def _remember(self, asked: Iterable[str], found: Mapping[str, WrappedKey | None]) -> dict[str, _Key]:
        wrapped = {subject: key for subject, key in found.items() if key is not None}
        if wrapped:
            self.master_keys.have({key.master_key for key in wrapped.values()})
        opened: dict[str, _Key] = dict.fromkeys(asked, _LOST)
        opened |= dict.fromkeys(found)
        for subject, key in wrapped.items():
            opened[subject] = self.master_keys.unwrap(subject, key) or _DAMAGED
        with self._lock:
            self._cache.update(opened)
            while len(self._cache) > max(_CACHED_KEYS, len(opened)):
                self._cache.popitem(last=False)
        return opened


class ClosedSealer(Sealer):
    """Opens nothing: it reads every value as if the key of the person was erased. It needs no key.

    It is for readers that do not look at personal values, and must not pay for them.
    """

    def __init__(self) -> None:
        """It has no keys."""

    def look_up(self, subjects: Iterable[str]) -> None:
        """Load nothing."""

    def open(self, place: Place, sealed: str) -> None:
        """Return None, as for an erased key."""


def split_version(sealed: str) -> tuple[int, str]:
    """The version of a sealed text, and the rest of it.

    A text of version 1 cannot look like one of version 2: base64url has no full stop.
    """
    prefix = f"{VERSION}."
    return (VERSION, sealed[len(prefix) :]) if sealed.startswith(prefix) else (1, sealed)


def _bind(place: Place) -> bytes:
    """Each part with its length before it, so that two places never have the same bytes."""
    stream, version, type, field, subject = place
    parts = [part.encode() for part in ("daybook sealed value 2", stream, str(version), type, field, subject)]
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def _bind_1(place: Place) -> bytes:
    return f"{place.type}\x1f{place.field}\x1f{place.subject}".encode()
