"""Where mails go: to a server by SMTP, or into a folder for development."""

from __future__ import annotations

import os
import re
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import unquote, urlsplit

from workers.mail.failure import MailError

TIMEOUT_SECONDS = 20.0
"""How long to wait for a connection, and for each answer of the server."""
PERMANENT = 500
"""Answers from here on stay (RFC 5321, section 4.2.1)."""
Security = Literal["none", "starttls", "tls"]
PORTS: dict[str, tuple[Security, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}
"""How the connection is protected, and the usual port, by the scheme of the URL."""
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_FILE = re.compile(r"[a-z]+_[0-9a-z]+", re.ASCII)


class Delivery(Protocol):
    """Takes messages."""

    def send(self, mail: str, message: EmailMessage, address: str) -> None:
        """Send a message to the address, at most once. Raises `MailError`."""


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server."""

    host: str
    port: int
    security: Security
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def server_of(url: str) -> Server:
    """Return the server that a URL names. Raises `ValueError` with a sentence that has nothing of the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it should have a host and a port from 1 to 65535") from None
    if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("it should look like smtps://user:password@host:465, smtp+starttls://… or smtp://…")
    security, usual = PORTS[parts.scheme]
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if (user is None) is not (password is None):
        raise ValueError("it should have a user and a password, or neither")
    if user is not None and security == "none" and parts.hostname not in _HERE:
        raise ValueError("it should begin with smtps:// or smtp+starttls://, because it has a password")
    return Server(parts.hostname, usual if port is None else port, security, user, password)


class Smtp:
    """Sends each message by a connection of its own. Certificates are checked with those that the system trusts."""

    def __init__(self, server: Server, local_name: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """`local_name` is how this machine calls itself: the domain of the sender, not its own name."""
        self._server = server
        self._local_name = local_name
        self._timeout = timeout_seconds

    def send(self, mail: str, message: EmailMessage, address: str) -> None:
        """Send a message. Raises `MailError`; nothing of the server's text is in it."""
        connection = self._connected()
        try:
            connection.send_message(message, to_addrs=[address])
        except smtplib.SMTPRecipientsRefused as refused:
            [(code, _)] = refused.recipients.values()
            raise _refused(code) from None
        except smtplib.SMTPResponseException as refused:
            raise _refused(refused.smtp_code) from None
        except smtplib.SMTPNotSupportedError:
            raise MailError("address_international") from None
        except UnicodeError:
            raise MailError("address_malformed") from None
        except (OSError, smtplib.SMTPException):
            raise MailError("unreachable") from None
        finally:
            _end(connection)

    def _connected(self) -> smtplib.SMTP:
        server, context = self._server, ssl.create_default_context()
        try:
            if server.security == "tls":
                connection: smtplib.SMTP = smtplib.SMTP_SSL(
                    server.host, server.port, self._local_name, timeout=self._timeout, context=context
                )
            else:
                connection = smtplib.SMTP(server.host, server.port, self._local_name, timeout=self._timeout)
        except ssl.SSLError:
            raise MailError("tls") from None
        except smtplib.SMTPResponseException as refused:
            raise MailError("unreachable", refused.smtp_code) from None
        except (OSError, UnicodeError, smtplib.SMTPException):
            raise MailError("unreachable") from None
        try:
            self._begin(connection, context)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: smtplib.SMTP, context: ssl.SSLContext) -> None:
        server = self._server
        try:
            if server.security == "starttls":
                connection.starttls(context=context)
        except (ssl.SSLError, smtplib.SMTPNotSupportedError, smtplib.SMTPResponseException):
            raise MailError("tls") from None
        except (OSError, smtplib.SMTPException):
            raise MailError("unreachable") from None
        if server.user is None or server.password is None:
            return
        try:
            connection.login(server.user, server.password)
        except smtplib.SMTPResponseException as refused:
            raise MailError("sign_in", refused.smtp_code) from None
        except (OSError, UnicodeError):  # also where the server ends the connection instead of an answer
            raise MailError("sign_in") from None


def _refused(code: int) -> MailError:
    """An answer below 400 where an error was due comes from a server that is broken: it may pass."""
    return MailError("refused" if code >= PERMANENT else "refused_for_now", code)


def _end(connection: smtplib.SMTP) -> None:
    """Say goodbye. What the server answers changes nothing: it has the message, or has refused it."""
    try:
        connection.quit()
    except (OSError, smtplib.SMTPException):
        connection.close()


class Folder:
    """Writes each message as a file that only this user reads. A message that is sent again replaces the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, mail: str, message: EmailMessage, address: str) -> None:
        """Write a message. Raises `MailError`."""
        assert _FILE.fullmatch(mail), "an id is a good name of a file"
        file, part = self._folder / f"{mail}.eml", self._folder / f".{mail}.part"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                opened.write(message.as_bytes())
            part.replace(file)
        except OSError:
            raise MailError("folder") from None
