"""Any command gets one documented answer. The log gets an accepted command, or the record of a refusal."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.integration.api.test_batches import JSON
from tests.integration.api.test_batches_fuzz import (
    DAMAGES,
    GZIP,
    Route,
    as_json,
    assert_all_or_nothing,
    damaged,
    mutants,
    mutated,
    parsed,
    routes_to_try,
)
from tests.support.service import TOKENS, LogDigest, Service

EXAMPLES, SOAKED = 5, 200
"""The number of bodies for each route in the suite, and in a soak."""


def send(service: Service, route: Route, content: bytes, key: str, kind: str = JSON) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKENS['operator']}", "Idempotency-Key": key, "Content-Type": kind}
    return service.http.post(route.path, content=content, headers=headers)


def assert_answered(service: Service, response: httpx.Response, before: LogDigest) -> None:
    """The answer is a documented problem, with a record or none, or a success, and the log has nothing else."""
    if response.status_code >= 300:
        assert_all_or_nothing(service, response, before)
        return
    assert b"\0" not in response.content
    after = service.log_digest()
    assert (response.json()["outcome"], after.recorded - before.recorded) == ("accepted", 1)
    assert after.events != before.events


@pytest.mark.parametrize("examples", [EXAMPLES, pytest.param(SOAKED, marks=pytest.mark.soak)])
def test_bodies_of_every_route(service18: Service, examples: int) -> None:
    """Sound bodies with an error in a member, then in their bytes."""
    for route in routes_to_try(service18):
        _try(service18, route, examples)


def _try(service: Service, route: Route, examples: int) -> None:
    @settings(max_examples=examples, database=None, deadline=None)
    @given(how=mutants(route), damage=DAMAGES)
    def run(how: Any, damage: tuple[str, int, bytes]) -> None:
        item = mutated(route, how)
        body = item.get("body") if isinstance(item, dict) else item
        content = damaged(as_json(body), damage)
        before = service.log_digest()
        response = send(service, route, content, route.item()["key"])
        assert_answered(service, response, before)
        if content and parsed(content) is None:
            assert response.status_code in ((413, 415) if content.startswith(GZIP) else (400, 413)), content

    run()


@given(content=st.binary(max_size=200), kind=st.sampled_from([JSON, "text/plain", ""]))
@example(content=b"{}\n{}", kind=JSON)
@example(content=b"\xef\xbb\xbf{}", kind=JSON)
@example(content=GZIP, kind=JSON)
@example(content=orjson.dumps({"author": "a", "title": "t", "body": "b"}), kind="text/plain")
@settings(max_examples=50, deadline=None)
def test_any_bytes_change_nothing(service18: Service, content: bytes, kind: str) -> None:
    route = Route("/v1/posts", {}, ())
    before = service18.log_digest()
    response = send(service18, route, content, route.item()["key"], kind)
    assert response.status_code == (415 if content.startswith(GZIP) else 400), response.text
    assert_answered(service18, response, before)
    assert service18.log_digest() == before
