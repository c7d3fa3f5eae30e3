"""The facts of posts. Texts are by people: sealed with the author's key."""

from __future__ import annotations

from dataclasses import dataclass

from domain.kernel import Event, Personal


@dataclass(frozen=True, slots=True)
class PostDrafted(Event):
    author: str
    title: Personal
    body: Personal


@dataclass(frozen=True, slots=True)
class PostRevised(Event):
    """Revision `revision` (the draft is 1) replaces the text; earlier ones stay readable in the stream."""

    author: str
    revision: int
    title: Personal
    body: Personal
    summary: Personal | None


@dataclass(frozen=True, slots=True)
class PostPublished(Event):
    slug: str


@dataclass(frozen=True, slots=True)
class PostArchived(Event):
    pass


@dataclass(frozen=True, slots=True)
class PostDeleted(Event):
    author: str
    reason: Personal


@dataclass(frozen=True, slots=True)
class PostRestored(Event):
    pass
