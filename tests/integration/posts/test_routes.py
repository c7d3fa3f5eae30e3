"""Posts over HTTP: written, folded and read."""

from __future__ import annotations

from typing import Any

from tests.support.answers import accepted, found
from tests.support.service import Service


def test_posts(service: Service) -> None:
    post = accepted(service.post("posts", {"author": "author-9", "title": "One", "body": "first"}))["post"]
    accepted(service.post(f"posts/{post}/revisions", {"title": "Two", "body": "second", "summary": "better"}))
    accepted(service.post(f"posts/{post}/publish", {"slug": "on-ledgers"}), 200)
    read = found(service.get(f"posts/{post}"))
    assert {"status": "published", "slug": "on-ledgers", "title": "Two", "revision": 2}.items() <= read.items()
    assert found(service.get("posts", slug="on-ledgers"))["items"] == [read]
    assert found(service.get("posts", slug="on-ledgers", author="another"))["items"] == []
    for verb, body, status in (
        ("archive", {}, "archived"),
        ("delete", {"reason": "out of date"}, "deleted"),
        ("restore", {}, "archived"),
    ):
        accepted(service.post(f"posts/{post}/{verb}", body), 200)
        [listed] = found(service.get("posts", author="author-9", status=status))["items"]
        assert listed["status"] == status
    assert [each["title"] for each in found(service.get(f"posts/{post}/revisions"))["items"]] == ["One", "Two"]


def test_a_deleted_post_has_no_address_and_is_only_in_lists_of_deleted_posts(service: Service) -> None:
    post = accepted(service.post("posts", {"author": "author-8", "title": "Secret", "body": "text"}))["post"]
    accepted(service.post(f"posts/{post}/publish", {"slug": "a-mistake"}), 200)
    by_slug, by_author = {"slug": "a-mistake"}, {"author": "author-8"}
    shown = [by_slug, by_author, {**by_slug, "status": "published"}, {**by_author, "status": "published"}]
    asked = {**by_author, "status": "deleted"}
    hidden = {**by_slug, "status": "deleted"}

    def listed(filters: dict[str, Any]) -> list[str]:
        return [each["post"] for each in found(service.get("posts", **filters))["items"]]

    assert [listed(filters) for filters in shown] == [[post]] * 4
    accepted(service.post(f"posts/{post}/delete", {"reason": "not meant for print"}), 200)
    assert [listed(filters) for filters in (*shown, hidden)] == [[]] * 5
    assert listed(asked) == [post]
    assert post not in [each["post"] for each in found(service.get("posts", limit=200))["items"]]
    assert found(service.get(f"posts/{post}"))["status"] == "deleted"
    assert len(found(service.get(f"posts/{post}/revisions"))["items"]) == 1
    accepted(service.post(f"posts/{post}/restore"), 200)
    assert [listed(filters) for filters in shown] == [[post]] * 4


def test_a_post_can_be_scheduled(service: Service) -> None:
    post = accepted(service.post("posts", {"author": "author-7", "title": "Soon", "body": "text"}))["post"]
    body = {"slug": "soon", "publish_at": "2026-12-24T19:00:00+01:00"}
    answer = accepted(service.post(f"posts/{post}/schedule", body), 200)
    assert {"status": "draft", "slug": "soon", "publish_at": "2026-12-24T18:00:00+00:00"}.items() <= answer.items()
    read = found(service.get(f"posts/{post}"))
    assert (read["publish_at"], read["scheduled_slug"], read["slug"]) == ("2026-12-24T18:00:00Z", "soon", None)
    [process] = found(service.get("processes", stream=post))["items"]
    assert (process["status"], process["due_at"]) == ("waiting", "2026-12-24T18:00:00Z")
    accepted(service.post(f"posts/{post}/unschedule"), 200)
    read = found(service.get(f"posts/{post}"))
    assert (read["publish_at"], read["scheduled_slug"]) == (None, None)
    [process] = found(service.get("processes", stream=post))["items"]
    assert (process["status"], process["step"], process["due_at"]) == ("done", "dropped", None)
