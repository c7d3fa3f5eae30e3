"""What authors and moderators read and write over HTTP, alone and in a batch. Reads are filtered in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.support.people import Somebody, key, signed_in
from tests.support.postgres import Server
from tests.support.service import Service, service_on


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


def drafted(author: Somebody) -> str:
    response = author.post("posts", {"author": author.id, "title": "T", "body": "B"})
    assert response.status_code == 201, response.text
    id: str = response.json()["post"]
    return id


def read_by(person: Somebody, **filters: str) -> set[str]:
    """All posts that a person reads."""
    found: set[str] = set()
    more: dict[str, str] = {}
    while True:
        page = person.get("posts", fresh=True, limit=200, **filters, **more).json()
        found |= {item["post"] for item in page["items"]}
        if page["next"] is None:
            return found
        more = {"cursor": page["next"]}


def test_authors_read_their_own_and_what_is_published(service: Service) -> None:
    """A random world: what a person reads is what the rule says of each post."""
    chance = Random(7)
    authors = [signed_in(service, "author") for _ in range(3)]
    moderator, reader = signed_in(service, "moderator"), signed_in(service)
    earlier = read_by(moderator)  # of the other test
    status: dict[str, tuple[str, str]] = {}
    for number in range(30):
        author = chance.choice(authors)
        post = drafted(author)
        steps = chance.choice(((), ("publish",), ("publish", "archive"), ("delete",), ("publish", "delete")))
        for step in steps:
            body = {"publish": {"slug": f"slug-{number}"}, "archive": {}, "delete": {"reason": "r"}}[step]
            assert author.post(f"posts/{post}/{step}", body).status_code == 200
        status[post] = (author.id, steps[-1] if steps else "draft")
    for author in authors:
        there = {post: of for post, (of, last) in status.items() if last != "delete"}
        allowed = {post for post, of in there.items() if of == author.id or status[post][1] == "publish"}
        assert read_by(author) == allowed
        deleted = {post for post, (of, last) in status.items() if last == "delete" and of == author.id}
        assert read_by(author, status="deleted") == deleted
        for post, (of, last) in status.items():
            seen = of == author.id or last == "publish"
            assert author.get(f"posts/{post}", fresh=True).status_code == (200 if seen else 404)
            assert author.get(f"posts/{post}/revisions", fresh=True).status_code == (200 if of == author.id else 404)
    assert read_by(moderator) - earlier == {post for post, (_, last) in status.items() if last != "delete"}
    assert reader.get("posts", fresh=True).status_code == 403
    slugs = [number for number, (_, last) in enumerate(status.values()) if last == "archive"]
    for number in slugs:
        found = [author.get("posts", slug=f"slug-{number}", fresh=True).json()["items"] for author in authors]
        assert sum(map(len, found)) == 1, "only its author finds an archived post"


def test_a_foreign_post_does_not_exist_for_an_author(service: Service) -> None:
    ada, bob, max = signed_in(service, "author"), signed_in(service, "author"), signed_in(service, "moderator")
    post = drafted(ada)
    items = [{"path": f"/v1/posts/{post}/revisions", "key": key(), "body": {"title": "X", "body": "Y"}}]
    assert bob.post(f"posts/{post}/revisions", {"title": "X", "body": "Y"}).status_code == 404
    [answer] = bob.post("batches", items).json()
    assert answer["status"] == 404
    assert bob.post("posts", {"author": ada.id, "title": "T", "body": "B"}).status_code == 403
    assert max.post(f"posts/{post}/publish", {"slug": "x"}).status_code == 403
    assert ada.post(f"posts/{post}/publish", {"slug": "of-ada"}).status_code == 200
    assert max.post(f"posts/{post}/archive").status_code == 200
    assert bob.post(f"posts/{post}/delete", {"reason": "r"}).status_code == 404
    assert max.post(f"posts/{post}/delete", {"reason": "r"}).status_code == 200
    assert ada.post(f"posts/{post}/restore").status_code == 200
