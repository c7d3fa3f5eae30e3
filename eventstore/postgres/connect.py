"""Connections to the database: autocommit, a known role, known session settings, and a bound on waiting.

A session inherits settings from the environment (`PGCLIENTENCODING`), the database (`ALTER DATABASE … SET`), the login
(`ALTER ROLE … SET`) and a pooler. Daybook relies on some of them. So each connection sets these at its
start, and compares what it was given with what it asked for. `docs/reference/database.md` lists them.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

CONNECT_SECONDS = 10
KEEPALIVE_SECONDS, KEEPALIVE_PROBES = 5, 3
VANISHED_SECONDS = 20
"""After so many seconds a vanished peer is noticed: it sends no answer, or does not acknowledge what was sent."""
SILENCE_SECONDS = 30
"""Seconds to wait for an answer beyond the time that a statement may take. A peer may receive and never answer."""

SEARCH_PATH = "pg_catalog, pg_temp"
"""Daybook qualifies its names, so that no other object can take their place."""

SESSION_SETTINGS = {
    "client_encoding": "UTF8",  # else text is converted twice, or misread
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",  # times and dates are read and written as text in places
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "search_path": SEARCH_PATH,
    "row_security": "off",  # else a policy hides rows silently; `off` makes it an error
    "default_transaction_isolation": "read committed",  # log.append looks up versions after it holds the head
    "default_transaction_deferrable": "off",
    "exit_on_error": "off",
    "lock_timeout": "0",  # statement_timeout is the bound
    "idle_session_timeout": "0",
    "transaction_timeout": "0",  # PostgreSQL 17 and later
}
"""Session settings that Daybook relies on, and what each connection sets them to.

`default_transaction_read_only` is not changed for connections that write: an operator sets it to stop writes, for
instance because the disk is nearly full. `synchronous_commit` becomes `on` unless it is `remote_apply`, which is
stronger."""

R = TypeVar("R")


class SessionError(psycopg.OperationalError):
    """A connection does not have the role or the settings it asked for. The message says what to do."""


class ReadOnlyError(psycopg.OperationalError):
    """The session cannot write: it is on a standby, or an operator or a full disk made the database read-only.

    The session is closed, because it would stay read-only.
    """


class _Bounded(Connection[Any]):
    """Closes itself when the server does not answer for too long. The outcome of the statement is unknown then.

    It also closes itself when it turns out to be read-only.
    """

    answer_seconds: float | None = None

    def wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        """Wait as psycopg does. Without an answer for `answer_seconds`, close and raise `psycopg.OperationalError`."""
        if timeout is not None:  # of one who knows what to do then
            return super().wait(gen, interval, timeout)
        began = monotonic()
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            self.close()
            raise read_only_error(error) from None
        except psycopg.OperationalError:
            if self.answer_seconds is None or monotonic() - began < self.answer_seconds:
                raise
        self.close()
        raise psycopg.OperationalError(f"the server did not answer for {self.answer_seconds:g} s: it is given up")


def sentence_of(error: BaseException | None) -> str:
    """One sentence about an error of the database, with the first line of its reason."""
    if isinstance(error, SessionError):
        return str(error)
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"the database cannot be reached or did not do it: {reason}"


def read_only_error(error: psycopg.Error) -> ReadOnlyError:
    """The error that is raised in place of the server's."""
    return ReadOnlyError(f"the database is read-only: {error.diag.message_primary}")


def connect(
    url: str,
    *,
    application_name: str,
    statement_seconds: float = 60,
    read_only: bool = False,
    search_path: str | None = SEARCH_PATH,
) -> Connection[Any]:
    """Open an autocommit connection. Its statements are cancelled after `statement_seconds`.

    It acts as the role that the `options` of the URL name (`-c role=…`). With `read_only` its transactions cannot
    write. `search_path` None keeps that of the database. Raises `psycopg.OperationalError` if the server cannot be
    reached, and `SessionError` if the session does not have what was asked for.
    """
    conninfo, role = _without_role(url)
    connection = _Bounded.connect(conninfo, application_name=application_name, **_PARAMETERS)
    settings = _settings(role, statement_seconds, read_only, search_path)
    try:
        _begin_session(connection, conninfo, settings, statement_seconds)
    except BaseException:
        connection.close()
        raise
    return connection


def pool_of(
    url: str,
    *,
    application_name: str,
    most: int,
    wait_seconds: float,
    statement_seconds: float,
    read_only: bool = False,
) -> ConnectionPool[Connection[Any]]:
    """A pool of connections like those of `connect`, not opened yet. A caller waits at most `wait_seconds` for one."""
    conninfo, role = _without_role(url)
    settings = _settings(role, statement_seconds, read_only, SEARCH_PATH)

    def configure(connection: Connection[Any]) -> None:
        assert isinstance(connection, _Bounded)
        _begin_session(connection, conninfo, settings, statement_seconds)

    return ConnectionPool(
        conninfo,
        connection_class=_Bounded,
        kwargs={"application_name": application_name, **_PARAMETERS},
        configure=configure,
        min_size=1,
        max_size=most,
        timeout=wait_seconds,
        open=False,
    )


_PARAMETERS: dict[str, Any] = {
    "autocommit": True,
    "client_encoding": "UTF8",  # for the first message already: PGCLIENTENCODING must not decide
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": KEEPALIVE_SECONDS,
    "keepalives_interval": KEEPALIVE_SECONDS,
    "keepalives_count": KEEPALIVE_PROBES,
    "tcp_user_timeout": VANISHED_SECONDS * 1000,
}

_ROLE = re.compile(r"(?:^|(?<=\s))-c\s*role=(\S+)")

_BEGIN = """
SELECT set_config(s.name, s.setting, false) FROM unnest(%s::text[], %s::text[]) AS s(name, setting)
 WHERE current_setting(s.name, true) IS NOT NULL
"""
_WHAT_IT_IS = """
SELECT current_user, session_user, current_setting('server_encoding'), current_setting('synchronous_commit'),
       pg_backend_pid()
"""


def _without_role(url: str) -> tuple[str, str | None]:
    """The connection string without the role in its options, and the role.

    The role is set by a statement, because a pooler may drop or refuse the options.
    """
    options = str(conninfo_to_dict(url).get("options") or "")
    found = _ROLE.findall(options)
    if not found:
        return url, None
    return make_conninfo(url, options=_ROLE.sub("", options).strip()), found[-1]


def _settings(role: str | None, statement_seconds: float, read_only: bool, search_path: str | None) -> dict[str, str]:
    """The settings of a connection, the role first."""
    milliseconds = f"{int(statement_seconds * 1000)}ms"
    settings = {
        **({} if role is None else {"role": role}),
        **SESSION_SETTINGS,
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
    }
    if read_only:
        settings["default_transaction_read_only"] = "on"
    if search_path is None:
        del settings["search_path"]
    return settings


def _begin_session(connection: _Bounded, conninfo: str, settings: dict[str, str], statement_seconds: float) -> None:
    """Set what Daybook relies on, and check the result. Raises `SessionError`."""
    connection.answer_seconds = statement_seconds + SILENCE_SECONDS
    role = settings.get("role")
    try:
        connection.execute(_BEGIN, (list(settings), list(settings.values())))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue) as error:
        _refuse_role(connection, role, error)
    row = connection.execute(_WHAT_IT_IS).fetchone()
    assert row is not None
    acting, login, encoding, commits, backend = row
    if role is not None and acting != role:
        raise SessionError(
            f"this connection acts as {acting} although {role} was asked for: see that {login} is a member"
        )
    if encoding != "UTF8":
        raise SessionError(f"the database is encoded in {encoding}, and Daybook needs one in UTF8: create it so")
    if commits not in ("on", "remote_apply"):
        connection.execute("SELECT set_config('synchronous_commit', 'on', false)")
    if backend != connection.info.backend_pid:
        _refuse_transaction_pooling(connection, conninfo, backend)


def _refuse_role(connection: Connection[Any], role: str | None, error: psycopg.Error) -> NoReturn:
    if role is None:
        raise error
    login = connection.info.user
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        raise SessionError(f"the login {login} may not act as {role}: GRANT {role} TO {login}") from error
    raise SessionError(
        f"the server has no role {role}, or did not take a setting ({error.diag.message_primary}): run daybook migrate"
    ) from error


def _refuse_transaction_pooling(connection: Connection[Any], conninfo: str, backend: int) -> None:
    """Raise `SessionError` if a pooler gives each transaction another session.

    The server process is not the one that the connection was opened to, so a pooler is between. While a second
    connection holds a transaction open, the first one asks for its process again. With session pooling it is the same.
    With transaction pooling the second connection has taken it, or the first one gets another.
    """
    with _Bounded.connect(conninfo, application_name="daybook-pooling", **_PARAMETERS) as other, other.transaction():
        taken = other.execute("SELECT pg_backend_pid()").fetchone()
        again = connection.execute("SELECT pg_backend_pid()").fetchone()
    if taken == (backend,) or again != (backend,):
        raise SessionError(
            "a pooler gives each transaction another session, so roles, settings and locks are lost: use session "
            "pooling (pgbouncer: pool_mode = session), or connect to the server directly"
        )
