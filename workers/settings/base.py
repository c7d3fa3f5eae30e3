"""What the parts of the settings share: names of variables, the error, and checks of values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from workers import master_key

PREFIX: Final = "DAYBOOK_"
DATABASE_URL: Final = "DATABASE_URL"
"""The only variable without the prefix, as many tools name it."""
ORIGIN: Final = re.compile(
    r"(https://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?"
)
"""Scheme, host and port of a page: `https`, or `http` on this machine."""
LINK: Final = re.compile(ORIGIN.pattern + r"(/[A-Za-z0-9._~-]+)*/?")
"""An origin and a path, to which the rest of an address is added."""


class SettingsError(ValueError):
    """A setting is wrong. The message is one sentence for the person who set it."""


class Part(BaseSettings):
    """Settings that belong together. A value with `repr=False` is secret: it never appears in a message.

    `Settings` inherits from all parts, so no two of them may use the same name, not even for a validator.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # a compose file passes an empty value for a variable that is not set
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


def variable(field: str) -> str:
    """The environment variable of a field."""
    return DATABASE_URL if field == "database_url" else PREFIX + field.upper()


def split(listed: object) -> object:
    """The values of a list that is separated by commas."""
    return tuple(one.strip() for one in listed.split(",") if one.strip()) if isinstance(listed, str) else listed


def check_key(key: SecretStr | None) -> SecretStr | None:
    """The same key. Raises `ValueError` unless it is the base64 of 32 bytes."""
    if key is not None:
        master_key.decode(key.get_secret_value())
    return key


def read_key(key_file: Path, what: str = "a master key") -> bytes:
    """The 32 bytes of a key in a file. Raises `SettingsError`."""
    try:
        return master_key.read(key_file)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{key_file} does not hold {what}: {error}") from None
