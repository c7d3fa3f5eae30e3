"""The API and the metrics: addresses, who may come in, and limits."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from workers.settings.base import ORIGIN, split
from workers.settings.databases import Databases


class Serving(Databases):
    """Where the API and the metrics listen, whom the API answers, and how much it takes."""

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

    _split_addresses = field_validator("allowed_hosts", "allowed_origins", "trusted_proxies", mode="before")(split)

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        for text in listed:
            if ORIGIN.fullmatch(text) is None:
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
