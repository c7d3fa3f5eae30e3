"""JSON responses, and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.gateway.recorded_reads import ITEMS
from domain.json_form import json_form


class _Counted(Response):
    """A response that tells the access log how many items it has."""

    items = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][ITEMS] = self.items
        await super().__call__(scope, receive, send)


class FileResponse(StreamingResponse):
    """A file that is sent in parts, as they are made. It tells the access log how many items it has."""

    def __init__(self, parts: Iterator[bytes], media_type: str, name: str, items: int) -> None:
        """`name` is what a browser saves the file as: ASCII without quotes."""
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(parts, headers=headers, media_type=media_type)
        self._items = items

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        scope["state"][ITEMS] = self._items
        await super().__call__(scope, receive, send)


def json_response(body: Any, headers: dict[str, str] | None = None, status: int = 200, *, items: int = 1) -> Response:
    """A success with this body, which shows so many items."""
    options = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS
    response = _Counted(orjson.dumps(body, default=json_form, option=options), status, headers, "application/json")
    response.items = items
    return response
