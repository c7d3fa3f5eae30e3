"""The file of bearer tokens: its format, and reading it again when it changes.

The file is a JSON list of ``{"sha256", "principal", "role"}`` with an optional ``"expires"`` and ``"person"``: the id
of the person who has the token. A customer must be a person. Anything else in it is refused with one sentence. If an
unknown member were ignored, a token could work longer than its writer meant.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from api.gateway.principals import FixedPrincipals, TokenHolder, digest
from api.gateway.problems import Problem
from domain.codes import CODE, MOST_CODE
from domain.kernel import Principal
from domain.permissions import CUSTOMERS, ROLES

logger = logging.getLogger(__name__)

MOST_BYTES = 1024 * 1024
MOST_NAME = 100
"""Most characters of a principal's name."""
CHECK_SECONDS = 1.0
"""The file is checked for changes once in this time."""
SETTLED_NS = 2_000_000_000
"""A file that was changed less than this before it was read may change again without a change of its time stamps."""

_NEEDED, _OPTIONAL = {"sha256", "principal", "role"}, {"expires", "person"}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PERSON = re.compile(CODE)
_NAME = re.compile(r"[!-~]([ -~]*[!-~])?")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_RESERVED = ("system:", "prsn_")
"""How no name begins: those of parts of Daybook, and the ids of persons, who are the actors of what they send."""
_EMPTY_TOKEN = digest("")


class TokensError(ValueError):
    """The file of tokens is wrong. The message is one sentence that says where."""


class PrincipalsFile:
    """The principals of a file of tokens. The file is read again when it has changed.

    If the file becomes wrong or disappears, the tokens that were read before stay valid, and an error is logged. A file
    that is half written must not lock everyone out. A token is revoked once the file is valid again.
    """

    def __init__(
        self,
        file: Path,
        clock: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Raises `TokensError`, and `OSError` if the file cannot be read."""
        self._file = file
        self._clock = clock
        self._monotonic = monotonic
        self._time_ns = time_ns
        self._version: _Version | None = None
        read = _read(file)
        self._use(read)
        if not read.holders:
            raise TokensError(f"{file} holds no token: nobody could use the API")
        self._error: str | None = None
        self._check_at = monotonic() + CHECK_SECONDS

    def find(self, digest: bytes) -> Principal | Problem:
        """The principal of the token with this SHA-256, or a problem if there is none."""
        return self._current().find(digest)

    def named(self, id: str) -> Principal | Problem:
        """The principal with this id and the roles of all its valid tokens, or a problem if it has no valid one."""
        return self._current().named(id)

    def of_person(self, person: str) -> tuple[str, ...]:
        """The names of the principals whose tokens this person has, also of those that have expired."""
        return self._current().of_person(person)

    def reload(self) -> None:
        """Read the file again now, and log the result."""
        self._error = None
        self._version = None
        self._check()

    def _current(self) -> FixedPrincipals:
        if self._monotonic() >= self._check_at:
            self._check()
        return self._principals

    def _check(self) -> None:
        self._check_at = self._monotonic() + CHECK_SECONDS
        try:
            if self._settled and _version(os.stat(self._file)) == self._version:
                return
            read = _read(self._file)
        except (OSError, TokensError) as error:
            self._log(error)
            return
        changed = self._version != read.version
        self._use(read)
        self._error = None
        if changed:
            logger.info("%s was read again; tokens: %d", self._file, len(read.holders))

    def _use(self, read: _Read) -> None:
        self._principals = FixedPrincipals(read.holders, self._clock)
        self._version = read.version
        self._settled = self._time_ns() - read.version.changed > SETTLED_NS

    def _log(self, error: OSError | TokensError) -> None:
        reason = str(error) if isinstance(error, TokensError) else f"{self._file}: {error.strerror or error}"
        if reason != self._error:
            logger.error("%s; the tokens that were read before stay valid", reason)
        self._error = reason
        self._settled = False  # read it again at the next check


class _Version(NamedTuple):
    """Identifies one state of a file."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int  # changes with the permissions too, and cannot be set


class _Read(NamedTuple):
    holders: dict[bytes, TokenHolder]
    version: _Version


def _version(found: os.stat_result) -> _Version:
    return _Version(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _read(file: Path) -> _Read:
    """The holders of the tokens of a file, and its version. Raises `TokensError` and `OSError`."""
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:  # opening a pipe must not block
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise TokensError(f"{file} is not a regular file")
        _check_mode(file, stat.S_IMODE(found.st_mode))
        content = opened.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise TokensError(f"{file} is larger than {MOST_BYTES} bytes")
    return _Read(_holders(file, content), _version(found))


def _check_mode(file: Path, mode: int) -> None:
    """Only the owner may write it, and only the owner and the group may read it."""
    if mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise TokensError(
            f"{file} has the mode {mode:04o}, with which others may read or write it: chmod 600, or 640 for a group"
        )


def _holders(file: Path, content: bytes) -> dict[bytes, TokenHolder]:
    try:
        entries = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except (UnicodeDecodeError, RecursionError):
        raise TokensError(f"{file} is not JSON in UTF-8") from None
    except TokensError as error:
        raise TokensError(f"{file}: {error}") from None
    except ValueError as error:
        raise TokensError(f"{file} is not JSON: {error}") from None
    if not isinstance(entries, list):
        raise TokensError(f"{file} is not a JSON list of entries with sha256, principal and role")
    holders: dict[bytes, TokenHolder] = {}
    persons: dict[str, str | None] = {}
    for number, entry in enumerate(entries, 1):
        try:
            key, holder = _holder(entry)
            if key in holders:
                raise TokensError(f"has the sha256 of another entry, that of {holders[key].principal.id}")
            principal = holder.principal
            if persons.setdefault(principal.id, principal.person) != principal.person:
                raise TokensError(f"has another person than an earlier entry of {principal.id}")
        except TokensError as error:
            raise TokensError(f"{file}: entry {number} {error}") from None
        holders[key] = holder
    return holders


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise TokensError("an object has a member twice")
    return members


def _holder(entry: Any) -> tuple[bytes, TokenHolder]:
    """The digest and the holder of an entry. Raises `TokensError`; the caller adds the number of the entry."""
    if not isinstance(entry, dict):
        raise TokensError("is not an object")
    if unknown := sorted(entry.keys() - _NEEDED - _OPTIONAL):
        raise TokensError(f"has the member {unknown[0][:40]!r}; there are sha256, principal, role, expires and person")
    if missing := sorted(_NEEDED - entry.keys()):
        raise TokensError(f"has no {missing[0]}")
    key = _digest_of(entry["sha256"])
    role = entry["role"]
    if role not in ROLES:
        raise TokensError(f"has the role {str(role)[:40]!r}; there are {', '.join(ROLES)}")
    expires = _moment(entry["expires"]) if "expires" in entry else None
    person = _person(entry["person"]) if "person" in entry else None
    if role in CUSTOMERS and person is None:
        raise TokensError(f"has the role {role!r} and no person; only a person can be a customer")
    return key, TokenHolder(Principal(_name(entry["principal"]), (role,), person=person), expires)


def _digest_of(value: Any) -> bytes:
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise TokensError("has a sha256 that is not 64 hexadecimal digits")
    key = bytes.fromhex(value)
    if key == _EMPTY_TOKEN:
        raise TokensError("has the sha256 of the empty token: hash the token itself")
    return key


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_NAME or _NAME.fullmatch(value) is None:
        raise TokensError(
            f"has a principal that is not 1 to {MOST_NAME} printable ASCII characters without a space at either end"
        )
    for reserved in _RESERVED:
        if value.lower().startswith(reserved):
            raise TokensError(
                f"has the principal {value!r}; names that begin with {reserved!r} are those of Daybook itself"
            )
    return value


def _person(value: Any) -> str:
    if not isinstance(value, str) or _PERSON.fullmatch(value) is None:
        raise TokensError(f"has a person that is not an id of 1 to {MOST_CODE} characters, such as prsn_1")
    return value


def _moment(value: Any) -> datetime:
    try:
        if isinstance(value, str) and _RFC_3339.fullmatch(value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass  # a date such as February 30
    raise TokensError("has an expires that is not a time with its offset from UTC, such as 2027-01-31T12:00:00Z")
