"""A key store in memory, which replaces the two tables of keys of persons and of master keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from eventstore.keys.master_keys import KnownMasterKey, StaleMasterKeyError, WrappedKey


class Keys:
    """Wrapped keys by subject. `asked` are the look-ups, in order."""

    def __init__(self, keys: Mapping[str, WrappedKey | None] | None = None) -> None:
        self.keys = dict(keys or {})
        self.known: list[KnownMasterKey] = []
        self.asked: list[list[str]] = []

    def find(self, subjects: Iterable[str]) -> dict[str, WrappedKey | None]:
        subjects = list(subjects)
        self.asked.append(subjects)
        return {subject: self.keys[subject] for subject in subjects if subject in self.keys}

    def keep(self, sealed: Mapping[str, bytes], master_key: int) -> dict[str, WrappedKey | None]:
        if (master_key, "current") not in [(one.number, one.status) for one in self.known]:
            raise StaleMasterKeyError(f"master key {master_key} is not the current one")
        for subject, key in sealed.items():
            self.keys.setdefault(subject, WrappedKey(key, master_key))
        return self.find(sealed)

    def erased(self, since: datetime | None) -> tuple[datetime, Sequence[str]]:
        erased = [] if since is None else [subject for subject, key in self.keys.items() if key is None]
        return datetime.now(UTC), erased

    def master_keys(self) -> Sequence[KnownMasterKey]:
        return self.known

    def record_master_key(self, fingerprint: bytes) -> None:
        self.known = self.known or [KnownMasterKey(1, fingerprint, "current")]

    def some_keys(self, most: int) -> Sequence[tuple[str, bytes]]:
        return [(subject, key.sealed) for subject, key in self.keys.items() if key is not None][:most]
