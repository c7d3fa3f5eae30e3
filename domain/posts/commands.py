"""What clients may ask of posts. Ids are drawn before deciding; texts are by people and never leave unsealed."""

from __future__ import annotations

from dataclasses import dataclass

from domain.kernel import Personal
from domain.posts.slugs import slug_claim


@dataclass(frozen=True, slots=True)
class _OnOnePost:
    post: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.post,)


@dataclass(frozen=True, slots=True)
class DraftPost(_OnOnePost):
    author: str
    title: Personal
    body: Personal


@dataclass(frozen=True, slots=True)
class RevisePost(_OnOnePost):
    """Replace the text; `summary` says what changed."""

    title: Personal
    body: Personal
    summary: Personal | None = None


@dataclass(frozen=True, slots=True)
class PublishPost:
    """Show the post under a slug that no other post has."""

    post: str
    slug: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.post, slug_claim(self.slug))


@dataclass(frozen=True, slots=True)
class ArchivePost(_OnOnePost):
    pass


@dataclass(frozen=True, slots=True)
class DeletePost(_OnOnePost):
    reason: Personal


@dataclass(frozen=True, slots=True)
class RestorePost(_OnOnePost):
    pass


PostCommand = DraftPost | RevisePost | PublishPost | ArchivePost | DeletePost | RestorePost
