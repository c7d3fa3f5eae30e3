"""Which database a command works on: the one of the settings, or the embedded server, started if it does not run."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from migrations import runner
from workers.embedded import DATABASE, SUPERUSER, EmbeddedPostgres
from workers.settings import Settings, SettingsError

_PID, _PORT, _SOCKET_FOLDER, _STATUS = 0, 3, 4, 7  # lines of postmaster.pid (src/include/utils/pidfile.h)


@contextmanager
def database(settings: Settings, *, create: bool = False) -> Iterator[Settings]:
    """The settings with a database that can be reached while this lasts.

    The embedded server is shared with a `daybook up` that runs; otherwise it is started for this command alone.
    `create`: a data folder is made and migrated if there is none, which is a mistake for a command that only reads.
    """
    if not settings.embedded:
        yield settings
        return
    if not create and not settings.postgres_dir.exists():
        raise SettingsError(
            f"{settings.data_dir} holds no database yet and DATABASE_URL is not set: start Daybook with `daybook up`"
        )
    sealed = with_master_key(settings)  # before the server first starts: see there
    url = running_url(settings.postgres_dir)
    if url is not None:
        yield sealed.with_database(url)
        return
    with EmbeddedPostgres(settings.postgres_dir, port=settings.postgres_port) as server:
        if create:
            runner.upgrade(server.url)
        yield sealed.with_database(server.url)


def with_master_key(settings: Settings) -> Settings:
    """The same settings with the master key in them, made if this is the first start."""
    key = SecretStr(base64.b64encode(settings.master_key_bytes()).decode())
    return settings.model_copy(update={"master_key": key})


def running_url(postgres_dir: Path) -> str | None:
    """The superuser's URL of the embedded server on that folder, None if none runs."""
    try:
        lines = (postgres_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        pid, port, folder, status = (lines[number].strip() for number in (_PID, _PORT, _SOCKET_FOLDER, _STATUS))
        os.kill(int(pid), 0)
    except (OSError, ValueError, IndexError):
        return None
    if status != "ready":
        return None
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(folder, safe='/')}&port={port}"
