"""Posts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict, StringConstraints
from starlette.responses import Response

from api.commands.bodies import Body, Description, Nothing, Reason, Subject, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.access_log import personal
from api.gateway.documented import READ_LIST, READ_ONE
from api.gateway.problems import Problem
from api.queries.positions import read_cursor
from api.queries.reading import (
    DEFAULT_LIMIT,
    After,
    Cursor,
    Filter,
    Limit,
    PathId,
    one,
    one_that_passes,
    page,
    reading,
    visible,
)
from domain.posts.post import POST, ArchivePost, DeletePost, DraftPost, PublishPost, RestorePost, RevisePost
from projections.engine.listing import Listed
from projections.posts import posts as queries
from projections.posts.posts import PostRow, RevisionRow

router = APIRouter(prefix="/v1/posts", tags=["posts"])


class DraftBody(Body):
    """Draft a post."""

    model_config = example(author="author-1", title="On ledgers", body="Facts are written down once, in order.")

    author: Subject
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    body: Annotated[str, StringConstraints(max_length=100_000)]


class RevisionBody(Body):
    """Replace the text of a post."""

    model_config = example(title="On ledgers", body="Facts are written down once.", summary="Shorter")

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    body: Annotated[str, StringConstraints(max_length=100_000)]
    summary: Description | None = None


class SlugBody(Body):
    """Publish under a slug."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"slug": "on-ledgers"}]})

    slug: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


def post_view(row: PostRow) -> dict[str, Any]:
    return {
        "post": row.post,
        "author": row.author,
        "status": row.status,
        "slug": row.slug,
        "title": row.title,
        "body": row.body,
        "text_erased": row.text_erased,
        "revision": row.revision,
        "reason": row.reason,
        "published_at": row.published_at,
        "drafted_at": row.drafted_at,
        "version": row.version,
        "position": row.position,
    }


def revision_view(row: RevisionRow) -> dict[str, Any]:
    return {
        "revision": row.revision,
        "title": row.title,
        "body": row.body,
        "summary": row.summary,
        "text_erased": row.text_erased,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


@command(router, "")
def draft(caller: Caller, body: DraftBody) -> Intent:
    """Draft a post."""
    return Intent(DraftPost(caller.services.new_id(POST), body.author, body.title, body.body), created="post")


@command(router, "/{post}/revisions")
def revise(caller: Caller, post: PathId, body: RevisionBody) -> Intent:
    """Replace the text; the earlier ones stay readable."""
    return Intent(RevisePost(post, body.title, body.body, body.summary), post)


@command(router, "/{post}/publish", status=200)
def publish(caller: Caller, post: PathId, body: SlugBody) -> Intent:
    """Publish under a slug that no other post has."""
    return Intent(PublishPost(post, body.slug), post)


@command(router, "/{post}/archive", status=200)
def archive(caller: Caller, post: PathId, body: Nothing) -> Intent:
    """Take a published post down."""
    return Intent(ArchivePost(post), post)


@command(router, "/{post}/delete", status=200)
def delete(caller: Caller, post: PathId, body: Reason) -> Intent:
    """Delete a post: lists and its slug lead to it no more. It can be restored."""
    return Intent(DeletePost(post, body.reason), post)


@command(router, "/{post}/restore", status=200)
def restore(caller: Caller, post: PathId, body: Nothing) -> Intent:
    """Bring a deleted post back as it was."""
    return Intent(RestorePost(post), post)


@router.get("", responses=READ_LIST, dependencies=[visible("posts")])
@personal
def list_posts(
    request: Request,
    author: Filter = None,
    status: Filter = None,
    slug: Filter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """Posts in the order in which they were drafted.

    Deleted ones are left out unless `status` is `deleted`; no slug leads to one.
    """
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        if slug is not None:
            found = queries.post_by_slug(connection, slug)
            return page(Listed(one_that_passes(found, {"author": author, "status": status}), None), post_view)
        listed = queries.posts(connection, author=author, status=status, after=after, cursor=key, limit=limit)
    return page(listed, post_view)


@router.get("/{post}", responses=READ_ONE, dependencies=[visible("posts")])
@personal
def get_post(request: Request, post: PathId) -> Response:
    """One post by its id, deleted or not: whoever decides whether to restore it reads it here."""
    with reading(request) as connection:
        return one("post", post, queries.post(connection, post), post_view)


@router.get("/{post}/revisions", responses=READ_ONE, dependencies=[visible("posts")])
@personal
def list_revisions(
    request: Request,
    post: PathId,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """The texts of a post, oldest first; also those of a deleted post."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.revisions(connection, post, after=after, cursor=key, limit=limit)
        if not listed.items and queries.post(connection, post) is None:
            raise Problem("unknown", f"There is no post {post}.", kind="post", id=post)
    return page(listed, revision_view)
