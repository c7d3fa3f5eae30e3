"""All settings of Daybook: one class, read from the environment, and its table for docs/reference/settings.md.

`load()` is what a process calls at its start. A wrong, missing or misspelt variable is a `SettingsError`, one sentence
that names the variable, what it holds (unless that is secret) and what it should be.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from email.utils import getaddresses
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from eventstore.proof.cosignatures import Witness
from eventstore.proof.notes import COSIGNATURE, ED25519, NoteError, Signer, Verifier, parse_verifier
from workers import links, master_key
from workers.mail.sending import server_of
from workers.urls import is_database_url, with_role

PREFIX = "DAYBOOK_"
API_ROLE = "daybook_api"
QUERY_ROLE = "daybook_query"
PROJECTOR_ROLE = "daybook_projector"
READ_OWNER_ROLE = "daybook_read_owner"
AUDIT_ROLE = "daybook_audit"
READER_ROLE = "daybook_reader"
PUBLISHER_ROLE = "daybook_publisher"
REPLICA_ROLE = "daybook_replica"
CREDENTIALS_ROLE = "daybook_credentials"
SEALER_ROLE = "daybook_sealer"

_TOPIC_PART = re.compile(r"[A-Za-z0-9._-]{1,100}")
_ORIGIN = re.compile(
    r"(https://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?"
)

_LINK = re.compile(_ORIGIN.pattern + r"(/[A-Za-z0-9._~-]+)*/?")
_SENDER = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)

DATABASE_URLS = (
    "database_url",
    "api_database_url",
    "query_database_url",
    "projector_database_url",
    "read_owner_database_url",
    "audit_database_url",
    "reader_database_url",
    "publisher_database_url",
    "replica_database_url",
    "credentials_database_url",
    "sealer_database_url",
)
PROOF_KEYS = ("proof_key", "previous_proof_key")
MASTER_KEYS = ("master_key", "previous_master_key")
SECRET_FIELDS = frozenset(
    {
        *DATABASE_URLS,
        *MASTER_KEYS,
        *PROOF_KEYS,
        "witness_key",
        "replica_master_key",
        "kafka_sasl_password",
        "kafka_ssl_password",
        "smtp_url",
    }
)  # their values never appear in a message


MOST_WITNESSES: Final = 16
"""Witnesses that are asked. Each has one request at a time."""
MOST_LOGS: Final = 1_000
"""Keys of logs that a witness knows."""


class SettingsError(ValueError):
    """A setting is wrong. The message is one sentence for the person who set it."""


class AskedWitness(NamedTuple):
    """A witness that is asked to cosign: the beginning of its addresses, and its public key."""

    url: str
    witness: Witness


class WitnessedLog(NamedTuple):
    """A log that a witness cosigns: the first line of its checkpoints, and a public key that signs them."""

    origin: str
    key: Verifier


class Settings(BaseSettings):
    """The settings of every process. The defaults suit one machine, with the embedded PostgreSQL."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # a compose file passes an empty value for a variable that is not set
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    database_url: str | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        repr=False,
        description="PostgreSQL 15 or later, as `postgresql://user:password@host:5432/database`, for `migrate` and as "
        "the default of the ten below. Unset: the embedded PostgreSQL 18",
    )
    api_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The connection for commands, of the API, process managers, `mail`, `webhooks` and `batches`; its "
        "login must be a member of the role `daybook_api`",
    )
    query_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The connection for reads, of the API, process managers, `mail`, `webhooks` and `batches`, a "
        "member of `daybook_query`, which cannot write",
    )
    projector_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The projectors' connection, a member of `daybook_projector`",
    )
    read_owner_database_url: str | None = Field(
        default=None,
        repr=False,
        description="For `rebuild`, and where `migrate` makes tables: the owner of the read tables, a member of "
        "`daybook_read_owner`",
    )
    audit_database_url: str | None = Field(
        default=None,
        repr=False,
        description="For `verify`, `replay` and `events`, a member of `daybook_audit`, which reads everything",
    )
    reader_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The connection of reporting tools, a member of `daybook_reader`: `daybook up` prints it, no "
        "process of Daybook uses it",
    )
    publisher_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The connection of `publish`, a member of `daybook_publisher`, which reads the log",
    )
    replica_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The connection of `work --from-kafka`, a member of `daybook_replica`, which copies the log",
    )
    credentials_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The connection of the API and of `mail` for passwords, sessions, API keys and tokens, a member of "
        "`daybook_credentials`, which has nothing else",
    )
    sealer_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The connection of `seal` and `ask-witnesses`, a member of `daybook_sealer`, which sees hashes and "
        "no events",
    )
    data_dir: Path = Field(
        default=Path("var"),
        description="Folder of what the machine keeps: the embedded database, the master key, the tokens",
    )
    postgres_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="TCP port on 127.0.0.1 of the embedded PostgreSQL; unset: its socket only",
    )
    kafka_port: int = Field(
        default=9092,
        ge=1,
        le=65535,
        description="TCP port on 127.0.0.1 of the broker that `daybook up --kafka` starts",
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on, or `daybook witness`")
    port: int = Field(default=8100, ge=1, le=65535, description="TCP port of the API, or of `daybook witness`")
    workers: int = Field(default=1, ge=1, le=64, description="API processes")
    metrics_host: str = Field(
        default="127.0.0.1",
        description="Address on which metrics are served, without a token: one that only Prometheus reaches",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="TCP port of `GET /metrics` for Prometheus. Further API processes take the next ones, and under "
        "`daybook up` the projector the one after them. Unset: no metrics are served",
    )
    cpu: Annotated[int, Field(ge=0)] | Literal["any"] | None = Field(
        default=None,
        description="CPU that the threads of an API process share, each further process the next one. Unset: chosen by "
        "the port; `any`: wherever the system puts them",
    )
    log: str = Field(
        default="main",
        pattern=r"^[a-z][a-z0-9_-]{0,62}$",
        description="Name of the log, the only one of its database with read tables: a-z, 0-9, - and _",
    )
    reads_only: bool = Field(
        default=False,
        description="Whether the API answers reads only, as of a replica: it refuses commands, and needs no login for "
        "them. `daybook serve --reads-only` sets it",
    )
    auth: Literal["on", "off"] = Field(
        default="on", description="`off` lets everyone in as an operator; for trying things out"
    )
    tokens_file: Path = Field(
        default_factory=lambda data: data.get("data_dir", Path("var")) / "tokens.json",
        description="File of the bearer tokens (their SHA-256), principals and roles; others "
        "may not read it (chmod 600 or 640). A change takes effect within a second, or at once on SIGHUP",
    )
    master_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="32 random bytes in base64 that seal the keys of personal data; required with `DATABASE_URL`. With "
        "the embedded PostgreSQL one is made in `master.key` of the data folder",
    )
    previous_master_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="The master key before, while `daybook rotate-master-key` moves keys away from it. With the "
        "embedded PostgreSQL it may be in `master.key.previous` of the data folder",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        min_length=1,
        description="`Host` headers that are answered, separated by commas",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=100,
        description="Origins whose pages may use the API from a browser, such as `https://console.example`, separated "
        "by commas; they may also follow the log with a ticket",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=100,
        description="Addresses or networks of the reverse proxies whose header gives the client's address, separated "
        "by commas",
    )
    proxy_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for",
        description="The header that these proxies write. The other one is not read, because it may come from the "
        "client",
    )
    queue_limit: int = Field(default=10_000, ge=1, description="Commands that may wait; one more is answered 503")
    principal_limit: int = Field(
        default=5_000, ge=1, description="Commands of one principal that may wait; one more is answered 429"
    )
    group_limit: int = Field(default=512, ge=1, le=10_000, description="Commands committed together, at most")
    cache_limit: int = Field(default=100_000, ge=1, description="Folded states kept in memory, at most")
    connection_limit: int = Field(
        default=1_000, ge=1, le=100_000, description="Connections of one API process; one more is answered 503"
    )
    body_limit_bytes: int = Field(
        default=1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="Largest request body, in bytes"
    )
    batch_limit_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024, description="Largest body of a batch, in bytes"
    )
    batch_items: int = Field(default=10_000, ge=1, le=1_000_000, description="Commands in a batch, at most")
    long_batch_bytes: int = Field(
        default=1024 * 1024 * 1024,
        ge=1024,
        le=1024 * 1024 * 1024 * 1024,
        description="Bytes of all long batches that wait in the database, at most. A sender may use half of it",
    )
    wait_seconds: float = Field(
        default=2.0, ge=0, le=60, allow_inf_nan=False, description="How long a read waits for its `min_position`"
    )
    poll_seconds: float = Field(
        default=0.02,
        gt=0,
        le=10,  # a session that is silent for longer than `projections.engine.follow.PAUSED_SECONDS` is ended
        allow_inf_nan=False,
        description="How often a projector or a publisher that has caught up looks again",
    )
    projections: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=100,
        description="What this projector folds: projections and areas, separated by commas. Unset: all of them. "
        "Projectors with different lists fold everything together",
    )
    database_wait_seconds: float = Field(
        default=3600,
        ge=0,
        le=7 * 24 * 3600,
        allow_inf_nan=False,
        description="How long a projector or process managers wait for a database that is away or read-only before "
        "they end",
    )
    origin_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="How long the address and user agent of a command are kept; `daybook forget-origins` ends it",
    )
    reads_days: int = Field(
        default=365,
        ge=1,
        le=3650,
        description="How long it is kept who read what about whom; `daybook forget-reads` ends it",
    )
    deliveries_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="How long the attempts to deliver to webhooks are kept; `daybook forget-deliveries` ends it",
    )
    webhook_http: bool = Field(
        default=False,
        description="Whether `daybook webhooks` sends without TLS too, to addresses that begin with `http://`",
    )
    webhook_private_addresses: bool = Field(
        default=False,
        description="Whether `daybook webhooks` sends to addresses of this machine and of private networks too. "
        "Whoever creates a webhook can then reach what this machine reaches",
    )
    backup_days: int = Field(
        default=35,
        ge=0,
        le=3650,
        description="How long backups of the database are kept. Nothing is done with it: `daybook people erase` says "
        "until when an erased person is in them",
    )
    kafka_bootstrap_servers: str | None = Field(
        default=None,
        pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$",
        description="Kafka, as `host:port` separated by commas, for `publish`, `work --from-kafka` and "
        "`execute-from-kafka`",
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How connections to Kafka are protected"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="How Daybook proves to Kafka who it is, with a `SASL_` protocol"
    )
    kafka_sasl_username: str | None = Field(default=None, description="The user name for SASL")
    kafka_sasl_password: SecretStr | None = Field(default=None, repr=False, description="The password for SASL")
    kafka_ssl_cafile: Path | None = Field(
        default=None, description="Certificates of the authorities that sign the brokers'; unset: those of the system"
    )
    kafka_ssl_certfile: Path | None = Field(default=None, description="This process's certificate for Kafka")
    kafka_ssl_keyfile: Path | None = Field(default=None, description="The private key of that certificate")
    kafka_ssl_password: SecretStr | None = Field(
        default=None, repr=False, description="The password of that private key"
    )
    kafka_generation: int = Field(
        default=1,
        ge=1,
        le=1_000_000_000,
        description="Generation of the published topics. The next one publishes the whole log again, beside the old",
    )
    kafka_partitions: int = Field(
        default=4,
        ge=1,
        le=1_000,
        description="Partitions of the topic of events. A topic keeps the number it began with",
    )
    kafka_principals: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=100,
        description="Principals whose commands `execute-from-kafka` reads, each from its topic, separated by commas. "
        "They are in the file of tokens, which gives their roles; each name has 1 to 100 of A-Z, a-z, 0-9, ., _ and -",
    )
    kafka_replication_factor: int = Field(
        default=1, ge=1, le=15, description="Brokers that keep each topic which Daybook creates"
    )
    replica_master_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="The master key of the replicas, which `publish` wraps the keys of people with; unset: that of the "
        "log",
    )
    mail_from: str | None = Field(
        default=None,
        description="Who sends mails, as `Daybook <no-reply@example.com>`; required with `DAYBOOK_SMTP_URL`",
    )
    mail_link: str | None = Field(
        default=None,
        max_length=500,
        description="Beginning of the links in mails, such as `https://app.example.com`, to which `/verify-email#` or "
        "`/reset-password#` and a token are added; required with `DAYBOOK_SMTP_URL`",
    )
    mail_folder: Path | None = Field(
        default=None,
        description="Folder into which `daybook mail` writes mails instead of sending them, for development. "
        "`daybook up` sets it to `mails` in the data folder if there is no `DAYBOOK_SMTP_URL`",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        repr=False,
        description="The mail server of `daybook mail`: `smtps://user:password@host:465`, `smtp+starttls://…` or, "
        "without a password or on this machine, `smtp://host:25`",
    )
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
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe message that a process of Daybook writes"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment without the variables that links of Kubernetes and Docker put there."""
        assert isinstance(env_settings, EnvSettingsSource)
        ignored = {name.lower() for name in ignored_variables()}
        env_settings.env_vars = {name: value for name, value in env_settings.env_vars.items() if name not in ignored}
        return init_settings, env_settings

    @field_validator(*DATABASE_URLS)
    @classmethod
    def _is_database_url(cls, url: str | None) -> str | None:
        if url is not None and not is_database_url(url):
            raise ValueError("it should look like postgresql://user:password@host:5432/database")
        return url

    @field_validator(*MASTER_KEYS, *PROOF_KEYS, "replica_master_key", "witness_key")
    @classmethod
    def _is_master_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            master_key.decode(key.get_secret_value())
        return key

    @field_validator(
        "allowed_hosts",
        "allowed_origins",
        "trusted_proxies",
        "projections",
        "kafka_principals",
        "proof_witnesses",
        "witness_logs",
        mode="before",
    )
    @classmethod
    def _split(cls, listed: object) -> object:
        return tuple(one.strip() for one in listed.split(",") if one.strip()) if isinstance(listed, str) else listed

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        for text in listed:
            if _ORIGIN.fullmatch(text) is None:
                raise ValueError(
                    f"it should list origins such as https://console.example, or http:// on this machine, without a "
                    f"path and in small letters, not {text[:80]!r}"
                )
        return listed

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        for text in listed:
            try:
                network = ip_network(text)
            except ValueError as error:
                raise ValueError(f"it should list addresses or networks such as 10.0.0.0/8: {error}") from None
            if network.prefixlen == 0:
                raise ValueError("it should name the proxies: with every address among them anybody is believed")
        return listed

    @field_validator("mail_from")
    @classmethod
    def _is_sender(cls, text: str | None) -> str | None:
        if text is None:
            return None
        addresses = [address for _, address in getaddresses([text])]
        if not (text.isprintable() and len(addresses) == 1 and _SENDER.fullmatch(addresses[0])):
            raise ValueError("it should look like Daybook <no-reply@example.com>, with an address of ASCII characters")
        return text

    @field_validator("mail_link")
    @classmethod
    def _is_link(cls, text: str | None) -> str | None:
        if text is not None and _LINK.fullmatch(text) is None:
            raise ValueError(
                "it should look like https://app.example.com/path, or http:// on this machine, without ? and #"
            )
        return text

    @field_validator("smtp_url")
    @classmethod
    def _is_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            server_of(url.get_secret_value())
        return url

    @field_validator("kafka_principals")
    @classmethod
    def _name_topics(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        for text in listed:
            if _TOPIC_PART.fullmatch(text) is None:
                raise ValueError(f"a topic cannot be named after {text[:80]!r}: use A-Z, a-z, 0-9, ., _ and - only")
        alike = {text.replace(".", "_") for text in listed}
        if len(alike) < len(listed):
            raise ValueError("two names are the same to Kafka, which takes . for _ in some places")
        return listed

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
    def embedded(self) -> bool:
        """Whether the embedded PostgreSQL is used: no other URL is set."""
        return all(getattr(self, name) is None for name in DATABASE_URLS)

    @property
    def kafka_dir(self) -> Path:
        """The data folder of the broker that `daybook up --kafka` starts."""
        return self.data_dir / "kafka"

    @property
    def postgres_dir(self) -> Path:
        """The data folder of the embedded PostgreSQL."""
        return self.data_dir / "postgres"

    def with_databases(self, urls: Mapping[str, str]) -> Self:
        """The same settings with these URLs, by their names in `DATABASE_URLS`."""
        return self.model_copy(update=dict(urls))

    def with_projections(self, names: str) -> Self:
        """The same settings, with these projections and areas, separated by commas."""
        listed = tuple(one.strip() for one in names.split(",") if one.strip())
        return self.model_copy(update={"projections": listed})

    def owner_url(self) -> str:
        """For migrations. Raises `SettingsError`, as the next ten do, while no database is known."""
        return self._url("database_url")

    def api_url(self) -> str:
        """For the executor of commands: acts as `daybook_api`."""
        return with_role(self._url("api_database_url"), API_ROLE)

    def query_url(self) -> str:
        """For the API's reads: acts as `daybook_query`."""
        return with_role(self._url("query_database_url"), QUERY_ROLE)

    def projector_url(self) -> str:
        """For the projections' engine: acts as `daybook_projector`."""
        return with_role(self._url("projector_database_url"), PROJECTOR_ROLE)

    def read_owner_url(self) -> str:
        """For making and emptying read tables: acts as `daybook_read_owner`."""
        return with_role(self._url("read_owner_database_url"), READ_OWNER_ROLE)

    def audit_url(self) -> str:
        """For auditors: acts as `daybook_audit`."""
        return with_role(self._url("audit_database_url"), AUDIT_ROLE)

    def reader_url(self) -> str:
        """For reporting tools: acts as `daybook_reader`."""
        return with_role(self._url("reader_database_url"), READER_ROLE)

    def publisher_url(self) -> str:
        """For publishing the log: acts as `daybook_publisher`."""
        return with_role(self._url("publisher_database_url"), PUBLISHER_ROLE)

    def replica_url(self) -> str:
        """For copying a log: acts as `daybook_replica`."""
        return with_role(self._url("replica_database_url"), REPLICA_ROLE)

    def credentials_url(self) -> str:
        """For passwords, sessions and API keys: acts as `daybook_credentials`."""
        return with_role(self._url("credentials_database_url"), CREDENTIALS_ROLE)

    def sealer_url(self) -> str:
        """For sealing the log: acts as `daybook_sealer`."""
        return with_role(self._url("sealer_database_url"), SEALER_ROLE)

    def _url(self, name: str) -> str:
        url = getattr(self, name) or self.database_url
        if url is None:
            raise SettingsError(
                f"{variable(name)} is not set and no embedded PostgreSQL runs: set it, or start one with `daybook up`"
            )
        assert isinstance(url, str)
        return url

    def master_key_bytes(self) -> bytes:
        """The master key: from the environment or, for the embedded database, from the key file.

        The key file is made when neither it nor the database exists, so call this before the embedded server first
        starts. Raises `SettingsError` if the file is missing and the database exists: a new key would open nothing.
        """
        if self.master_key is not None:
            return master_key.decode(self.master_key.get_secret_value())
        key_file = self.data_dir / "master.key"
        if not self.embedded:
            raise SettingsError(
                "DAYBOOK_MASTER_KEY is not set, but a database is: set it to the base64 of 32 random bytes, such as "
                "`openssl rand -base64 32` prints, and keep it as safe as the database"
            )
        if key_file.exists():
            return _read_key(key_file)
        if self.postgres_dir.exists():
            raise SettingsError(
                f"{key_file} is missing, but {self.postgres_dir} may hold personal data sealed with it: put the file "
                f"back, or move {self.postgres_dir} away to begin anew"
            )
        master_key.create(key_file)
        return _read_key(key_file)

    def replica_master_key_bytes(self) -> bytes:
        """The master key of the replicas. Raises `SettingsError` as `master_key_bytes`."""
        if self.replica_master_key is not None:
            return master_key.decode(self.replica_master_key.get_secret_value())
        return self.master_key_bytes()

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
            return _read_key(file, f"a {what}")
        raise SettingsError(
            f"there is no {what}: set {variables[0]} to the base64 of 32 random bytes, such as `openssl rand -base64 "
            f"32` prints, or {variables[1]} to a file with it"
        )

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

    def with_proof_key(self) -> Self:
        """The same settings with a key to sign checkpoints with, which is made for the embedded database if none is."""
        if self.seals or not self.embedded:
            return self
        key_file = self.data_dir / "proof.key"
        if not key_file.exists():
            master_key.create(key_file)
        return self.model_copy(update={"proof_key_file": key_file})

    def previous_master_key_bytes(self) -> bytes | None:
        """The previous master key, from the environment or, for the embedded database, from its file; None without one.

        Raises `SettingsError` for a file without a key.
        """
        if self.previous_master_key is not None:
            return master_key.decode(self.previous_master_key.get_secret_value())
        key_file = self.data_dir / "master.key.previous"
        return _read_key(key_file) if self.embedded and key_file.exists() else None

    def with_master_keys(self) -> Self:
        """The same settings with the master keys in them."""
        previous = self.previous_master_key_bytes()
        return self.model_copy(
            update={
                "master_key": SecretStr(master_key.encode(self.master_key_bytes())),
                "previous_master_key": None if previous is None else SecretStr(master_key.encode(previous)),
            }
        )


def asked_witness_of(text: str) -> AskedWitness:
    """The witness of `URL KEY`. Raises `ValueError`."""
    url, _, key = text.partition(" ")
    if _LINK.fullmatch(url) is None or not _has_port(url):
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


def load() -> Settings:
    """The settings from the environment. Raises `SettingsError` for a wrong value or an unknown DAYBOOK_ variable."""
    known = {variable(name).removeprefix(PREFIX): variable(name) for name in Settings.model_fields}
    for name in sorted(os.environ.keys() - ignored_variables()):
        if name.startswith(PREFIX) and name not in known.values():
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
            hint = f"did you mean {known[near[0]]}?" if near else "docs/reference/settings.md lists the settings"
            raise SettingsError(f"{name} is not a setting of Daybook: {hint}")
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(explain(error)) from None  # the cause would show secret values


def ignored_variables() -> list[str]:
    """Variables that look like settings and come from links of Kubernetes or Docker."""
    return links.injected(os.environ, PREFIX)


def explain(error: ValidationError) -> str:
    """One sentence of what is wrong with which variables."""
    details = error.errors(include_url=False)
    # A default that is made from another wrong value is not a second mistake.
    return "; ".join(_explain_one(detail) for detail in details if detail["type"] != "default_factory_not_called")


def variable(field: str) -> str:
    """The environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


def settings_table() -> str:
    """Return the Markdown table of all settings."""
    rows = [
        f"| `{variable(name)}` | {_default(name)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _explain_one(detail: ErrorDetails) -> str:
    named = str(detail["loc"][0]) if detail["loc"] else ""
    field = next((name for name in Settings.model_fields if named in (name, variable(name))), None)
    if field is None:
        return detail["msg"]
    value = detail["input"]
    shown = f" is {str(value)[:80]!r}" if field not in SECRET_FIELDS else "'s value is not usable"
    should = re.sub(r"^(Value error, it|Input|String|Tuple) should ", "it should ", detail["msg"])
    return f"{variable(field)}{shown}, but {should} ({Settings.model_fields[field].description})"


def _default(name: str) -> str:
    if name == "tokens_file":
        return "`tokens.json` in the data folder"
    if name in DATABASE_URLS[1:]:
        return "`DATABASE_URL`"
    value: Any = Settings.model_fields[name].default
    if value in (None, ()):
        return "unset"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


def _read_key(key_file: Path, what: str = "a master key") -> bytes:
    try:
        return master_key.read(key_file)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{key_file} does not hold {what}: {error}") from None
