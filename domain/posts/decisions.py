"""What becomes of each command on posts: one function a command, pure, ending in events or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from domain.claims import Claim, release, take
from domain.kernel import Accepted, Context, Decision, Event, NeedsStreams, Refused, States, Unknown, found
from domain.posts import commands as c
from domain.posts.events import (
    PostArchived,
    PostDeleted,
    PostDrafted,
    PostPublished,
    PostRestored,
    PostRevised,
)
from domain.posts.post import Post
from domain.posts.slugs import MOST_CHARACTERS, is_slug, slug_claim


def draft(command: c.DraftPost, states: States, context: Context) -> Decision:
    if states[command.post] is not None:
        return Refused("post_exists", {"post": command.post})
    event = PostDrafted(command.post, 1, command.author, command.title, command.body)
    return Accepted((event,), {"post": command.post, "status": "draft", "revision": 1})


def revise(command: c.RevisePost, states: States, context: Context) -> Decision:
    post = found(states, command.post, Post)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_deleted("revised")
    if refusal is not None:
        return refusal
    if (command.title, command.body) == (post.title, post.body):
        return Refused("post_unchanged", {"post": command.post, "revision": post.revision})
    revision = post.revision + 1
    event = PostRevised(
        command.post, post.version + 1, post.author, revision, command.title, command.body, command.summary
    )
    return Accepted((event,), {"post": command.post, "status": post.status, "revision": revision})


def publish(command: c.PublishPost, states: States, context: Context) -> Decision:
    post = found(states, command.post, Post)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_unless("published", "draft", "archived")
    if refusal is not None:
        return refusal
    if not is_slug(command.slug):
        return Refused("slug_malformed", {"slug": command.slug, "most": MOST_CHARACTERS})
    published = PostPublished(command.post, post.version + 1, command.slug)
    result = {"post": command.post, "status": "published", "slug": command.slug}
    if post.slug == command.slug:
        return Accepted((published,), result)

    events: list[Event] = [published]
    claim = slug_claim(command.slug)
    held = cast(Claim | None, states[claim])
    taken = take(held, claim, command.post)
    if taken is None:
        return Refused("slug_taken", {"slug": command.slug, "holder": cast(Claim, held).holder})
    events.append(taken)
    if post.slug is not None:
        former = slug_claim(post.slug)
        if former not in states:
            return NeedsStreams((former,))
        events.append(release(cast(Claim, states[former])))
    return Accepted(tuple(events), result)


def archive(command: c.ArchivePost, states: States, context: Context) -> Decision:
    post = found(states, command.post, Post)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_unless("archived", "published")
    if refusal is not None:
        return refusal
    event = PostArchived(command.post, post.version + 1)
    return Accepted((event,), {"post": command.post, "status": "archived"})


def delete(command: c.DeletePost, states: States, context: Context) -> Decision:
    """The slug stays claimed, so that its address means this post or nothing for as long as it can be restored."""
    post = found(states, command.post, Post)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_deleted("deleted")
    if refusal is not None:
        return refusal
    event = PostDeleted(command.post, post.version + 1, post.author, command.reason)
    return Accepted((event,), {"post": command.post, "status": "deleted"})


def restore(command: c.RestorePost, states: States, context: Context) -> Decision:
    post = found(states, command.post, Post)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_unless("restored", "deleted")
    if refusal is not None:
        return refusal
    event = PostRestored(command.post, post.version + 1)
    return Accepted((event,), {"post": command.post, "status": post.before_deletion})


DECISIONS: dict[type, Callable[[Any, States, Context], Decision]] = {
    c.DraftPost: draft,
    c.RevisePost: revise,
    c.PublishPost: publish,
    c.ArchivePost: archive,
    c.DeletePost: delete,
    c.RestorePost: restore,
}
