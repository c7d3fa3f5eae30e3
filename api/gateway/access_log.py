"""The access log: refused access, reads of personal data, and actions of operators.

Each line is a JSON object, written by a separate logger. It contains the route and the ids in the path, never a
token, a body or a query value. Commands of command clients are not written: the event log records them.

Reads of personal data by others than the person are also recorded in the database, where auditors query them.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway.recorded_reads import TakesReads, read_of
from api.gateway.routes import Found
from domain.kernel import Principal

LOGGER = "daybook.access"
MOST_ID = 100
"""Most characters of an id that are written."""
REFUSED = (401, 403)
"""Statuses of refused access."""
FOUND = 200
"""The status of an answer that shows something."""

_logger = logging.getLogger(LOGGER)


def write_line(event: str, at: datetime, **fields: Any) -> None:
    """Write a line. It is printable ASCII: all other characters are escaped."""
    line = json.dumps({"at": at.astimezone(UTC).isoformat(), "event": event, **fields})
    _logger.info("%s", line.replace("\x7f", "\\u007f"))


class AccessLog:
    """Writes lines about requests, counts refusals, and has reads of personal data recorded."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        refusals: Counter[str] | None = None,
        recorder: TakesReads | None = None,
    ) -> None:
        """`refusals` counts refused accesses by the code of the problem, also those that are not written.

        `recorder` takes the reads of personal data. None: they are lines only.
        """
        self._clock = clock
        self._refusals: Counter[str] = Counter() if refusals is None else refusals
        self._recorder = recorder

    def refused(self, scope: Scope, status: int, code: str, principal: Principal | None = None, **more: int) -> None:
        """Write and count that access was refused. `principal` sent the request, if known.

        A batch counts as many refusals as it has `items` that are refused.
        """
        self.count(code, more.get("items", 1))
        self._write("access.refused", scope, principal, status=status, code=code, **more)

    def count(self, code: str, refusals: int = 1) -> None:
        """Count refusals with this code of a problem."""
        self._refusals[code] += refusals

    def slowed(self, scope: Scope, seconds: int) -> None:
        """Write that further refusals of this address are not written for some seconds."""
        self._write("access.slowed", scope, None, seconds=seconds)

    def answered(self, scope: Scope, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Write a read of personal data or an operator's command. `headers` are those of the response."""
        principal: Principal = scope["state"]["principal"]
        found: Found | None = scope["state"]["found"]
        declared = None if found is None else found.path.route(scope["method"])
        if status in REFUSED or declared is None:
            return  # written by `refused`, or nothing was read or done
        if scope["method"] in ("GET", "HEAD"):
            if declared.declaration.personal:
                self._write("personal_data.read", scope, principal, status=status)
                if status == FOUND:
                    self._record(scope, principal, found)
        else:
            more = dict(scope["state"].get("batch", {}))
            if (position := headers.get(b"daybook-position")) is not None:
                more["position"] = position.decode("latin-1")
            if b"daybook-dry-run" in headers:
                more["dry_run"] = True
            self._write("operator.command", scope, principal, status=status, **more)

    def _record(self, scope: Scope, principal: Principal, found: Found | None) -> None:
        if self._recorder is None or found is None:
            return
        read = read_of(principal, found, scope["query_string"], scope["state"], self._clock())
        if read is not None:
            self._recorder.note(read)

    def _write(self, event: str, scope: Scope, principal: Principal | None, **more: Any) -> None:
        found: Found | None = scope["state"]["found"]
        ids = {} if found is None or principal is None else found.names  # an unknown client can send any text
        client = scope.get("client")
        write_line(
            event,
            self._clock(),
            principal=None if principal is None else principal.id,
            role=None if principal is None else ", ".join(principal.all_roles),
            address=None if client is None else client[0],
            method=scope["method"][:20],
            route=None if found is None else found.path.template,
            ids={name: value[:MOST_ID] for name, value in ids.items()},
            **more,
        )


class AccessLogMiddleware:
    """ASGI middleware that writes to the access log before a response is sent."""

    def __init__(self, app: ASGIApp, access: AccessLog) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watching(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._access.answered(scope, message["status"], dict(message["headers"]))
            await send(message)

        await self._app(scope, receive, watching)
