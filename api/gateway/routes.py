"""The table of all routes: what each one declares, and the one look-up that finds it by its path.

A route is declared once, by `api.queries.query`, `api.commands.execution.command` or `action`. The request guard looks
it up before it uses anything else of the request. Permissions, query parameters, the command router, FastAPI's
endpoints and the access log all use what was found. The look-up costs the same with 10 routes or with 200: it asks one
dictionary for each segment of the path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from api.gateway.principals import READERS, Right, Rights, rights

E = TypeVar("E", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a route declares beside its path and its function.

    `may`: who may use it. `personal`: whether it returns personal data, so that reads are written to the access log.
    `reads_body`: whether the route reads and bounds its body itself. `on_replicas`: whether a replica serves it, though
    it is no GET. `area`: that of the scopes of API keys; the area of what a command does is that of the command.
    `projections`: the read models that it reads.
    """

    may: frozenset[Right]
    area: str = "system"
    personal: bool = False
    reads_body: bool = False
    on_replicas: bool = False
    projections: tuple[str, ...] = ()


def area_of(endpoint: Callable[..., Any]) -> str:
    """The area of a route: the folder of its function."""
    return endpoint.__module__.split(".")[1]


def declare(endpoint: Callable[..., Any], declaration: Declaration) -> None:
    """Attach the declaration to the function of a route."""
    endpoint.declaration = declaration  # type: ignore[attr-defined]


def action(
    router: APIRouter,
    path: str,
    *,
    may: frozenset[Right],
    reads_body: bool = False,
    on_replicas: bool = False,
    **described: Any,
) -> Callable[[E], E]:
    """Declare a route for POST that is not a command. `described` has the arguments of FastAPI's `post`."""

    def decorate(endpoint: E) -> E:
        declare(endpoint, Declaration(may=may, reads_body=reads_body, on_replicas=on_replicas))
        return router.post(path, **described)(endpoint)

    return decorate


class DeclaredRoute(NamedTuple):
    """A route with its declaration. `parameters` are the names of its query parameters."""

    route: Route
    declaration: Declaration
    parameters: tuple[str, ...]


def declared_route(route: BaseRoute) -> DeclaredRoute:
    """The route with its declaration. Raises `ValueError` for a route that has none."""
    assert isinstance(route, Route)
    declaration = getattr(route.endpoint, "declaration", None)
    if not isinstance(declaration, Declaration):
        methods = "/".join(sorted(route.methods or ()))
        raise ValueError(f"{methods} {route.path} does not declare who may use it: use @query, @command or @action.")
    return DeclaredRoute(route, declaration, _parameters(route))


def _parameters(route: Route) -> tuple[str, ...]:
    return tuple(sorted(_query_parameters(route.dependant))) if isinstance(route, APIRoute) else ()


def _query_parameters(dependant: Dependant) -> set[str]:
    """The query parameters of an endpoint and of what it depends on."""
    names = {parameter.alias for parameter in dependant.query_params}
    return names.union(*[_query_parameters(inner) for inner in dependant.dependencies])


class PathRoutes:
    """The routes of one path, by method."""

    __slots__ = ("allow", "by_method", "names", "post", "rights", "template")

    def __init__(self, template: str, names: tuple[str, ...]) -> None:
        """`template` is the path as it is declared; `names` are its parameters, in order."""
        self.template = template
        self.names = names
        self.by_method: dict[str, DeclaredRoute] = {}
        self.post: Declaration | None = None
        """The declaration of the route for POST."""
        self.rights = Rights(READERS, READERS)
        self.allow = "OPTIONS"
        """The methods of the path, for the header `Allow`."""

    def add(self, declared: DeclaredRoute) -> None:
        """Add a route of this path. Raises `ValueError` if another route has its method."""
        for method in (declared.route.methods or set()) - {"HEAD"}:
            if method in self.by_method:
                raise ValueError(f"{method} {self.template} is declared twice.")
            self.by_method[method] = declared
        may = {method: route.declaration.may for method, route in self.by_method.items()}
        self.post = self.by_method["POST"].declaration if "POST" in may else None
        self.rights = rights(may.get("GET"), may.get("POST"))
        self.allow = ", ".join(sorted({"OPTIONS", *may} | ({"HEAD"} if "GET" in may else set())))

    def route(self, method: str) -> DeclaredRoute | None:
        """The route that answers this method, if the path takes it."""
        return self.by_method.get("GET" if method == "HEAD" else method)


class Found(NamedTuple):
    """The routes of a path, and the values of its parameters."""

    path: PathRoutes
    names: Mapping[str, str]


class _Node:
    """A node in the tree of paths, with the segments that may follow."""

    __slots__ = ("literal", "named", "path", "rest")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.named: _Node | None = None  # for any one segment
        self.path: PathRoutes | None = None  # where the path ends here
        self.rest: PathRoutes | None = None  # for all remaining segments


_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class RouteTable:
    """All routes by path.

    `{name}` matches one segment and `{name:path}` the rest of the path. Literal segments are preferred to names.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        """Raises `ValueError` for a route without declaration, and for two routes of one method and path."""
        self._root = _Node()
        self._whole: dict[str, Found] = {}  # paths without parameters
        self.routes = [declared_route(route) for route in routes]
        for route in self.routes:
            self._add(route)

    def find(self, path: str) -> Found | None:
        """The routes of this path, if there are any."""
        whole = self._whole.get(path)
        if whole is not None:
            return whole
        values: list[str] = []
        found = _walk(self._root, path.split("/"), 0, values)
        return None if found is None else Found(found, dict(zip(found.names, values, strict=True)))

    def _add(self, declared: DeclaredRoute) -> None:
        template = declared.route.path
        path = self._path(template)
        path.add(declared)
        if not path.names:
            self._whole[template] = Found(path, _NO_NAMES)

    def _path(self, template: str) -> PathRoutes:
        """The entry of this template, made if it is new."""
        node, names = self._root, list[str]()
        for segment in template.split("/"):
            if "{" not in segment and "}" not in segment:
                node = node.literal.setdefault(segment, _Node())
                continue
            if _PARAMETER.fullmatch(segment) is None or (segment.endswith(":path}") and not template.endswith(segment)):
                raise ValueError(
                    f"{template}: {segment} is not a parameter; use {{name}} for a segment, {{name:path}} for the rest."
                )
            name, _, kind = segment[1:-1].partition(":")
            names.append(name)
            if kind == "path":
                node.rest = node.rest or PathRoutes(template, tuple(names))
                return _same_names(node.rest, template, names)
            node.named = node.named or _Node()
            node = node.named
        node.path = node.path or PathRoutes(template, tuple(names))
        return _same_names(node.path, template, names)


_PARAMETER = re.compile(r"\{\w+(:path)?\}", re.ASCII)


def _same_names(path: PathRoutes, template: str, names: list[str]) -> PathRoutes:
    if path.names != tuple(names):
        raise ValueError(f"{template} and {path.template} are one path with different names; give it the same names.")
    return path


def _walk(node: _Node, segments: list[str], at: int, values: list[str]) -> PathRoutes | None:
    """Follow the segments from `at` on; `values` receives those that names match."""
    for place in range(at, len(segments)):
        segment = segments[place]
        literal, named = node.literal.get(segment), node.named if segment else None
        if node.rest is not None or (literal is not None and named is not None):
            return _fork(node, segments, place, values)
        if literal is not None:
            node = literal
        elif named is not None:
            values.append(segment)
            node = named
        else:
            return None
    return node.path


def _fork(node: _Node, segments: list[str], at: int, values: list[str]) -> PathRoutes | None:
    """Follow the segments if several may match: the literal one first, then any one segment, then all of the rest."""
    segment, before = segments[at], len(values)
    if segment in node.literal and (found := _walk(node.literal[segment], segments, at + 1, values)) is not None:
        return found
    if node.named is not None and segment:
        values[before:] = [segment]
        if (found := _walk(node.named, segments, at + 1, values)) is not None:
            return found
    if node.rest is not None:
        values[before:] = ["/".join(segments[at:])]
    return node.rest


class FoundRoute(BaseRoute):
    """The only route of the FastAPI application: it calls the endpoint of the route that the request guard found."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match every HTTP request."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises `HTTPException`: 404 for an unknown path, 405 for a method it does not take."""
        found: Found | None = scope["state"]["found"]
        if found is None:
            raise HTTPException(status_code=404)
        declared = found.path.route(scope["method"])
        if declared is None:
            raise HTTPException(status_code=405)
        route = declared.route
        scope.update(route=route, endpoint=route.endpoint, path_params=dict(found.names))
        await route.handle(scope, receive, send)
