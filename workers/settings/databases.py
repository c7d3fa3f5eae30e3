"""Where the database is: one connection for each role, or the embedded PostgreSQL in the data folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator

from workers.settings.base import DATABASE_URL, Part, SettingsError, variable
from workers.urls import is_database_url, with_role

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
"""The fields with connections."""


class Databases(Part):
    """The connections of all processes, and the data folder."""

    database_url: str | None = Field(
        default=None,
        validation_alias=DATABASE_URL,
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

    @field_validator(*DATABASE_URLS)
    @classmethod
    def _is_database_url(cls, url: str | None) -> str | None:
        if url is not None and not is_database_url(url):
            raise ValueError("it should look like postgresql://user:password@host:5432/database")
        return url

    @property
    def embedded(self) -> bool:
        """Whether the embedded PostgreSQL is used: no other URL is set."""
        return all(getattr(self, name) is None for name in DATABASE_URLS)

    @property
    def postgres_dir(self) -> Path:
        """The data folder of the embedded PostgreSQL."""
        return self.data_dir / "postgres"

    def with_databases(self, urls: Mapping[str, str]) -> Self:
        """The same settings with these URLs, by their names in `DATABASE_URLS`."""
        return self.model_copy(update=dict(urls))

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
