"""Searches for secrets in what a service keeps: each secret in every form in which it could be written."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from tests.support.postgres import Database
from workers.embedded import wheel_bin_dir

LEAST_PREFIX: Final = 12
"""Characters of the shortest part of a secret that is searched for: what is shorter is found by chance."""
_KIND = re.compile(r"^db[a-z]_")


def forms(secret: str) -> Iterator[bytes]:
    """The texts that a secret could be found as: in clear, in hexadecimal, in base64.

    Of a base64 text inside a longer one, the part that does not depend on its neighbours. A token's first letters,
    which tell what it is for, are no secret.
    """
    bare = _KIND.sub("", secret)
    for one in {secret, bare, bare[:LEAST_PREFIX]}:
        raw = one.encode("utf-8", "surrogatepass")
        yield from (raw, raw.hex().encode(), raw.hex().upper().encode())
        for skipped in range(3):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield encode(raw[skipped : skipped + (len(raw) - skipped) // 3 * 3])


def digests(guessable: str) -> Iterator[bytes]:
    """A plain digest of what can be guessed, by which somebody could try guesses."""
    digest = sha256(guessable.encode("utf-8", "surrogatepass")).digest()
    yield from (digest, digest.hex().encode(), digest.hex().upper().encode())
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(digest).rstrip(b"=")


def alone(code: str) -> re.Pattern[bytes]:
    """A short code that stands alone, and not in a longer number, a time or an id.

    In the text of a database it is also found as hexadecimal with quotes around it, as in JSON that is stored as bytes.
    """
    quoted = f'"{code}"'.encode().hex().encode()
    return re.compile(rb"(?<![\w.:+/=-])" + code.encode() + rb"(?![\w.:+/=-])|" + quoted)


def dump(database: Database) -> bytes:
    """The whole database, as text."""
    command = [str(wheel_bin_dir() / "pg_dump"), "--inserts", database.url]
    return subprocess.run(command, capture_output=True, check=True).stdout


def found(secrets: Iterable[str], text: bytes) -> list[str]:
    """The secrets that are in a text in some form."""
    return [secret for secret in secrets if any(form in text for form in forms(secret))]


def found_digests(guessables: Iterable[str], text: bytes) -> list[str]:
    """What can be guessed and has a plain digest in a text."""
    return [one for one in guessables if any(form in text for form in digests(one))]


def found_codes(codes: Iterable[str], text: bytes) -> list[str]:
    """The short codes that stand in a text."""
    return [code for code in codes if alone(code).search(text) is not None]
