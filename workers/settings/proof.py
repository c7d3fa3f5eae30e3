"""The transparency log: keys and pace of checkpoints, the witnesses that are asked, and a witness itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from eventstore.proof.cosignatures import Witness
from eventstore.proof.notes import COSIGNATURE, ED25519, NoteError, Signer, Verifier, parse_verifier
from workers import master_key
from workers.settings.base import LINK, SettingsError, check_key, read_key, split, variable
from workers.settings.databases import Databases

PROOF_KEYS: Final = ("proof_key", "previous_proof_key")
MOST_WITNESSES: Final = 16
"""Witnesses that are asked. Each has one request at a time."""
MOST_LOGS: Final = 1_000
"""Keys of logs that a witness knows."""


class AskedWitness(NamedTuple):
    """A witness that is asked to cosign: the beginning of its addresses, and its public key."""

    url: str
    witness: Witness


class WitnessedLog(NamedTuple):
    """A log that a witness cosigns: the first line of its checkpoints, and a public key that signs them."""

    origin: str
    key: Verifier


class Proof(Databases):
    """What `daybook seal`, `daybook ask-witnesses` and `daybook witness` use."""

    proof_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="32 random bytes in base64, the private key of Ed25519 that `daybook seal` signs checkpoints with",
    )
    proof_key_file: Path | None = Field(
        default=None,
        description="A file with that key, instead of `DAYBOOK_PROOF_KEY`. `daybook up` with the embedded PostgreSQL "
        "makes `proof.key` in the data folder if none is set",
    )
    previous_proof_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="The key before, which signs too, so that who knows only that one sees which is the next",
    )
    proof_origin: str | None = Field(
        default=None,
        max_length=255,
        pattern=r"^[!-*,-~]+$",
        description="The name of the log in checkpoints, such as `daybook.example.com/v1/proof`, and of its keys. Only "
        "`daybook restored` changes it. Unset: that of the tree, and for a new one `daybook/` and the UUID of the log",
    )
    proof_seconds: float = Field(
        default=10.0,
        ge=0.1,
        le=24 * 3600,
        allow_inf_nan=False,
        description="Seconds between two checkpoints, at least. None is signed while nothing is appended",
    )
    proof_heads_seconds: float = Field(
        default=60.0,
        ge=0,
        le=24 * 3600,
        allow_inf_nan=False,
        description="Seconds between two checkpoints that also commit to the heads of streams, at least, where more "
        "than a thousand events came in between. After fewer, and with 0, each does",
    )
    proof_witnesses: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=MOST_WITNESSES,
        description="Witnesses that `daybook ask-witnesses` asks to cosign checkpoints, separated by commas: each its "
        "URL, `https://` or `http://` on this machine, a space, and its public key",
    )
    witness_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="32 random bytes in base64, the private key of Ed25519 that `daybook witness` cosigns the "
        "checkpoints of others with",
    )
    witness_key_file: Path | None = Field(
        default=None, description="A file with that key, instead of `DAYBOOK_WITNESS_KEY`"
    )
    witness_name: str | None = Field(
        default=None,
        max_length=255,
        pattern=r"^[!-*,-~]+$",
        description="The name of `daybook witness` and of its key, such as `auditor.example/witness`. It never changes",
    )
    witness_logs: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=MOST_LOGS,
        description="Public keys of the logs that `daybook witness` cosigns, separated by commas. The name of a key is "
        "the origin of its log; with another origin, that, a space, and the key. A log may have several keys",
    )

    _check_proof_keys = field_validator(*PROOF_KEYS, "witness_key")(check_key)
    _split_witnesses_and_logs = field_validator("proof_witnesses", "witness_logs", mode="before")(split)

    @field_validator("proof_witnesses")
    @classmethod
    def _are_witnesses(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        names = {asked_witness_of(text).witness.name for text in listed}
        if len(names) < len(listed):
            raise ValueError("it should list witnesses with different names")
        return listed

    @field_validator("witness_logs")
    @classmethod
    def _are_logs(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        logs = [witnessed_log_of(text) for text in listed]
        if len({(log.origin, log.key.name, log.key.id) for log in logs}) < len(logs):
            raise ValueError("it should list each key of a log once")
        return listed

    @property
    def seals(self) -> bool:
        """Whether a key to sign checkpoints with is set."""
        return self.proof_key is not None or self.proof_key_file is not None

    def proof_key_bytes(self) -> list[bytes]:
        """The private keys of checkpoints, the newest first. Raises `SettingsError` without one, or with two."""
        keys = [self._key_of("proof_key", "key to sign checkpoints with")]
        if self.previous_proof_key is not None:
            keys.append(master_key.decode(self.previous_proof_key.get_secret_value()))
        return keys

    def with_proof_key(self) -> Self:
        """The same settings with a key to sign checkpoints with, which is made for the embedded database if none is."""
        if self.seals or not self.embedded:
            return self
        key_file = self.data_dir / "proof.key"
        if not key_file.exists():
            master_key.create(key_file)
        return self.model_copy(update={"proof_key_file": key_file})

    def asked_witnesses(self) -> list[AskedWitness]:
        """The witnesses that are asked. Raises `SettingsError` without one."""
        if not self.proof_witnesses:
            raise SettingsError(
                f"there is no witness to ask: set {variable('proof_witnesses')} to its URL, a space and its public key"
            )
        return [asked_witness_of(text) for text in self.proof_witnesses]

    def witness_signer(self) -> Signer:
        """What this witness signs with. Raises `SettingsError` without a name or a key, or with two."""
        if self.witness_name is None:
            raise SettingsError(
                f"the witness has no name: set {variable('witness_name')} to one such as auditor.example/witness"
            )
        return Signer(self.witness_name, self._key_of("witness_key", "key to cosign with"), COSIGNATURE)

    def witnessed_logs(self) -> dict[str, list[Verifier]]:
        """The keys of each log that this witness cosigns, by its origin. Raises `SettingsError` without one."""
        if not self.witness_logs:
            raise SettingsError(
                f"the witness knows no log: set {variable('witness_logs')} to its public keys, which "
                "GET /v1/proof/keys has"
            )
        logs: dict[str, list[Verifier]] = {}
        for origin, key in map(witnessed_log_of, self.witness_logs):
            logs.setdefault(origin, []).append(key)
        return logs

    def _key_of(self, name: str, what: str) -> bytes:
        """The 32 bytes of a key that a variable has, or the file that another names. Raises `SettingsError`."""
        key: SecretStr | None = getattr(self, name)
        file: Path | None = getattr(self, f"{name}_file")
        variables = variable(name), variable(f"{name}_file")
        if key is not None and file is not None:
            raise SettingsError(f"{' and '.join(variables)} are both set: leave one of them out")
        if key is not None:
            return master_key.decode(key.get_secret_value())
        if file is not None:
            return read_key(file, f"a {what}")
        raise SettingsError(
            f"there is no {what}: set {variables[0]} to the base64 of 32 random bytes, such as `openssl rand -base64 "
            f"32` prints, or {variables[1]} to a file with it"
        )


def asked_witness_of(text: str) -> AskedWitness:
    """The witness of `URL KEY`. Raises `ValueError`."""
    url, _, key = text.partition(" ")
    if LINK.fullmatch(url) is None or not _has_port(url):
        raise ValueError(
            f"it should list witnesses as https://witness.example/path or http:// on this machine, a space, and the "
            f"public key, not {text[:80]!r}"
        )
    try:
        return AskedWitness(url.rstrip("/"), Witness(parse_verifier(key.strip())))
    except NoteError as error:
        raise ValueError(f"it should have the public key of a witness after {url}: {error}") from None


def witnessed_log_of(text: str) -> WitnessedLog:
    """The log of `KEY` or `ORIGIN KEY`. Raises `ValueError`."""
    origin, _, encoded = text.rpartition(" ")
    try:
        key = parse_verifier(encoded)
    except NoteError as error:
        raise ValueError(f"it should list public keys of logs, not {text[:80]!r}: {error}") from None
    if key.type != ED25519:
        raise ValueError(f"it should list public keys of logs, and that of {key.name} is one of a witness")
    return WitnessedLog(origin.strip() or key.name, key)


def _has_port(url: str) -> bool:
    """Whether the port of a URL is one, or left out."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
