"""What authors and moderators may do with posts: an author with their own, a moderator takes down and brings back."""

from __future__ import annotations

import pytest

from domain.kernel import Accepted, Forbidden, Principal, Unknown
from domain.posts.post import (
    ArchivePost,
    DeletePost,
    DraftPost,
    Post,
    PublishPost,
    RestorePost,
    RevisePost,
    SchedulePost,
    UnschedulePost,
)
from domain.registry import forbid
from tests.support.memory_ledger import NOW, By, MemoryLedger, by_person

ADA, BOB, MAX = by_person("prsn_ada", "author"), by_person("prsn_bob", "author"), by_person("prsn_max", "moderator")
READER = by_person("prsn_eve")
OF_A_POST = (
    RevisePost("post_1", "T", "Other"),
    PublishPost("post_1", "a-slug"),
    SchedulePost("post_1", "a-slug", NOW),
    UnschedulePost("post_1"),
    ArchivePost("post_1"),
    DeletePost("post_1", "Spam"),
    RestorePost("post_1"),
)
MODERATED = (ArchivePost, DeletePost, RestorePost)


@pytest.fixture
def ledger() -> MemoryLedger:
    """With a published post of Ada."""
    made = MemoryLedger()
    for command in (DraftPost("post_1", "prsn_ada", "T", "B"), PublishPost("post_1", "first")):
        assert isinstance(made.execute_by(By(ADA, command)), Accepted)
    return made


def test_an_author_drafts_posts_of_their_own() -> None:
    ledger = MemoryLedger()
    foreign = ledger.execute_by(By(BOB, DraftPost("post_1", "prsn_ada", "T", "B")))
    assert foreign == Forbidden("An author drafts posts of their own: the author is prsn_bob.")
    assert ledger.of(Post) == []


@pytest.mark.parametrize("command", OF_A_POST, ids=lambda command: type(command).__name__)
def test_to_an_author_there_is_no_foreign_post(ledger: MemoryLedger, command: object) -> None:
    assert ledger.execute_by(By(BOB, command)) == Unknown("post", "post_1")
    own = ledger.execute_by(By(ADA, command))
    assert not isinstance(own, Unknown | Forbidden)


@pytest.mark.parametrize("command", OF_A_POST, ids=lambda command: type(command).__name__)
def test_a_moderator_only_takes_down_and_brings_back(ledger: MemoryLedger, command: object) -> None:
    refused = forbid(MAX, command, NOW)  # type: ignore[arg-type]
    if isinstance(command, MODERATED):
        assert refused is None
        assert not isinstance(ledger.execute_by(By(MAX, command)), Unknown | Forbidden)
    else:
        assert refused is not None


@pytest.mark.parametrize("principal", [READER, Principal("the-report", ("report",))], ids=["person", "report"])
def test_others_send_none_of_them(principal: Principal) -> None:
    for command in (DraftPost("post_2", "prsn_eve", "T", "B"), *OF_A_POST):
        assert forbid(principal, command, NOW) is not None
