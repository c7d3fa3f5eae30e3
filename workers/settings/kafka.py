"""Kafka: its brokers, how they are reached, and the topics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from workers.settings.base import split
from workers.settings.databases import Databases

_TOPIC_PART = re.compile(r"[A-Za-z0-9._-]{1,100}")


class Kafka(Databases):
    """The brokers that `publish`, `work --from-kafka` and `execute-from-kafka` use, and the one of `daybook up`."""

    kafka_port: int = Field(
        default=9092,
        ge=1,
        le=65535,
        description="TCP port on 127.0.0.1 of the broker that `daybook up --kafka` starts",
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

    _split_principals = field_validator("kafka_principals", mode="before")(split)

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

    @property
    def kafka_dir(self) -> Path:
        """The data folder of the broker that `daybook up --kafka` starts."""
        return self.data_dir / "kafka"
