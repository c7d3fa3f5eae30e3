"""Answers to browsers: headers of every answer, pages of other origins, and a page that works without internet."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from api.gateway.cross_origin import PREFLIGHT_SECONDS
from api.gateway.principals import digest
from tests.integration.api.test_batches import JSON, NDJSON, item, send
from tests.integration.api.test_log import listen
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on

EVERY = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
CONSOLE = "https://console.example"
TRANSFER = json.dumps({"amount": "1.00", "currency": "EUR"}).encode()


def of_fixed(response: httpx.Response) -> dict[str, str]:
    """Every answer has these headers, each of them once."""
    return {name: response.headers[name] for name in EVERY if len(response.headers.get_list(name)) == 1}


def test_every_answer_has_the_headers(service: Service) -> None:
    account = service.account("1.00")
    deposit = f"accounts/{account}/deposits"
    answers = [
        service.post(deposit, json.loads(TRANSFER)),
        service.post(deposit, json.loads(TRANSFER) | {"amount": "x"}),
        service.post(deposit, json.loads(TRANSFER), role="report"),
        service.post(deposit, json.loads(TRANSFER), key="k" * 256),
        service.post("transfers", {"source": account, "target": account, "amount": "1.00", "currency": "EUR"}),
        send(service, json.dumps([item(deposit, json.loads(TRANSFER))]).encode(), JSON),
        send(service, json.dumps(item(deposit, json.loads(TRANSFER))).encode(), NDJSON),
        send(service, b"[", JSON),
        service.get(f"accounts/{account}"),
        service.get("accounts/none"),
        service.get("accounts", limit=0),
        service.get("health/live"),
        service.get("openapi.json"),
        service.http.get("/v1/accounts"),
        service.http.get("/v1/accounts", headers={"Authorization": "Bearer wrong"}),
        service.http.get("/v1/accounts", headers={"Host": "evil.example"}),
        service.http.get("/"),
        service.http.delete("/v1/accounts", headers={"Authorization": f"Bearer {TOKENS['operator']}"}),
        service.http.post("/docs"),
        service.http.get("/docs/none"),
    ]
    assert {answer.status_code for answer in answers} >= {200, 201, 400, 401, 403, 404, 405, 422}
    assert [of_fixed(answer) for answer in answers[:-2]] == [EVERY] * (len(answers) - 2)
    with service.http.stream("GET", "/v1/log/follow", headers={"Authorization": f"Bearer {TOKENS['audit']}"}) as stream:
        assert of_fixed(stream) == EVERY


def test_the_page_of_the_api_loads_nothing_from_elsewhere(service: Service) -> None:
    page = service.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert set(re.findall(r"'[^']+'|https?:|data:|\*", policy)) == {"'none'", "'self'", "data:"}
    assert page.headers["cache-control"] == "no-store"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    assert "<script>" not in page.text
    assert "style=" not in page.text
    for path in loaded:
        asset = service.http.get(path)
        assert asset.status_code == 200, path
        assert asset.headers["cache-control"] == "private, max-age=3600"
        assert asset.headers["x-content-type-options"] == "nosniff"
        assert asset.headers["content-type"].partition(";")[0] in ("text/css", "text/javascript", "image/png")
    assert 'url: "/v1/openapi.json"' in service.http.get("/docs/start.js").text
    assert len(service.http.get("/docs/swagger-ui-bundle.js").content) > 1_000_000


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Encoding": "GZIP"}, {}])
@pytest.mark.parametrize("path", ["accounts", "batches"])
def test_the_refusal_of_a_gzip_body_names_gzip(service: Service, path: str, headers: dict[str, str]) -> None:
    before = service.log_digest()
    sent = {"Authorization": f"Bearer {TOKENS['command']}", "Idempotency-Key": "zip", "Content-Type": JSON, **headers}
    response = service.http.post(f"/v1/{path}", content=gzip.compress(TRANSFER), headers=sent)
    assert (response.status_code, response.json()["code"]) == (415, "encoding")
    assert response.json()["detail"] == "The body is sent as gzip; send it plain, without Content-Encoding."
    assert service.log_digest() == before


def test_the_refusal_of_an_encoding_names_it_and_identity_is_accepted(service: Service) -> None:
    account = service.account("1.00")
    for encoding, status in (("br", 415), ("identity", 201), ("", 201), ("gzip, br", 415)):
        response = service.post(f"accounts/{account}/deposits", json.loads(TRANSFER), Content_Encoding=encoding)
        assert response.status_code == status, response.text
        assert status == 201 or f"is sent as {encoding};" in response.json()["detail"]


def names(response: httpx.Response, header: str) -> set[str]:
    return {name.strip() for name in response.headers[header].split(",")}


def preflight(service: Service, origin: str) -> httpx.Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key, content-type",
    }
    return service.http.options("/v1/transfers", headers=asked)


@contextmanager
def origins_allowed(server: Server) -> Iterator[Service]:
    with server.database() as database, service_on(database, allowed_origins=(CONSOLE, "http://localhost:5173")) as one:
        yield one


@pytest.fixture(scope="module")
def allowing(postgres18: Server) -> Iterator[Service]:
    """An API that allows requests of two other origins."""
    with origins_allowed(postgres18) as running:
        yield running


def test_no_origin_is_allowed_unless_it_is_named(service: Service, allowing: Service) -> None:
    for origin, running in ((CONSOLE, service), ("https://evil.example", allowing), ("null", allowing)):
        for response in (
            preflight(running, origin),
            running.http.get("/v1/accounts", headers={"Origin": origin}),
            running.http.get("/v1/health/live", headers={"Origin": origin}),
        ):
            assert not [name for name in response.headers if name.startswith("access-control-")]


def test_a_named_origin_gets_the_allowed_methods_and_headers(allowing: Service) -> None:
    answered = preflight(allowing, CONSOLE)
    assert (answered.status_code, answered.content) == (204, b"")
    assert answered.headers["access-control-allow-origin"] == CONSOLE
    assert names(answered, "access-control-allow-methods") == {"GET", "HEAD", "POST"}
    assert names(answered, "access-control-allow-headers") == {
        "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID",
    }  # fmt: skip
    assert answered.headers["access-control-max-age"] == str(PREFLIGHT_SECONDS)
    assert (answered.headers["vary"], of_fixed(answered)) == ("Origin", EVERY)
    read = allowing.http.get("/v1/accounts", headers={"Origin": CONSOLE, "Authorization": f"Bearer {TOKENS['report']}"})
    refused = allowing.http.get("/v1/accounts", headers={"Origin": "http://localhost:5173"})
    assert (read.status_code, refused.status_code) == (200, 401)
    for response, origin in ((read, CONSOLE), (refused, "http://localhost:5173")):
        assert response.headers["access-control-allow-origin"] == origin
        assert names(response, "access-control-expose-headers") == {
            "Daybook-Batch", "Daybook-Position", "ETag", "Idempotency-Replayed", "Location", "Retry-After",
        }  # fmt: skip
        assert (response.headers["vary"], of_fixed(response)) == ("Origin", EVERY)
        assert "access-control-allow-credentials" not in response.headers
    assert allowing.http.get("/v1/health/live").headers["vary"] == "Origin"


def test_there_are_no_tickets_unless_an_origin_is_named(service: Service) -> None:
    refused = service.post("log/follow-tickets", role="audit")
    assert (refused.status_code, refused.json()["code"]) == (404, "no_route")
    assert service.http.get("/v1/log/follow", params={"ticket": "any"}).status_code == 401


def ticket_of(service: Service, role: str = "audit") -> Any:
    made = service.post("log/follow-tickets", role=role)
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    return made.json()["ticket"]


def follow(service: Service, **query: Any) -> tuple[int, str]:
    """Follow the log to its next event, without a token."""
    return asyncio.run(listen(service, 1, token=None, **query))


def test_a_ticket_opens_one_stream(allowing: Service) -> None:
    allowing.account()
    ticket = ticket_of(allowing)
    status, received = follow(allowing, ticket=ticket)
    assert status == 200
    assert "id: main.1.1" in received
    status, received = follow(allowing, ticket=ticket)
    assert status == 401
    assert "was used, or is older than 30 seconds" in received
    assert follow(allowing)[0] == 401


def test_a_ticket_is_for_the_stream_only(allowing: Service) -> None:
    ticket = ticket_of(allowing)
    for path in ("log", "accounts", "log/follow/", "log/follow-tickets"):
        assert allowing.http.get(f"/v1/{path}", params={"ticket": ticket}).status_code == 401
    assert follow(allowing, ticket=ticket)[0] == 200, "the refusal did not use the ticket"


def test_a_role_that_may_not_follow_gets_no_ticket(allowing: Service) -> None:
    for role in ("command", "report"):
        assert allowing.post("log/follow-tickets", role=role).status_code == 403
    assert follow(allowing, ticket=ticket_of(allowing, "operator"))[0] == 200
    more = allowing.post("log/follow-tickets", {"principal": "another"}, role="audit")
    assert (more.status_code, more.json()["code"]) == (400, "malformed")


def test_a_ticket_ends_with_its_token(allowing: Service) -> None:
    ticket = ticket_of(allowing)
    revoked = allowing.grants.pop(digest(TOKENS["audit"]))
    try:
        assert follow(allowing, ticket=ticket)[0] == 401
    finally:
        allowing.grants[digest(TOKENS["audit"])] = revoked
