"""What Daybook does to database URLs: act as a role, and hide the password."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

SCHEMES = ("postgresql", "postgres")


def with_role(url: str, role: str) -> str:
    """The same URL, whose sessions act as `role` from their first statement on (which the login must be a member of).

    Options the URL already carries are kept; ours come last and win.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = [value for name, value in query if name == "options"]
    others = [(name, value) for name, value in query if name != "options"]
    options = " ".join([*given, f"-c role={role}"])
    # quote, not quote_plus: libpq does not read + as a space.
    return urlunsplit(parts._replace(query=urlencode([*others, ("options", options)], quote_via=quote, safe="/")))


def without_password(url: str) -> str:
    """The same URL for eyes and logs, its password replaced by three asterisks."""
    parts = urlsplit(url)
    query = [(name, "***" if name == "password" else value) for name, value in parse_qsl(parts.query, True)]
    login, at, place = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    netloc = f"{user}{colon}{'***' if colon else ''}{at}{place}"
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(query, quote_via=quote, safe="/*")))
