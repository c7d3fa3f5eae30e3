"""Database URLs: check them, add a role, hide the password.

They are parsed here, because libpq differs from Python's urllib: `#` does not begin a fragment, `+` is not a space, and
the empty host of `postgresql:///daybook` has a meaning.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict


def is_database_url(url: str) -> bool:
    """Whether libpq understands the URL and it names a database."""
    if not url.startswith(("postgresql://", "postgres://")):
        return False
    try:
        return bool(conninfo_to_dict(url).get("dbname"))
    except psycopg.ProgrammingError:
        return False


def with_role(url: str, role: str) -> str:
    """The same URL with a role for its sessions. The login must be a member of the role.

    Options of the URL are kept. The new option comes last, so it wins.
    """
    base, _, query = url.partition("?")
    parameters = [parameter for parameter in query.split("&") if parameter]
    given = [unquote(parameter.removeprefix("options=")) for parameter in parameters if _is_options(parameter)]
    kept = [parameter for parameter in parameters if not _is_options(parameter)]
    options = quote(" ".join([*given, f"-c role={role}"]), safe="")
    return f"{base}?{'&'.join([*kept, f'options={options}'])}"


def with_login(url: str, login: str) -> str:
    """The same URL for another login, without a password. The socket of the embedded server needs none."""
    return re.sub(r"(?<=://)[^/@]*@", f"{quote(login, safe='')}@", url, count=1)


def without_password(url: str) -> str:
    """The same URL with the password replaced by three asterisks, for messages."""
    base, mark, query = url.partition("?")
    base = re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", base)
    return base + mark + re.sub(r"(?<![^&])password=[^&]*", "password=***", query)


def _is_options(parameter: str) -> bool:
    return parameter.startswith("options=")
