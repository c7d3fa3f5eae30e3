"""The master key, which wraps the keys of personal data: its text form, and the file for the embedded database.

Errors are `ValueError` or `OSError`; their messages never hold key material.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

MASTER_KEY_BYTES = 32  # AES-256


def decode(text: str) -> bytes:
    """The key from its base64 form."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it should be base64") from None  # the cause would quote the text
    if len(key) != MASTER_KEY_BYTES:
        raise ValueError(f"it should be {MASTER_KEY_BYTES} bytes in base64, and these are {len(key)}")
    return key


def encode(key: bytes) -> str:
    """The base64 form of a key."""
    return base64.b64encode(key).decode()


def read(key_file: Path) -> bytes:
    """The key in that file."""
    return decode(key_file.read_text(encoding="ascii"))


def create(key_file: Path) -> None:
    """Write a new key. It is on disk, complete and private, before anything is sealed with it.

    If another process makes the file at the same moment, the key of that process stays.
    """
    key_file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = key_file.with_name(f"{key_file.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)  # left by a killed process with the same number
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(encode(os.urandom(MASTER_KEY_BYTES)).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(unfinished, key_file)  # a rename would replace the other process's key
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()
    folder = os.open(key_file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
