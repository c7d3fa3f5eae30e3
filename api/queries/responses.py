"""JSON responses."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from domain.json_form import json_form


def json_response(body: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """A success with this body."""
    options = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS
    return Response(orjson.dumps(body, default=json_form, option=options), status, headers, "application/json")
