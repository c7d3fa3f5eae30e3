"""Signs messages of webhooks as Standard Webhooks says (https://www.standardwebhooks.com): HMAC-SHA256, version v1.

A secret is made from the log's own key, the webhook, and the version of the event that made it. So it is stored
nowhere: not on the log, and not beside it. A rotation of the master key does not change it.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from typing import Final

from eventstore.credentials.tokens import Secret
from eventstore.keys.keyed_hashes import KeyedHashes

PREFIX: Final = "whsec_"
PURPOSE: Final = "webhook"


def signing_key(hashes: KeyedHashes, webhook: str, version: int) -> bytes:
    """The key of the secret that this version of the webhook's stream made: 32 bytes. Raises as `KeyedHashes.of`."""
    return hashes.digest(PURPOSE, f"{webhook}:{version}")


def secret_of(key: bytes) -> Secret:
    """The text of a key, which the receiver gets."""
    return Secret(PREFIX + base64.b64encode(key).decode())


def signatures(keys: Iterable[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key, separated by blanks."""
    message = f"{id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, message, 'sha256')).decode()}" for key in keys)
