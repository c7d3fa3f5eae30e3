"""Reads of auditors: streams, the log, and following the log."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from api.gateway.principals import digest
from api.services import Limits
from api.system import log
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on

ONE = {"amount": "1.00", "currency": "EUR"}


def test_a_stream(service: Service) -> None:
    account = service.account("1.00", name="Ada")
    service.post(f"accounts/{account}/deposits", ONE, key="stream-1")
    events = service.get(f"streams/{account}", role="audit").json()["events"]
    assert [event["version"] for event in events] == [1, 2, 3]
    assert events[0]["type"] == "account.opened.v1"
    assert events[0]["data"]["name"] == "Ada"
    assert events[2]["data"]["amount"] == 100
    metadata = events[2]["metadata"]
    assert metadata["actor"] == {"how": "token", "id": "the-command", "roles": ["command"]}
    assert (metadata["command"], metadata["correlation"], metadata["key"]) == ("Deposit", "stream-1", "stream-1")
    page = service.get(f"streams/{account}", role="audit", after=1, limit=1).json()
    assert (page["events"], page["after"]) == (events[1:2], 2)
    assert service.get(f"streams/{account}", role="audit", after=3).json()["events"] == []
    beyond = service.get(f"streams/{account}", role="audit", after=4)
    assert (beyond.status_code, beyond.json()["code"]) == (400, "position")
    assert f"Version 4 is beyond the end of the stream {account}" in beyond.json()["detail"]
    for after in (0, 1):
        assert service.get("streams/acct_none", role="audit", after=after).status_code == 404


def test_the_log_page_by_page(service: Service) -> None:
    for _ in range(3):
        service.account("1.00")
    seen: list[int] = []
    after: dict[str, Any] = {}
    while True:
        page = service.get("log", role="audit", limit=2, **after).json()
        seen += [event["position"] for event in page["events"]]
        assert page["upto"] == f"main.1.{seen[-1]}", "a page ends with a unit"
        if page["upto"] == page["head"]:
            break
        after = {"after": page["upto"]}
    assert seen == list(range(1, len(seen) + 1))


def test_the_log_by_type_and_category(service: Service) -> None:
    service.account("1.00")
    typed = service.get("log", role="audit", type="transaction.posted.v1", limit=200).json()["events"]
    assert {event["type"] for event in typed} == {"transaction.posted.v1"}
    of_accounts = service.get("log", role="audit", category="acct", limit=200).json()["events"]
    assert of_accounts
    assert all(event["stream"].startswith("acct_") for event in of_accounts)


async def listen(
    service: Service,
    number: int,
    *,
    last: str | None = None,
    begun: asyncio.Event | None = None,
    token: str | None = TOKENS["audit"],
    **query: str,
) -> tuple[int, str]:
    """Follow the log until this many events came, then disconnect. `begun` is set when the answer begins.

    With 0 the client disconnects before the answer begins.
    """
    host = service.services.allowed_hosts[0]
    enough = asyncio.Event()
    if number == 0:
        enough.set()
    received = ""
    status = 0

    async def receive() -> dict[str, Any]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal received, status
        if number == 0:
            await asyncio.Event().wait()
        status = message.get("status", status)
        received += message.get("body", b"").decode()
        if begun is not None and ": following" in received:
            begun.set()
        if received.count("\nid: ") >= number or status != 200:
            enough.set()

    headers = [(b"host", host.encode())]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    if last is not None:
        headers.append((b"last-event-id", last.encode()))
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": "/v1/log/follow", "raw_path": b"/v1/log/follow", "root_path": "",
        "query_string": urlencode(query).encode(), "headers": headers, "client": ("test", 1),
        "server": (host, 80),
    }  # fmt: skip
    await asyncio.wait_for(service.app(scope, receive, send), 30)
    return status, received


def follow(service: Service, number: int, **more: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """Follow the log and return id, type and data of this many events."""
    status, received = asyncio.run(listen(service, number, **more))
    assert status == 200, received
    events = []
    for block in received.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            events.append((lines["id"], lines["event"], json.loads(lines["data"])))
    return events[:number]


def test_following_returns_the_log_and_resumes_after_the_last_event(service: Service) -> None:
    service.account("1.00")
    logged = service.get("log", role="audit", limit=200).json()["events"]
    followed = follow(service, len(logged))
    assert [data for _, _, data in followed] == logged
    assert [id for id, _, _ in followed] == [f"main.1.{event['position']}" for event in logged]
    assert [type for _, type, _ in followed] == [event["type"] for event in logged]
    left_at = followed[2][0]
    assert follow(service, 3, last=left_at, after="main.1.0") == followed[3:6], (
        "Last-Event-ID has precedence over after"
    )
    assert follow(service, 2, after=left_at) == followed[3:5]


def test_events_that_are_written_meanwhile_arrive(service: Service) -> None:
    head = service.get("log", role="audit").json()["head"]

    async def both() -> str:
        listening = asyncio.create_task(listen(service, 1, after=head, type="post.drafted.v1"))
        await asyncio.to_thread(service.post, "posts", {"author": "a", "title": "New", "body": "b"})
        return (await listening)[1]

    assert '"title":"New"' in asyncio.run(both())


def test_a_stream_ends_with_its_token(service: Service) -> None:
    async def follow_and_revoke() -> tuple[int, str]:
        begun = asyncio.Event()
        listening = asyncio.create_task(listen(service, 1, begun=begun, type="account.hold_captured.v1"))
        await begun.wait()
        revoked = service.grants.pop(digest(TOKENS["audit"]))
        try:
            return await listening
        finally:
            service.grants[digest(TOKENS["audit"])] = revoked

    status, received = asyncio.run(follow_and_revoke())
    assert (status, received) == (200, ": following\n\n: the token is no longer valid\n\n")


def test_the_number_of_followers_is_limited_and_a_follower_that_leaves_frees_a_place(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database, limits=Limits(followers=1)) as service:

        async def two() -> tuple[int, str]:
            begun = asyncio.Event()
            listening = asyncio.create_task(listen(service, 1, begun=begun, type="post.drafted.v1"))
            await begun.wait()
            refused = await listen(service, 1)
            await asyncio.to_thread(service.post, "posts", {"author": "a", "title": "t", "body": "b"})
            await listening
            return refused

        status, received = asyncio.run(two())
        assert (status, json.loads(received)["code"]) == (503, "busy")
        assert len(follow(service, 1)) == 1, "the limit has a free place again"


def test_concurrent_followers_are_limited(postgres18: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 3
    together = asyncio.Barrier(most + 1)

    async def to_thread(work: Any, *of: Any) -> Any:
        done = await asyncio.to_thread(work, *of)
        if work.__name__ == "begin":
            await together.wait()  # no follower begins before the last one has read the head
        return done

    with (
        postgres18.database() as database,
        service_on(database, limits=Limits(followers=most, principal_share=1)) as service,
    ):

        async def all_at_once() -> list[tuple[int, str]]:
            begun = [asyncio.Event() for _ in range(most + 1)]
            listening = [asyncio.create_task(listen(service, 1, begun=one, type="post.drafted.v1")) for one in begun]
            for one, task in zip(begun, listening, strict=True):
                follows = asyncio.create_task(one.wait())
                known, _ = await asyncio.wait({follows, task}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
                follows.cancel()
                assert known, "neither followed nor refused"
            await asyncio.to_thread(service.post, "posts", {"author": "a", "title": "t", "body": "b"})
            return await asyncio.gather(*listening)

        with monkeypatch.context() as patched:
            patched.setattr(log, "asyncio", SimpleNamespace(**{**vars(asyncio), "to_thread": to_thread}))
            answers = asyncio.run(all_at_once())
        assert sorted(status for status, _ in answers) == [200] * most + [503]
        [refused] = [received for status, received in answers if status == 503]
        assert json.loads(refused)["code"] == "busy"


def test_followers_that_leave_before_the_answer_begins_free_their_places(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database, limits=Limits(followers=1)) as service:
        for _ in range(3):
            assert asyncio.run(listen(service, 0)) == (0, "")
        assert len(follow(service, 1)) == 1


def test_following_from_another_log_is_refused(service: Service) -> None:
    status, received = asyncio.run(listen(service, 1, last="other.1.1"))
    assert (status, json.loads(received)["code"]) == (400, "position")


def next_of(head: str) -> str:
    log, epoch, position = head.rsplit(".", 2)
    return f"{log}.{epoch}.{int(position) + 1}"


def test_a_position_beyond_the_head_is_refused_by_every_read_from_it(service: Service) -> None:
    """All ways to give a position are checked in the same way, so no later event is skipped."""
    head = service.get("log", role="audit").json()["head"]
    asked = next_of(head)
    answers = [
        service.get("log", role="audit", after=asked).json(),
        service.get("accounts", min_position=asked, fresh=False).json(),
        json.loads(asyncio.run(listen(service, 1, after=asked))[1]),
        json.loads(asyncio.run(listen(service, 1, last=asked))[1]),
    ]
    for problem in answers:
        assert (problem["status"], problem["code"]) == (400, "position")
        assert problem["detail"] == f"{asked!r} is beyond the head of the log, {head}."
    assert service.get("log", role="audit", after=head).json()["events"] == []


def restore(service: Service) -> None:
    """Shorten the log and raise its epoch, as a restore of an older dump and `daybook restored` do."""
    with psycopg.connect(service.database.url) as connection:
        connection.execute("UPDATE log.logs SET epoch = epoch + 1, position = 0")
        connection.execute("SET session_replication_role = replica")  # disables the triggers that prevent deletion
        connection.execute("DELETE FROM log.events")


def test_a_restore_under_a_follower_ends_it(postgres18: Server) -> None:
    """The follower gets a message and no event of the new history, whose positions it has already seen."""
    with postgres18.database() as database, service_on(database) as service:
        head = service.get("log", role="audit").json()["head"]

        async def both() -> str:
            begun = asyncio.Event()
            listening = asyncio.create_task(listen(service, 1_000, begun=begun, after=head))
            await begun.wait()
            await asyncio.to_thread(restore, service)
            return (await listening)[1]

        received = asyncio.run(both())
        event, data = received.removeprefix(": following\n\n").strip().split("\n")
        assert event == "event: restored"
        problem = json.loads(data.removeprefix("data: "))
        assert (problem["code"], problem["figures"]) == ("position", {"epoch": 2})
        assert f"sent up to {head}" in problem["detail"]
        again = asyncio.run(listen(service, 1, last=head))
        assert (again[0], json.loads(again[1])["code"]) == (400, "position")
