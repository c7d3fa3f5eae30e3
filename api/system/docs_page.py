"""The documentation page at /docs: Swagger UI from an installed package, so that it works without internet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.gateway.principals import PUBLIC
from api.gateway.response_headers import ASSET, PAGE, Headers
from api.gateway.routes import Declaration, declare

PATH = "/docs"
_PACKAGE = "fastapi_offline"
_CSS, _SCRIPT, _ICON, _START = "swagger-ui.css", "swagger-ui-bundle.js", "favicon.png", "start.js"
_TYPES = {_CSS: "text/css", _SCRIPT: "text/javascript", _ICON: "image/png"}

_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Daybook</title>
<link rel="icon" href="{PATH}/{_ICON}">
<link rel="stylesheet" href="{PATH}/{_CSS}">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{PATH}/{_SCRIPT}"></script>
<script src="{PATH}/{_START}"></script>
</body>
</html>
"""
_STARTING = """window.ui = SwaggerUIBundle({
  url: "/v1/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""  # a separate file, because the policy forbids inline scripts

HEADERS: Mapping[str, Headers] = {
    PATH: PAGE,
    **{f"{PATH}/{name}": ASSET for name in (_CSS, _SCRIPT, _ICON, _START)},
}
"""Response headers by path."""


def docs_routes() -> list[Route]:
    """The routes of the page and its files."""
    static = files(_PACKAGE) / "static"
    contents = {name: ((static / name).read_bytes(), kind) for name, kind in _TYPES.items()}
    contents[_START] = (_STARTING.encode(), "text/javascript")
    routes = [Route(f"{PATH}/{name}", _answering(content, kind)) for name, (content, kind) in contents.items()]
    return [Route(PATH, _answering(_PAGE.encode(), "text/html")), *routes]


def _answering(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind)

    declare(answer, Declaration(may=PUBLIC))
    return answer
