"""The database of a command: the one of the settings, or the embedded one, with a login for each purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from eventstore.postgres.connect import connect
from workers.embedded import EmbeddedPostgres, url_of_running
from workers.settings import Settings
from workers.urls import with_login

LOGINS: Final = (
    "api", "query", "projector", "read_owner", "audit", "reader", "publisher", "replica", "credentials", "sealer",
)  # fmt: skip
"""The logins that `logins.sql` makes."""
LONG_STATEMENT_SECONDS: Final = 3600.0


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """The settings with a running database: that of the settings, or the embedded one, which is started if needed."""
    running = url_of_running(settings.postgres_dir) if settings.embedded else None
    if running is not None:
        yield settings.with_master_keys().with_databases(logins(running))
        return
    with own_database(settings) as (ready, _):
        yield ready


@contextmanager
def own_database(settings: Settings) -> Iterator[tuple[Settings, EmbeddedPostgres | None]]:
    """The settings with their database, or with the embedded one, which is started; and that server.

    Raises `RuntimeError` if another command runs the embedded server: it would end with that command.
    """
    if not settings.embedded:
        yield settings, None
        return
    settings = settings.with_master_keys()  # a missing key is made before the database
    if url_of_running(settings.postgres_dir) is not None:
        raise RuntimeError(
            f"the embedded PostgreSQL in {settings.postgres_dir} is run by another daybook command, and ends with "
            "it: wait for the end of that one and start again"
        )
    with EmbeddedPostgres(settings.postgres_dir, port=settings.postgres_port) as postgres:
        yield settings.with_databases(logins(postgres.url)), postgres


@contextmanager
def one_moment(connection: Connection[Any]) -> Iterator[None]:
    """A transaction in which all reads see one moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def logins(superuser_url: str) -> dict[str, str]:
    """The URLs of the embedded server by setting, each with its own login as in production. Missing logins are made."""
    with connect(superuser_url, application_name="daybook-logins") as connection:
        connection.execute((Path(__file__).parent / "logins.sql").read_bytes())
    own = {f"{login}_database_url": with_login(superuser_url, login) for login in LOGINS}
    return {"database_url": superuser_url, **own}
