"""Posts: what may become of one, its revisions, and one holder of each slug."""

from __future__ import annotations

import pytest

from domain.claims import ClaimReleased, ClaimTaken
from domain.kernel import Unknown
from domain.posts.post import (
    MOST_SLUG_CHARACTERS,
    ArchivePost,
    DeletePost,
    DraftPost,
    PostArchived,
    PostDeleted,
    PostDrafted,
    PostPublished,
    PostRestored,
    PostRevised,
    PublishPost,
    RestorePost,
    RevisePost,
    slug_claim,
)
from tests.support.given import given, refusal

DRAFTED = PostDrafted("post_1", 1, "author-1", "On ledgers", "A daybook is")
OTHER = PostDrafted("post_2", 1, "author-1", "On ledgers", "A daybook is")
SLUG = slug_claim("on-ledgers")
PUBLISHED = (PostPublished("post_1", 2, "on-ledgers"), ClaimTaken(SLUG, 1, "post_1"))
ARCHIVED = PostArchived("post_1", 3)
DELETED = PostDeleted("post_1", 3, "author-1", "duplicate")


def test_a_post_is_drafted_once() -> None:
    draft = DraftPost("post_1", "author-1", "On ledgers", "A daybook is")
    given().when(draft).then(DRAFTED)
    given(DRAFTED).when(draft).then(refusal("post_exists", post="post_1"))


def test_each_edit_is_a_revision_that_changes_something() -> None:
    revise = RevisePost("post_1", "On ledgers", "Another body", "finished")
    first = PostRevised("post_1", 2, "author-1", 2, "On ledgers", "Another body", "finished")
    given(DRAFTED).when(revise).then(first)
    given(DRAFTED, first).when(revise).then(refusal("post_unchanged", revision=2))
    second = RevisePost("post_1", "On daybooks", "Another body")
    ledger = (
        given(DRAFTED, first)
        .when(second)
        .then(PostRevised("post_1", 3, "author-1", 3, "On daybooks", "Another body", None))
    )
    assert (ledger["post_1"].revision, ledger["post_1"].title) == (3, "On daybooks")
    given().when(second).then(Unknown("post", "post_1"))


def test_publishing_claims_the_slug() -> None:
    given(DRAFTED).when(PublishPost("post_1", "on-ledgers")).then(*PUBLISHED)


def test_a_slug_has_one_holder() -> None:
    taken = refusal("slug_taken", slug="on-ledgers", holder="post_1")
    given(DRAFTED, *PUBLISHED, OTHER).when(PublishPost("post_2", "on-ledgers")).then(taken)
    given(DRAFTED, *PUBLISHED, DELETED, OTHER).when(PublishPost("post_2", "on-ledgers")).then(taken)


def test_the_slug_is_kept_when_the_post_is_published_again() -> None:
    again = PublishPost("post_1", "on-ledgers")
    given(DRAFTED, *PUBLISHED, ARCHIVED).when(again).then(PostPublished("post_1", 4, "on-ledgers"))


def test_a_new_slug_frees_the_former_one() -> None:
    moved = (
        PostPublished("post_1", 4, "about-ledgers"),
        ClaimTaken(slug_claim("about-ledgers"), 1, "post_1"),
        ClaimReleased(SLUG, 2, "post_1"),
    )
    given(DRAFTED, *PUBLISHED, ARCHIVED).when(PublishPost("post_1", "about-ledgers")).then(*moved)
    freed = (PostPublished("post_2", 2, "on-ledgers"), ClaimTaken(SLUG, 3, "post_2"))
    given(DRAFTED, *PUBLISHED, ARCHIVED, *moved, OTHER).when(PublishPost("post_2", "on-ledgers")).then(*freed)


@pytest.mark.parametrize("slug", ["", "-a", "a-", "a--b", "A", "a b", "é", "a" * (MOST_SLUG_CHARACTERS + 1)])
def test_slugs_have_a_shape(slug: str) -> None:
    given(DRAFTED).when(PublishPost("post_1", slug)).then(refusal("slug_malformed", slug=slug))


def test_only_a_published_post_is_archived() -> None:
    given(DRAFTED, *PUBLISHED).when(ArchivePost("post_1")).then(ARCHIVED)
    given(DRAFTED).when(ArchivePost("post_1")).then(refusal("post_status", status="draft", verb="archived"))


@pytest.mark.parametrize(
    "command",
    [DeletePost("post_1", "x"), ArchivePost("post_1"), PublishPost("post_1", "t"), RevisePost("post_1", "t", "b")],
)
def test_nothing_becomes_of_a_deleted_post(command: object) -> None:
    given(DRAFTED, *PUBLISHED, DELETED).when(command).then(refusal("post_status", status="deleted"))


def test_a_deleted_post_comes_back_as_it_was() -> None:
    ledger = given(DRAFTED, *PUBLISHED, DELETED).when(RestorePost("post_1")).then(PostRestored("post_1", 4))
    assert (ledger["post_1"].status, ledger["post_1"].slug) == ("published", "on-ledgers")
    given(DRAFTED, *PUBLISHED).when(RestorePost("post_1")).then(refusal("post_status", verb="restored"))
    revise = RevisePost("post_1", "t", "b")
    restored = (DRAFTED, *PUBLISHED, DELETED, PostRestored("post_1", 4))
    given(*restored).when(revise).then(PostRevised("post_1", 5, "author-1", 2, "t", "b", None))
