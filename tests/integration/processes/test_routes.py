"""Processes over HTTP: lists, filters, and what an operator can do."""

from __future__ import annotations

import psycopg

from tests.samples.posts import post as posts
from tests.samples.processes import process as samples
from tests.support.answers import accepted, found
from tests.support.service import Service


def test_a_process_that_needs_attention_is_listed_with_its_cause(service: Service) -> None:
    process = samples.one(service)
    read = found(service.get(f"processes/{process}"))
    shown = {"manager": "publication", "status": "attention", "step": "scheduled", "cause": "slug_taken"}
    assert shown.items() <= read.items()
    assert (read["state"]["publish_at"], read["due_at"]) == (posts.SOON, posts.SOON)
    assert read in found(service.get("processes", status="attention", manager="publication"))["items"]
    assert found(service.get("processes", stream=read["stream"]))["items"] == [read]
    assert found(service.get("processes", stream=read["stream"], status="done"))["items"] == []
    assert found(service.get("processes", stream=read["stream"], after=read["position"]))["items"] == []


def test_only_an_operator_retries_and_resolves(service: Service) -> None:
    process = samples.one(service)
    for verb in ("retry", "resolve"):
        refused = service.post(f"processes/{process}/{verb}", samples.REASON)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    retried = accepted(service.post(f"processes/{process}/retry", samples.REASON, role="operator"), 200)
    assert retried["process"] == process
    assert found(service.get(f"processes/{process}"))["cause"] is None
    refused = service.post(f"processes/{process}/retry", samples.REASON, role="operator")
    assert (refused.status_code, refused.json()["code"]) == (422, "process_calm")
    accepted(service.post(f"processes/{process}/resolve", samples.REASON, role="operator"), 200)
    resolved = found(service.get(f"processes/{process}"))
    assert (resolved["status"], resolved["step"], resolved["state"]) == ("done", None, None)


def test_the_reason_of_an_operator_is_sealed(service: Service) -> None:
    process = samples.one(service)
    accepted(service.post(f"processes/{process}/resolve", {"reason": "Ada asked for it"}, role="operator"), 200)
    with psycopg.connect(service.database.url) as connection:
        [reacted, resolved] = connection.execute(
            "SELECT type, payload->>'operator', payload::text FROM log.events_as_json WHERE stream = %s"
            " ORDER BY version",
            (process,),
        ).fetchall()
    assert reacted[0] == "process.reacted.v1"
    assert resolved[:2] == ("process.resolved.v1", "the-operator")
    assert "Ada" not in resolved[2]
