"""Every setting of Daybook: one class, read from the environment, and its table for the README.

`load()` is what a process calls at its start. A wrong, missing or misspelt variable is a `SettingsError`, one sentence
that names the variable, what it holds (unless that is secret) and what it should be.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workers import master_key
from workers.urls import is_database_url, with_role

PREFIX = "DAYBOOK_"
API_ROLE = "daybook_api"
PROJECTOR_ROLE = "daybook_projector"
READER_ROLE = "daybook_reader"

DATABASE_URLS = ("database_url", "api_database_url", "projector_database_url", "reader_database_url")
SECRET_FIELDS = frozenset({*DATABASE_URLS, "master_key"})  # their values never appear in a message


class SettingsError(ValueError):
    """The environment is wrong; the message is one sentence for the person who set it."""


class Settings(BaseSettings):
    """The settings of every process. The defaults suit one machine, with the embedded PostgreSQL."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # what a compose file passes on for a variable that is not set
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    database_url: str | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        repr=False,
        description="PostgreSQL 15 or later, as `postgresql://user:password@host:5432/database`, for `migrate` and as "
        "the default of the three below. Unset: the embedded PostgreSQL 18",
    )
    api_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The API's connection, for commands and queries; its login must be a member of the role "
        "`daybook_api`",
    )
    projector_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The projectors' connection, a member of `daybook_projector`",
    )
    reader_database_url: str | None = Field(
        default=None,
        repr=False,
        description="The connection of reporting tools, a member of `daybook_reader`: `daybook up` prints it, no "
        "process of Daybook uses it",
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
    host: str = Field(default="127.0.0.1", description="Address the API listens on")
    port: int = Field(default=8100, ge=1, le=65535, description="TCP port of the API")
    workers: int = Field(default=1, ge=1, le=64, description="API processes")
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
    auth: Literal["on", "off"] = Field(
        default="on", description="`off` lets everyone in as an operator; for trying things out"
    )
    tokens_file: Path = Field(
        default_factory=lambda data: data.get("data_dir", Path("var")) / "tokens.json",
        description="File of the bearer tokens (their SHA-256), principals and roles",
    )
    master_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="32 random bytes in base64 that seal the keys of personal data; required with `DATABASE_URL`. With "
        "the embedded PostgreSQL one is made in `master.key` of the data folder",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        min_length=1,
        description="`Host` headers that are answered, separated by commas",
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
    wait_seconds: float = Field(
        default=2.0, ge=0, le=60, allow_inf_nan=False, description="How long a read waits for its `min_position`"
    )
    poll_seconds: float = Field(
        default=0.02,
        gt=0,
        le=60,
        allow_inf_nan=False,
        description="How often a projector that has caught up looks again",
    )
    origin_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="How long the address and user agent of a command are kept; `daybook forget-origins` ends it",
    )
    kafka_bootstrap_servers: str | None = Field(
        default=None,
        pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$",
        description="Kafka, as `host:port` separated by commas: checked, and used by nothing yet",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe message that a process of Daybook writes"
    )

    @field_validator(*DATABASE_URLS)
    @classmethod
    def _is_database_url(cls, url: str | None) -> str | None:
        if url is not None and not is_database_url(url):
            raise ValueError("it should look like postgresql://user:password@host:5432/database")
        return url

    @field_validator("master_key")
    @classmethod
    def _is_master_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            master_key.decode(key.get_secret_value())
        return key

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, hosts: object) -> object:
        return tuple(host.strip() for host in hosts.split(",") if host.strip()) if isinstance(hosts, str) else hosts

    @property
    def embedded(self) -> bool:
        """Whether the embedded PostgreSQL is to be used: no URL of another one was given."""
        return all(getattr(self, name) is None for name in DATABASE_URLS)

    @property
    def postgres_dir(self) -> Path:
        """The data folder of the embedded PostgreSQL."""
        return self.data_dir / "postgres"

    def with_database(self, url: str) -> Self:
        """The same settings on that database: what `up` does once the embedded server runs."""
        return self.model_copy(update={"database_url": url})

    def owner_url(self) -> str:
        """For migrations. Raises `SettingsError`, as the next three do, while no database is known."""
        return self._url("database_url")

    def api_url(self) -> str:
        """For the API, its executor and its queries: acts as `daybook_api`."""
        return with_role(self._url("api_database_url"), API_ROLE)

    def projector_url(self) -> str:
        """For the projections' engine: acts as `daybook_projector`."""
        return with_role(self._url("projector_database_url"), PROJECTOR_ROLE)

    def reader_url(self) -> str:
        """For reporting tools: acts as `daybook_reader`."""
        return with_role(self._url("reader_database_url"), READER_ROLE)

    def _url(self, name: str) -> str:
        url = getattr(self, name) or self.database_url
        if url is None:
            raise SettingsError(
                f"{variable(name)} is not set and no embedded PostgreSQL runs: set it, or start one with `daybook up`"
            )
        assert isinstance(url, str)
        return url

    def master_key_bytes(self) -> bytes:
        """The key that seals the keys of personal data: from the environment or, embedded, from the key file.

        The key file is made when there is neither it nor a database, so ask before the embedded server first starts.
        Raises `SettingsError` rather than make a second key, with which nothing sealed before could be read.
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


def load() -> Settings:
    """The settings from the environment. Raises `SettingsError` for a wrong value or an unknown DAYBOOK_ variable."""
    known = {variable(name).removeprefix(PREFIX): variable(name) for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known.values():
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
            hint = f"did you mean {known[near[0]]}?" if near else "the README lists those there are"
            raise SettingsError(f"{name} is not a setting of Daybook: {hint}")
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(explain(error)) from None  # the cause would show secret values


def explain(error: ValidationError) -> str:
    """One sentence of what is wrong with which variables."""
    details = error.errors(include_url=False)
    # A default that is made from another, wrong value is no second mistake.
    return "; ".join(_explain_one(detail) for detail in details if detail["type"] != "default_factory_not_called")


def variable(field: str) -> str:
    """The environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


def settings_table() -> str:
    """The Markdown table of all settings, for the README."""
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
    if value is None:
        return "unset"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


def _read_key(key_file: Path) -> bytes:
    try:
        return master_key.read(key_file)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{key_file} does not hold a master key: {error}") from None


if __name__ == "__main__":
    print(settings_table())  # to paste into the README; a test compares the two
