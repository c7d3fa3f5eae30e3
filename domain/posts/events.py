"""The facts of posts. Texts are by people: sealed with the author's key."""

from __future__ import annotations

from domain.kernel import Event, Personal


class PostDrafted(Event, frozen=True):
    author: str
    title: Personal
    body: Personal


class PostRevised(Event, frozen=True):
    """Revision `revision` (the draft is 1) replaces the text; earlier ones stay readable in the stream."""

    author: str
    revision: int
    title: Personal
    body: Personal
    summary: Personal | None


class PostPublished(Event, frozen=True):
    slug: str


class PostArchived(Event, frozen=True):
    pass


class PostDeleted(Event, frozen=True):
    author: str
    reason: Personal


class PostRestored(Event, frozen=True):
    pass
