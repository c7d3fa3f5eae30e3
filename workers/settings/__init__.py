"""All settings of Daybook: read from the environment, and their table for docs/reference/settings.md.

Each module here is a part of them; `Settings` is all parts in one. `load()` is what a process calls at its start. A
wrong, missing or misspelt variable is a `SettingsError`, one sentence that names the variable, what it holds (unless
that is secret) and what it should be.
"""

from __future__ import annotations

import difflib
import os
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource

from workers import links
from workers.settings.base import PREFIX, SettingsError, split, variable
from workers.settings.databases import (
    API_ROLE,
    AUDIT_ROLE,
    DATABASE_URLS,
    PROJECTOR_ROLE,
    QUERY_ROLE,
    READ_OWNER_ROLE,
    SEALER_ROLE,
)
from workers.settings.kafka import Kafka
from workers.settings.keys import MASTER_KEYS, MasterKeys
from workers.settings.mail import Mail
from workers.settings.proof import PROOF_KEYS, AskedWitness, Proof
from workers.settings.serving import Serving

__all__ = [
    "API_ROLE",
    "AUDIT_ROLE",
    "DATABASE_URLS",
    "MASTER_KEYS",
    "PREFIX",
    "PROJECTOR_ROLE",
    "PROOF_KEYS",
    "QUERY_ROLE",
    "READ_OWNER_ROLE",
    "SEALER_ROLE",
    "AskedWitness",
    "Settings",
    "SettingsError",
    "explain",
    "ignored_variables",
    "load",
    "settings_table",
    "variable",
]


class Settings(Proof, Mail, Kafka, Serving, MasterKeys):
    """The settings of every process. The defaults suit one machine, with the embedded PostgreSQL."""

    log: str = Field(
        default="main",
        pattern=r"^[a-z][a-z0-9_-]{0,62}$",
        description="Name of the log, the only one of its database with read tables: a-z, 0-9, - and _",
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
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe message that a process of Daybook writes"
    )

    _split_names = field_validator("projections", mode="before")(split)

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

    def with_projections(self, names: str) -> Self:
        """The same settings, with these projections and areas, separated by commas."""
        return self.model_copy(update={"projections": split(names)})


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
    shown = f" is {str(value)[:80]!r}" if Settings.model_fields[field].repr else "'s value is not usable"
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
