"""The master keys that seal the keys of personal data."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, SecretStr, field_validator

from workers import master_key
from workers.settings.base import SettingsError, check_key, read_key
from workers.settings.databases import Databases

MASTER_KEYS: Final = ("master_key", "previous_master_key")


class MasterKeys(Databases):
    """The master key of the log, the one before, and that of the replicas."""

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
    replica_master_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="The master key of the replicas, which `publish` wraps the keys of people with; unset: that of the "
        "log",
    )

    _check_master_keys = field_validator(*MASTER_KEYS, "replica_master_key")(check_key)

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
            return read_key(key_file)
        if self.postgres_dir.exists():
            raise SettingsError(
                f"{key_file} is missing, but {self.postgres_dir} may hold personal data sealed with it: put the file "
                f"back, or move {self.postgres_dir} away to begin anew"
            )
        master_key.create(key_file)
        return read_key(key_file)

    def replica_master_key_bytes(self) -> bytes:
        """The master key of the replicas. Raises `SettingsError` as `master_key_bytes`."""
        if self.replica_master_key is not None:
            return master_key.decode(self.replica_master_key.get_secret_value())
        return self.master_key_bytes()

    def previous_master_key_bytes(self) -> bytes | None:
        """The previous master key, from the environment or, for the embedded database, from its file; None without one.

        Raises `SettingsError` for a file without a key.
        """
        if self.previous_master_key is not None:
            return master_key.decode(self.previous_master_key.get_secret_value())
        key_file = self.data_dir / "master.key.previous"
        return read_key(key_file) if self.embedded and key_file.exists() else None

    def with_master_keys(self) -> Self:
        """The same settings with the master keys in them."""
        previous = self.previous_master_key_bytes()
        return self.model_copy(
            update={
                "master_key": SecretStr(master_key.encode(self.master_key_bytes())),
                "previous_master_key": None if previous is None else SecretStr(master_key.encode(previous)),
            }
        )
