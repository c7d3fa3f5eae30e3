"""One look-up finds the routes of a path, for any number of routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Response

from api import registry
from api.gateway.principals import READERS
from api.gateway.routes import RouteTable, action
from api.queries.query import query


def table(*paths: str) -> RouteTable:
    """A table of queries with these paths."""
    router = APIRouter()
    for path in paths:
        query(router, path, may=READERS, personal=False, response=None)(_endpoint())
    return RouteTable(router.routes)


def _endpoint() -> Any:
    def endpoint() -> Response:
        return Response()

    return endpoint


@pytest.mark.parametrize("path", ["/files/{name}.json", "/v{n}/x", "/{n:int}", "/p/{p:path}/end", "/{}", "/{a-b}"])
def test_a_path_with_a_parameter_that_the_table_does_not_know_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is not a parameter"):
        table(path)


def found(routes: RouteTable, path: str) -> tuple[str, dict[str, str]] | None:
    """The template of a path, and the values of its names."""
    one = routes.find(path)
    return None if one is None else (one.path.template, dict(one.names))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/log", ("/log", {})),
        ("/log/follow", ("/log/follow", {})),
        ("/log/7", ("/log/{entry}", {"entry": "7"})),
        ("/log/follow/lines", ("/log/{entry}/lines", {"entry": "follow"})),
        ("/log/7/lines", ("/log/{entry}/lines", {"entry": "7"})),
        ("/keys/a", ("/keys/{key:path}", {"key": "a"})),
        ("/keys/a/b c//d", ("/keys/{key:path}", {"key": "a/b c//d"})),
        ("/keys/", ("/keys/{key:path}", {"key": ""})),
        ("/keys", None),
        ("/x/b/1/c", ("/x/b/{n}/c", {"n": "1"})),
        ("/x/b/1/d", ("/x/{m}/{n}/d", {"m": "b", "n": "1"})),
        ("/x/b/1/e", ("/x/{rest:path}", {"rest": "b/1/e"})),
        ("/log/", None),
        ("/log//lines", None),
        ("/log/7/lines/", None),
        ("//log", None),
        ("log", None),
        ("/LOG", None),
        ("/", None),
        ("", None),
    ],
)
def test_a_literal_segment_has_precedence_and_a_name_is_one_segment(path: str, expected: Any) -> None:
    forks = ("/x/{rest:path}", "/x/{m}/{n}/d", "/x/b/{n}/c")
    routes = table("/log/{entry}", "/log", "/keys/{key:path}", "/log/{entry}/lines", "/log/follow", *forks)
    assert found(routes, path) == expected


def test_every_declared_path_is_found_with_its_names() -> None:
    routes = RouteTable(registry.routes())
    for declared in routes.routes:
        names = {name: f"{name}-1" for name in declared.route.param_convertors}
        assert found(routes, declared.route.path_format.format(**names)) == (declared.route.path, names)


def test_a_path_and_method_are_declared_once() -> None:
    with pytest.raises(ValueError, match=r"GET /log is declared twice"):
        table("/log", "/log")
    with pytest.raises(ValueError, match=r"/log/\{entry\} and /log/\{line\} are one path with different names"):
        table("/log/{line}", "/log/{entry}")


def test_head_is_answered_by_the_route_of_get() -> None:
    router = APIRouter()
    query(router, "/log", may=READERS, personal=True, response=None)(_endpoint())
    action(router, "/log", may=READERS)(_endpoint())
    one = RouteTable(router.routes).find("/log")
    assert one is not None
    assert one.path.route("HEAD") is one.path.route("GET") is not None
    assert one.path.route("POST") not in (None, one.path.route("GET"))
    assert (one.path.route("PUT"), one.path.allow) == (None, "GET, HEAD, OPTIONS, POST")


class Counted(str):
    """A path that counts the comparisons with its segments."""

    compared = 0

    def split(self, *given: Any) -> list[Any]:
        """The segments, which count their comparisons."""
        return [Segment(text) for text in super().split(*given)]


class Segment(str):
    """A segment that counts its look-ups."""

    def __hash__(self) -> int:
        Counted.compared += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return super().__eq__(other)


def look_ups(routes: RouteTable, path: str) -> int:
    """The number of hashes and comparisons of segments to find the path."""
    Counted.compared = 0
    assert routes.find(Counted(path)) is not None
    return Counted.compared


def paths(count: int) -> Iterator[str]:
    """A number of paths of three shapes."""
    for number in range(count // 4):
        yield from (f"/area{number}", f"/area{number}/{{id}}", f"/area{number}/{{id}}/verb", f"/area/{{id}}/v{number}")


@pytest.mark.parametrize("path", ["/area0/x", "/area0/x/verb", "/area/x/v0"])
def test_a_look_up_costs_the_same_with_8_routes_and_with_800(path: str) -> None:
    few, many = table(*paths(8)), table(*paths(800))
    assert 0 < look_ups(few, path) == look_ups(many, path) <= 2 * path.count("/") + 4
