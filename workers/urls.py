"""What Daybook does to database URLs: check them, act as a role, hide the password.

They are taken apart by hand: to libpq, unlike to Python's urllib, `#` begins no fragment, `+` is no space and the
empty host of `postgresql:///daybook` matters.
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
    """The same URL, whose sessions act as `role` from their first statement on (which the login must be a member of).

    Options the URL already carries are kept; ours come last and win.
    """
    base, _, query = url.partition("?")
    parameters = [parameter for parameter in query.split("&") if parameter]
    given = [unquote(parameter.removeprefix("options=")) for parameter in parameters if _is_options(parameter)]
    kept = [parameter for parameter in parameters if not _is_options(parameter)]
    options = quote(" ".join([*given, f"-c role={role}"]), safe="")
    return f"{base}?{'&'.join([*kept, f'options={options}'])}"


def with_login(url: str, login: str) -> str:
    """The same URL for another login, without a password: for the embedded server's socket, which asks for none."""
    return re.sub(r"(?<=://)[^/@]*@", f"{quote(login, safe='')}@", url, count=1)


def without_password(url: str) -> str:
    """The same URL for eyes and logs, its password replaced by three asterisks."""
    base, mark, query = url.partition("?")
    base = re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", base)
    return base + mark + re.sub(r"(?<![^&])password=[^&]*", "password=***", query)


def _is_options(parameter: str) -> bool:
    return parameter.startswith("options=")
