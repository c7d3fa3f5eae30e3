"""Posts a message to an address: one connection, one request, one deadline for everything, and no redirect.

It is written on sockets. The address that was checked is the one that is connected to, the deadline holds however
slowly a receiver reads or answers, and no proxy of the environment is used. Of the answer to a webhook only the status
is looked at; `ask` reads the answer too, up to a bound.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from io import BufferedReader, RawIOBase
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from workers.webhooks.addresses import Lookup, look_up, resolved
from workers.webhooks.failure import DeliveryError
from workers.webhooks.messages import Message

TIMEOUT_SECONDS: Final = 10.0
"""From the look-up of the name to the end of the answer's head."""
MOST_HEAD_BYTES: Final = 16 * 1024
"""Of an answer's head, with those of informational answers before it."""
MOST_ADDRESSES: Final = 3
"""Addresses of a name that are tried."""
PART_BYTES: Final = 64 * 1024
PORTS: Final = {"http": 80, "https": 443}
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?(?:\n|$)")
T = TypeVar("T")
_INFORMATIONAL, _SUCCESS, _REDIRECT, _ERROR, _GONE = 100, 200, 300, 400, 410


class Sending(Protocol):
    """Posts messages."""

    def post(self, url: str, message: Message) -> int:
        """Post a message, at most once, and return the status, which is 2xx. Raises `DeliveryError`."""


class Answer(NamedTuple):
    """An answer. `type` is that of the body, in small letters and without parameters; empty if there is none."""

    status: int
    type: str
    body: bytes


class Target(NamedTuple):
    """Where a URL leads."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host, and the port if it is not the usual one, as a header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """Where the URL of a webhook leads, whose form the rules allow. Raises `DeliveryError` for a host that is none."""
    try:
        parts = urlsplit(url)
    except ValueError:  # an address in brackets that is none
        raise DeliveryError("unresolvable") from None
    assert parts.hostname is not None, "the rules refuse an address without a host"
    return Target(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme], parts.path or "/")


@dataclass(frozen=True, slots=True)
class Https:
    """Posts by HTTPS to public addresses, and to others as far as the settings allow."""

    allow_http: bool = False
    allow_private: bool = False
    timeout_seconds: float = TIMEOUT_SECONDS
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    lookup: Lookup = look_up

    def post(self, url: str, message: Message) -> int:
        """See `Sending`."""
        status = self._exchange(url, message, _status_of)
        _refuse(status)
        return status

    def ask(self, url: str, message: Message, most_bytes: int) -> Answer:
        """Post a message and return the answer, whatever its status. Raises `DeliveryError`, also for a longer body."""
        return self._exchange(url, message, lambda connection, deadline: _answer_of(connection, deadline, most_bytes))

    def _exchange(self, url: str, message: Message, read: Callable[[socket.socket, float], T]) -> T:
        """Post a message, and return what is read from the connection then. Raises `DeliveryError`."""
        target, deadline = target_of(url), monotonic() + self.timeout_seconds
        if target.scheme == "http" and not self.allow_http:
            raise DeliveryError("scheme_refused")
        addresses = resolved(
            target.host, target.port, self.timeout_seconds, private=self.allow_private, lookup=self.lookup
        )
        try:
            with self._connected(target, addresses, deadline) as connection:
                _send(connection, _request(target, message), deadline)
                return read(connection, deadline)
        except TimeoutError:
            raise DeliveryError("too_slow") from None
        except ssl.SSLError:
            raise DeliveryError("tls") from None
        except OSError:
            raise DeliveryError("unreachable") from None

    def _connected(self, target: Target, addresses: Sequence[str], deadline: float) -> socket.socket:
        """A connection to the first of these addresses that takes one."""
        error: OSError = OSError("there is no address")
        for address in addresses[:MOST_ADDRESSES]:
            try:
                connection = socket.create_connection((address, target.port), _left(deadline))
            except TimeoutError:
                raise
            except OSError as refused:
                error = refused
                continue
            return self._secured(connection, target, deadline)
        raise error

    def _secured(self, connection: socket.socket, target: Target, deadline: float) -> socket.socket:
        if target.scheme == "http":
            return connection
        try:
            connection.settimeout(_left(deadline))
            return self.context.wrap_socket(connection, server_hostname=target.host)
        except BaseException:
            connection.close()
            raise


def _request(target: Target, message: Message) -> bytes:
    headers = {"host": target.authority, **message.headers, "content-length": str(len(message.body))}
    lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode() + message.body


def _send(connection: socket.socket, request: bytes, deadline: float) -> None:
    left = memoryview(request)
    while left:
        connection.settimeout(_left(deadline))
        left = left[connection.send(left[:PART_BYTES]) :]


def _status_of(connection: socket.socket, deadline: float) -> int:
    """The status of the answer, once its head is complete. Raises `DeliveryError`, `OSError`."""
    read, total = b"", 0
    while True:
        found = _END_OF_HEAD.search(read)
        if found is not None:
            status = _status(read)
            if status >= _SUCCESS:
                return status
            read = read[found.end() :]  # an informational answer; the next one follows
            continue
        if total >= MOST_HEAD_BYTES:
            raise DeliveryError("malformed")
        connection.settimeout(_left(deadline))
        more = connection.recv(MOST_HEAD_BYTES - total)
        if not more:
            raise DeliveryError("malformed" if read else "unreachable")
        read, total = read + more, total + len(more)


def _status(head: bytes) -> int:
    match = _STATUS.match(head)
    if match is None:
        raise DeliveryError("malformed")
    return int(match[1])


class _InTime(RawIOBase):
    """The bytes of a connection until the deadline. `HTTPResponse` reads them, as from a socket."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `RawIOBase`. Raises TimeoutError after the deadline."""
        self._connection.settimeout(_left(self._deadline))
        return self._connection.recv_into(buffer)

    def makefile(self, _mode: str) -> BufferedReader:
        """What a socket has."""
        return BufferedReader(self)


def _answer_of(connection: socket.socket, deadline: float, most_bytes: int) -> Answer:
    """The answer. Raises `DeliveryError`, `OSError`."""
    answer = HTTPResponse(cast(socket.socket, _InTime(connection, deadline)), method="POST")
    try:
        answer.begin()
        body = answer.read(most_bytes + 1)
    except OSError:  # also that the connection ended before an answer, which is an HTTPException too
        raise
    except (HTTPException, ValueError):
        raise DeliveryError("malformed") from None
    if len(body) > most_bytes:
        raise DeliveryError("malformed")
    return Answer(answer.status, answer.getheader("content-type", "").partition(";")[0].strip().lower(), body)


def _refuse(status: int) -> None:
    """Raise `DeliveryError` for a status that does not say that the message was taken."""
    if _REDIRECT <= status < _ERROR:
        raise DeliveryError("redirected", status)
    if status == _GONE:
        raise DeliveryError("gone", status)
    if not _SUCCESS <= status < _REDIRECT:
        raise DeliveryError("answered", status)


def _left(deadline: float) -> float:
    """The seconds until the deadline. Raises TimeoutError after it."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
