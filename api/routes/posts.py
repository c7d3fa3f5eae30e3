"""Posts."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import bodies
from api.documented import COMMAND, READ_LIST, READ_ONE
from api.execution import execute
from api.positions import read_cursor
from api.problems import Problem
from api.reading import DEFAULT_LIMIT, Cursor, Filter, Limit, MinPosition, PathId, one, one_that_passes, page, reading
from api.services import services
from api.views import post_view, revision_view
from domain.ids import POST
from domain.posts.commands import ArchivePost, DeletePost, DraftPost, PublishPost, RestorePost, RevisePost
from projections.composed import Listed
from projections.posts import queries

router = APIRouter(prefix="/v1/posts", tags=["posts"])


@router.post("", status_code=201, responses=COMMAND)
async def draft(request: Request, body: bodies.DraftBody) -> Response:
    """Draft a post."""
    post = services(request).new_id(POST)
    command = DraftPost(post, body.author, body.title, body.body)
    return await execute(request, command, created="post", expected=body.expected_versions)


@router.post("/{post}/revisions", status_code=201, responses=COMMAND)
async def revise(request: Request, post: PathId, body: bodies.RevisionBody) -> Response:
    """Replace the text; the earlier ones stay readable."""
    command = RevisePost(post, body.title, body.body, body.summary)
    return await execute(request, command, stream=post, expected=body.expected_versions)


@router.post("/{post}/publish", responses=COMMAND)
async def publish(request: Request, post: PathId, body: bodies.SlugBody) -> Response:
    """Publish under a slug that no other post has."""
    command = PublishPost(post, body.slug)
    return await execute(request, command, stream=post, expected=body.expected_versions, status=200)


@router.post("/{post}/archive", responses=COMMAND)
async def archive(request: Request, post: PathId, body: bodies.Nothing) -> Response:
    """Take a published post down."""
    return await execute(request, ArchivePost(post), stream=post, expected=body.expected_versions, status=200)


@router.post("/{post}/delete", responses=COMMAND)
async def delete(request: Request, post: PathId, body: bodies.Reason) -> Response:
    """Delete a post; it can be restored."""
    command = DeletePost(post, body.reason)
    return await execute(request, command, stream=post, expected=body.expected_versions, status=200)


@router.post("/{post}/restore", responses=COMMAND)
async def restore(request: Request, post: PathId, body: bodies.Nothing) -> Response:
    """Bring a deleted post back as it was."""
    return await execute(request, RestorePost(post), stream=post, expected=body.expected_versions, status=200)


@router.get("", responses=READ_LIST)
def list_posts(
    request: Request,
    author: Filter = None,
    status: Filter = None,
    slug: Filter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    min_position: MinPosition = None,
) -> Response:
    """Posts, oldest first."""
    after = read_cursor(cursor, str)
    with reading(request, ["posts"], min_position) as connection:
        if slug is not None:
            found = queries.post_by_slug(connection, slug)
            return page(Listed(one_that_passes(found, {"author": author, "status": status}), None), post_view)
        return page(queries.posts(connection, author=author, status=status, after=after, limit=limit), post_view)


@router.get("/{post}", responses=READ_ONE)
def get_post(request: Request, post: PathId, min_position: MinPosition = None) -> Response:
    """One post, deleted or not."""
    with reading(request, ["posts"], min_position) as connection:
        return one("post", post, queries.post(connection, post), post_view)


@router.get("/{post}/revisions", responses=READ_ONE)
def list_revisions(
    request: Request,
    post: PathId,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    min_position: MinPosition = None,
) -> Response:
    """The texts of a post, oldest first."""
    after = read_cursor(cursor, int)
    with reading(request, ["posts"], min_position) as connection:
        listed = queries.revisions(connection, post, after=after, limit=limit)
        if not listed.items and queries.post(connection, post) is None:
            raise Problem("unknown", f"There is no post {post}.", kind="post", id=post)
    return page(listed, revision_view)
