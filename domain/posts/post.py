"""The post: what its stream folds to, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from msgspec.structs import replace

from domain.kernel import Personal, Refused, State, Value
from domain.posts.events import (
    PostArchived,
    PostDeleted,
    PostDrafted,
    PostPublished,
    PostRestored,
    PostRevised,
)

Status = Literal["draft", "published", "archived", "deleted"]

PostEvent = PostDrafted | PostRevised | PostPublished | PostArchived | PostDeleted | PostRestored


class Post(Value, frozen=True):
    """A post at a version of its stream."""

    version: int
    id: str
    author: str  # whose key seals its texts
    title: Personal
    body: Personal
    revision: int  # of the text; the draft is 1
    status: Status
    slug: str | None = None  # held since it was last published, whatever its status
    before_deletion: Status | None = None  # what a restore brings back; None unless it is deleted

    def refuse_unless(self, verb: str, *required: Status) -> Refused | None:
        """Why it cannot be published, archived or restored as it stands."""
        return None if self.status in required else self._refuse(verb, " or ".join(required))

    def refuse_deleted(self, verb: str) -> Refused | None:
        """Why it cannot be revised or deleted: only because it is deleted."""
        return self._refuse(verb, "not deleted") if self.status == "deleted" else None

    def _refuse(self, verb: str, required: str) -> Refused:
        return Refused("post_status", {"post": self.id, "status": self.status, "required": required, "verb": verb})


def evolve(state: Post | None, event: PostEvent) -> Post:
    """The post after the event. Raises ValueError for a stream that does not begin with its draft."""
    version = event.originator_version
    if isinstance(event, PostDrafted):
        return Post(version, event.originator_id, event.author, event.title, event.body, 1, "draft")
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with PostDrafted")
    match event:
        case PostRevised():
            return replace(state, version=version, title=event.title, body=event.body, revision=event.revision)
        case PostPublished():
            return replace(state, version=version, status="published", slug=event.slug)
        case PostArchived():
            return replace(state, version=version, status="archived")
        case PostDeleted():
            return replace(state, version=version, status="deleted", before_deletion=state.status)
        case PostRestored():
            if state.before_deletion is None:
                raise ValueError(f"{state.id} is {state.status}; only a deleted post can have been restored")
            return replace(state, version=version, status=state.before_deletion, before_deletion=None)


EVOLVE: dict[type, Callable[[Any, Any], State]] = dict.fromkeys(get_args(PostEvent), evolve)
