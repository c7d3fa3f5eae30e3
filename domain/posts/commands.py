"""What clients may ask of posts. Ids are drawn before deciding; texts are by people and never leave unsealed."""

from __future__ import annotations

from domain.kernel import Personal, Value
from domain.posts.slugs import slug_claim


class _OnOnePost(Value, frozen=True):
    post: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.post,)


class DraftPost(_OnOnePost, frozen=True):
    author: str
    title: Personal
    body: Personal


class RevisePost(_OnOnePost, frozen=True):
    """Replace the text; `summary` says what changed."""

    title: Personal
    body: Personal
    summary: Personal | None = None


class PublishPost(Value, frozen=True):
    """Show the post under a slug that no other post has."""

    post: str
    slug: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.post, slug_claim(self.slug))


class ArchivePost(_OnOnePost, frozen=True):
    pass


class DeletePost(_OnOnePost, frozen=True):
    reason: Personal


class RestorePost(_OnOnePost, frozen=True):
    pass


PostCommand = DraftPost | RevisePost | PublishPost | ArchivePost | DeletePost | RestorePost
