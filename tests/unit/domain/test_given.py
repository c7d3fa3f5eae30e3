"""The helper of the domain's tests fails where a test should fail."""

from __future__ import annotations

import pytest

from domain.kernel import Event, Unknown
from domain.posts.post import ArchivePost, DraftPost, PostDrafted
from tests.support.given import Refusal, given, refusal

DRAFT = DraftPost("post_1", "author-1", "Title", "Body")
DRAFTED = PostDrafted("post_1", 1, "author-1", "Title", "Body")


@pytest.mark.parametrize(
    "expected",
    [
        (),
        (PostDrafted("post_1", 1, "author-1", "Title", "Another body"),),
        (DRAFTED, DRAFTED),
        (refusal("post_exists"),),
    ],
)
def test_other_events_than_those_expected_are_a_failure(expected: tuple[Event | Refusal, ...]) -> None:
    given().when(DRAFT).then(DRAFTED)
    with pytest.raises(AssertionError):
        given().when(DRAFT).then(*expected)


@pytest.mark.parametrize("expected", [DRAFTED, refusal("post_status"), refusal("post_exists", post="post_2")])
def test_another_refusal_than_the_one_expected_is_a_failure(expected: Event | Refusal) -> None:
    given(DRAFTED).when(DRAFT).then(refusal("post_exists", post="post_1"))
    with pytest.raises(AssertionError):
        given(DRAFTED).when(DRAFT).then(expected)


def test_what_is_given_must_have_been_possible() -> None:
    with pytest.raises(AssertionError):
        given(DRAFTED, DRAFTED)
    with pytest.raises(AssertionError):
        given().when(ArchivePost("post_1"), DRAFT)
    given().when(ArchivePost("post_1")).then(Unknown("post", "post_1"))
