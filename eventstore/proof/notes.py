"""Signed notes, as C2SP `signed-note` defines them, with Ed25519: text, an empty line, and lines with signatures.

A key is text: `name+id+base64` for who verifies, `PRIVATE+KEY+name+id+base64` for who signs. The id has 32 bits and
only says which key to try. A note is read with the keys that its reader trusts: signatures by others are ignored, and
one by a known key that is wrong spoils the note.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519: Final = 0x01
"""The type of a signature over the text."""
COSIGNATURE: Final = 0x04
"""The type of a witness's signature with a time: `cosignatures.py`."""
TYPES: Final = {ED25519: "Ed25519", COSIGNATURE: "cosignature/v1"}
MOST_BYTES: Final = 64 * 1024
MOST_SIGNATURES: Final = 64
MOST_NAME: Final = 255
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_PRIVATE: Final = "PRIVATE+KEY+"
_LINE: Final = re.compile(r"— ([^ \n]+) ([A-Za-z0-9+/]+={0,2})")


class NoteError(ValueError):
    """A note or a key is wrong, or nobody who is known signed it. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A line of a note: the name and id of the key, and what it signed."""

    name: str
    id: int
    signature: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"— {self.name} {b64encode(self.id.to_bytes(_ID_BYTES, 'big') + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note: its text, which ends with a newline, and its signatures. Nothing is known of who signed it."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(signature.line for signature in self.signatures)}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A note that known keys have signed."""

    text: str
    verified: tuple[Signature, ...]
    unknown: tuple[Signature, ...]


class Verifies(Protocol):
    """A known key: its name and id, and whether it made a signature."""

    @property
    def name(self) -> str:
        """The name of the key."""

    @property
    def id(self) -> int:
        """The id of the key."""

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether the key signed this text."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key of Ed25519 with its name and the type of its signatures."""

    name: str
    key: bytes
    type: int = ED25519

    def __post_init__(self) -> None:
        """Raise `NoteError` for a name or a key that cannot be."""
        check_name(self.name)
        if len(self.key) != _KEY_BYTES:
            raise NoteError(f"a public key of Ed25519 has {_KEY_BYTES} bytes, not {len(self.key)}")

    @property
    def id(self) -> int:
        """The first 32 bits of a hash over name, type and key."""
        hashed = hashlib.sha256(f"{self.name}\n".encode() + bytes([self.type]) + self.key).digest()
        return int.from_bytes(hashed[:_ID_BYTES], "big")

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether the key signed this text, in the way of `ED25519`."""
        return self.type == ED25519 and self.signed(text.encode(), signature)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the key signed these bytes."""
        if len(signature) != _SIGNATURE_BYTES:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name}+{self.id:08x}+{b64encode(bytes([self.type]) + self.key).decode()}"


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """A private key of Ed25519, as its 32 bytes of seed, with its name and the type of its signatures."""

    name: str
    seed: bytes
    type: int = ED25519

    def __post_init__(self) -> None:
        """Raise `NoteError` for a name or a key that cannot be."""
        check_name(self.name)
        if len(self.seed) != _KEY_BYTES:
            raise NoteError(f"a private key of Ed25519 has {_KEY_BYTES} bytes, not {len(self.seed)}")

    @property
    def verifier(self) -> Verifier:
        """Its public key."""
        return Verifier(self.name, self._key.public_key().public_bytes_raw(), self.type)

    @property
    def secret_text(self) -> str:
        """The private key as text, to be kept."""
        verifier = self.verifier
        return f"{_PRIVATE}{self.name}+{verifier.id:08x}+{b64encode(bytes([self.type]) + self.seed).decode()}"

    def sign(self, text: str) -> Signature:
        """Its signature of a text, in the way of `ED25519`."""
        assert self.type == ED25519, "a cosignature has a time: cosign"
        return Signature(self.name, self.verifier.id, self.signature_of(text.encode()))

    def signature_of(self, message: bytes) -> bytes:
        """The signature of these bytes."""
        return self._key.sign(message)

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def check_name(name: str) -> None:
    """Raise `NoteError` for what cannot be the name of a key."""
    if not 0 < len(name.encode("utf-8", "replace")) <= MOST_NAME:
        raise NoteError(f"the name of a key has from 1 to {MOST_NAME} bytes")
    if "+" in name or any(character.isspace() for character in name) or not name.isprintable():
        raise NoteError(f"the name of a key has no space, plus or control character: {name[:80]!r}")


def parse_verifier(text: str) -> Verifier:
    """The public key of `name+id+base64`. Raises `NoteError`."""
    name, id, type, key = _parse_key(text, "a public key")
    verifier = Verifier(name, key, type)
    _check_id(verifier, id)
    return verifier


def parse_signer(text: str) -> Signer:
    """The private key of `PRIVATE+KEY+name+id+base64`. Raises `NoteError`, which does not repeat the text."""
    if not text.startswith(_PRIVATE):
        raise NoteError(f"a private key begins with {_PRIVATE}")
    name, id, type, seed = _parse_key(text.removeprefix(_PRIVATE), "a private key")
    signer = Signer(name, seed, type)
    _check_id(signer.verifier, id)
    return signer


def check_text(text: str) -> None:
    """Raise `NoteError` for what cannot be the text of a note."""
    if not text.endswith("\n"):
        raise NoteError("the text of a note ends with a newline")
    if any(character < " " and character != "\n" for character in text):
        raise NoteError("a note has no control characters but newlines")


def sign(text: str, signers: Iterable[Signer]) -> Note:
    """A note with this text, signed by each. Raises `NoteError` for a text that cannot be signed."""
    check_text(text)
    return Note(text, tuple(signer.sign(text) for signer in signers))


def parse_note(raw: bytes) -> Note:
    """The text and signatures of a note. Nothing is verified. Raises `NoteError`."""
    if len(raw) > MOST_BYTES:
        raise NoteError(f"a note has at most {MOST_BYTES} bytes, and this one has {len(raw)}")
    try:
        note = raw.decode()
    except UnicodeDecodeError:
        raise NoteError("a note is UTF-8, and this one is not") from None
    at = note.rfind("\n\n")
    if at < 0 or not note.endswith("\n") or at + 2 == len(note):
        raise NoteError("a note has a text, an empty line, and lines with signatures")
    text, lines = note[: at + 1], note[at + 2 : -1].split("\n")
    check_text(text)
    if len(lines) > MOST_SIGNATURES:
        raise NoteError(f"a note has at most {MOST_SIGNATURES} signatures, and this one has {len(lines)}")
    return Note(text, tuple(_parse_line(line) for line in lines))


def open_note(raw: bytes, known: Sequence[Verifies]) -> Opened:
    """The note, if known keys have signed it.

    Raises `NoteError` for what is no note, for a wrong signature by a known key, and if no known key signed it.
    """
    note = parse_note(raw)
    keys = {(key.name, key.id): key for key in known}
    if len(keys) < len(known):
        raise NoteError("two known keys have the same name and id")
    verified: dict[tuple[str, int], Signature] = {}
    unknown = []
    for signature in note.signatures:
        key = keys.get((signature.name, signature.id))
        if key is None:
            unknown.append(signature)
        elif not key.verifies(note.text, signature.signature):
            raise NoteError(f"the signature by {signature.name}+{signature.id:08x} is wrong: the note was changed")
        else:
            verified.setdefault((signature.name, signature.id), signature)
    if not verified:
        names = ", ".join(f"{key.name}+{key.id:08x}" for key in known) or "none"
        raise NoteError(f"no known key has signed the note; known are: {names}")
    return Opened(note.text, tuple(verified.values()), tuple(unknown))


def _parse_line(line: str) -> Signature:
    found = _LINE.fullmatch(line)
    if found is None:
        raise NoteError("a signature is a line of an em dash, the name of the key, and base64")
    name, encoded = found.groups()
    check_name(name)
    raw = decode_base64(encoded, "a signature")
    if len(raw) <= _ID_BYTES:
        raise NoteError(f"the signature by {name[:80]} is too short")
    return Signature(name, int.from_bytes(raw[:_ID_BYTES], "big"), raw[_ID_BYTES:])


def _parse_key(text: str, what: str) -> tuple[str, str, int, bytes]:
    if len(text) > MOST_NAME + 100:
        raise NoteError(f"{what} is text of name, id and base64, and this is too long")
    name, _, rest = text.partition("+")
    id, _, encoded = rest.partition("+")
    if not encoded or re.fullmatch("[0-9a-f]{8}", id) is None:
        raise NoteError(f"{what} is text of name, id and base64, with + between them; the id has 8 hexadecimal digits")
    raw = decode_base64(encoded, what)
    if not raw or raw[0] not in TYPES:
        raise NoteError(f"{what} of the type {raw[:1].hex() or 'none'} is not known: Ed25519 is 01, and a witness's 04")
    return name, id, raw[0], raw[1:]


def _check_id(verifier: Verifier, id: str) -> None:
    if int(id, 16) != verifier.id:
        raise NoteError(f"the key of {verifier.name} has the id {verifier.id:08x}, not {id}: a character was changed")


def decode_base64(encoded: str, what: str) -> bytes:
    """The bytes of standard base64, in its only spelling. Raises `NoteError`."""
    try:
        raw = b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        raise NoteError(f"{what} is not base64") from None
    if b64encode(raw).decode() != encoded:  # bits after the last byte
        raise NoteError(f"{what} is not base64 in its only spelling")
    return raw
