"""Hashes of short texts that nobody can find by trying, such as of addresses and of requests with a password.

They are made with a key of the log's own. It is kept like the keys of people, wrapped with the master key, so that it
moves with a rotation. It never changes: the streams that make names unique are named by these hashes.
"""

from __future__ import annotations

import hmac
from typing import Final

from eventstore.keys.sealing import Sealer

HASHES: Final = "system:hashes"
"""Whose key it is. Nobody can be erased whose id begins with `system:`, and replicas do not get the key."""


class KeyedHashes:
    """Makes hashes with the log's own key. Thread-safe."""

    def __init__(self, sealer: Sealer) -> None:
        """The sealer of a process that writes: it makes the key, once for each log."""
        self._sealer = sealer

    def of(self, purpose: str, text: str | bytes) -> str:
        """The hash of a text for a purpose: 64 hexadecimal digits. Another purpose gives another hash.

        Raises `MasterKeyError`, and `UnusableKeyError` if the key is damaged or lost.
        """
        return self.digest(purpose, text).hex()

    def digest(self, purpose: str, text: str | bytes) -> bytes:
        """The hash of a text for a purpose: 32 bytes. Raises as `of`."""
        message = text if isinstance(text, bytes) else text.encode()
        prefix = purpose.encode()
        return hmac.digest(self._sealer.key_of(HASHES), len(prefix).to_bytes(4, "big") + prefix + message, "sha256")
