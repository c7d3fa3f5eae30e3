"""What the environment of an application says, read as the library reads it: `<APPLICATION>_<NAME>` before `<NAME>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

import psycopg
from eventsourcing.utils import Environment, strtobool
from psycopg.conninfo import conninfo_to_dict, make_conninfo

ROLE = "daybook_api"
"""Whom every connection acts as; the login must be a member."""

DATABASE_URL = "DATABASE_URL"
NAMESPACE = "EVENTSTORE_NAMESPACE"
POOL_SIZE = "EVENTSTORE_POOL_SIZE"
POLL_SECONDS = "EVENTSTORE_POLL_SECONDS"
CREATE_TABLE = "CREATE_TABLE"  # the library's name; here the application's log is what is made
NAMELESS = "application"


LOG_PREFIX = "library:"
"""Beginning of the name of each log of the library."""


@dataclass(frozen=True, slots=True)
class LibrarySettings:
    """The settings of one application."""

    conninfo: str
    namespace: str
    pool_size: int
    poll_seconds: float

    @classmethod
    def read(cls, environment: Environment) -> Self:
        """Raises `OSError`, the library's class for it, with one sentence where a variable is missing or wrong."""
        namespace = environment.get(NAMESPACE) or "main"
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,62}", namespace):
            raise OSError(f"{NAMESPACE} is {namespace!r}, but may hold lower-case letters, digits, '_', '.' and '-'")
        return cls(
            _conninfo(environment.get(DATABASE_URL) or ""),
            namespace,
            int(_number(environment, POOL_SIZE, default=15, least=1, most=1_000)),
            _number(environment, POLL_SECONDS, default=0.02, least=0.001, most=3_600),
        )

    def log_name(self, environment: Environment) -> str:
        """The application's log. The colons keep it apart from the service's own logs, whose names have none."""
        return f"{LOG_PREFIX}{self.namespace}:{environment.name.lower() or NAMELESS}"


def may_create(environment: Environment) -> bool:
    """Whether a log that does not exist yet is to be made."""
    return strtobool(environment.get(CREATE_TABLE) or "yes")


def _conninfo(url: str) -> str:
    if not url:
        raise OSError(f"{DATABASE_URL} is not set: it should look like postgresql://user:password@host:5432/database")
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # whose message would show the password
        raise OSError(
            f"{DATABASE_URL} is not usable: it should look like postgresql://user:password@host:5432/database"
        ) from None
    return make_conninfo(url, options=f"{parameters.get('options') or ''} -c role={ROLE}".strip())


def _number(environment: Environment, name: str, *, default: float, least: float, most: float) -> float:
    text = environment.get(name) or str(default)
    kind = "a whole number" if isinstance(default, int) else "a number"
    wrong = OSError(f"{name} is {text!r}, but should be {kind} from {least} to {most}")
    try:
        number = type(default)(text)
    except ValueError:
        raise wrong from None
    if not least <= number <= most:  # so put that it is true of nan
        raise wrong
    return number
