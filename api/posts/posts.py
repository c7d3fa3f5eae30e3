"""The routes of posts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field, StringConstraints
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, Description, Instant, Nothing, Reason, Subject, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.gateway.problems import Problem
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
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
)
from api.queries.response_types import Erasable, LogPosition, StreamVersion, one_of, page_of, values_of
from api.services import services
from domain.kernel import Principal
from domain.permissions import AUTHORS, MODERATORS, STAFF, may
from domain.posts.post import (
    MOST_AHEAD,
    POST,
    ArchivePost,
    DeletePost,
    DraftPost,
    PublishPost,
    RestorePost,
    RevisePost,
    SchedulePost,
    Status,
    UnschedulePost,
)
from projections.engine.listing import EVERYTHING, Listed, Reader
from projections.posts import posts as queries
from projections.posts.posts import PostRow, RevisionRow

router = APIRouter(prefix="/v1/posts", tags=["posts"])

StatusFilter = Annotated[str, choice(values_of(Status))] | None


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


class ScheduleBody(SlugBody):
    """Publish under a slug at a time."""

    model_config = example(slug="on-ledgers", publish_at="2026-12-24T18:00:00Z")

    publish_at: Annotated[Instant, Field(description=f"Not in the past, and at most {MOST_AHEAD.days} days ahead")]


_Status = Annotated[str, one_of(Status)]


class Post(TypedDict):
    """A post as it is now."""

    post: str
    author: str
    status: _Status
    slug: Annotated[str | None, Field(description="The last part of its address, from its first publication on")]
    title: Erasable
    body: Erasable
    text_erased: bool
    revision: Annotated[int, Field(description="Of the text; the draft is 1")]
    reason: Annotated[str | None, Field(description="Why it was deleted")]
    published_at: Annotated[datetime | None, Field(description="When it was last published")]
    publish_at: Annotated[datetime | None, Field(description="When it will be published")]
    scheduled_slug: Annotated[str | None, Field(description="Under which slug it will be published")]
    drafted_at: datetime
    version: StreamVersion
    position: LogPosition


class Revision(TypedDict):
    """One text of a post."""

    revision: Annotated[int, Field(description="The draft is 1")]
    title: Erasable
    body: Erasable
    summary: Annotated[str | None, Field(description="What was changed")]
    text_erased: bool
    recorded_at: datetime
    position: LogPosition


class PostChanged(Accepted):
    """A post that was archived, deleted or restored."""

    post: str
    status: _Status


class PostWritten(PostChanged):
    """A post that was drafted or revised."""

    revision: Annotated[int, Field(description="Of the text; the draft is 1")]


class PostScheduled(PostChanged):
    """A post that will be published at a time."""

    slug: str
    publish_at: datetime


class PostPublished(PostChanged):
    """A post that was published."""

    slug: str


def post_view(row: PostRow) -> Post:
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
        "publish_at": row.publish_at,
        "scheduled_slug": row.scheduled_slug,
        "drafted_at": row.drafted_at,
        "version": row.version,
        "position": row.position,
    }


def revision_view(row: RevisionRow) -> Revision:
    return {
        "revision": row.revision,
        "title": row.title,
        "body": row.body,
        "summary": row.summary,
        "text_erased": row.text_erased,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


@command(router, "", makes=DraftPost, answer=PostWritten)
def draft_post(caller: Caller, body: DraftBody) -> Intent:
    """Draft a post."""
    drafted = DraftPost(post=caller.services.new_id(POST), author=body.author, title=body.title, body=body.body)
    return Intent(drafted, created="post")


@command(router, "/{post}/revisions", makes=RevisePost, answer=PostWritten)
def revise_post(caller: Caller, post: PathId, body: RevisionBody) -> Intent:
    """Replace the text of a post. The earlier texts stay readable."""
    return Intent(RevisePost(post=post, title=body.title, body=body.body, summary=body.summary), post)


@command(router, "/{post}/publish", makes=PublishPost, answer=PostPublished, status=200)
def publish_post(caller: Caller, post: PathId, body: SlugBody) -> Intent:
    """Publish a post under a slug that no other post has."""
    return Intent(PublishPost(post, body.slug), post)


@command(router, "/{post}/schedule", makes=SchedulePost, answer=PostScheduled, status=200)
def schedule_post(caller: Caller, post: PathId, body: ScheduleBody) -> Intent:
    """Publish a post under a slug at a time. This replaces an earlier schedule."""
    return Intent(SchedulePost(post, body.slug, body.publish_at), post)


@command(router, "/{post}/unschedule", makes=UnschedulePost, answer=PostChanged, status=200)
def unschedule_post(caller: Caller, post: PathId, body: Nothing) -> Intent:
    """Do not publish a post at a time any more."""
    return Intent(UnschedulePost(post), post)


@command(router, "/{post}/archive", makes=ArchivePost, answer=PostChanged, status=200)
def archive_post(caller: Caller, post: PathId, body: Nothing) -> Intent:
    """Take a published post down."""
    return Intent(ArchivePost(post), post)


@command(router, "/{post}/delete", makes=DeletePost, answer=PostChanged, status=200)
def delete_post(caller: Caller, post: PathId, body: Reason) -> Intent:
    """Delete a post. Lists no longer show it, and its slug no longer finds it. It can be restored."""
    return Intent(DeletePost(post, body.reason), post)


@command(router, "/{post}/restore", makes=RestorePost, answer=PostChanged, status=200)
def restore_post(caller: Caller, post: PathId, body: Nothing) -> Intent:
    """Bring a deleted post back as it was."""
    return Intent(RestorePost(post), post)


OF_POSTS = READERS | AUTHORS | MODERATORS


def _reader(request: Request) -> Reader:
    """Staff and moderators see every post, an author their own and all that are published."""
    principal: Principal = request.scope["state"]["principal"]
    now = services(request).clock()
    return EVERYTHING if may(principal, STAFF | MODERATORS, now) else Reader(principal.person, now)


@query(router, "", may=OF_POSTS, response=page_of(Post), personal=True, projections=("posts",))
def list_posts(
    request: Request,
    author: Filter = None,
    status: StatusFilter = None,
    slug: Filter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List posts in the order in which they were drafted.

    Deleted posts are left out unless `status` is `deleted`. A slug never finds a deleted post.
    """
    key, reader = read_cursor(cursor, int), _reader(request)
    with reading(request) as connection:
        if slug is not None:
            found = queries.post_by_slug(connection, slug, reader)
            return page(Listed(one_that_passes(found, {"author": author, "status": status}, after), None), post_view)
        listed = queries.posts(
            connection, author=author, status=status, after=after, cursor=key, limit=limit, reader=reader
        )
    return page(listed, post_view)


@query(router, "/{post}", may=OF_POSTS, response=Post, personal=True, projections=("posts",))
def get_post(request: Request, post: PathId) -> Response:
    """Get one post by its id, deleted or not. Here a deleted post can be read before it is restored."""
    with reading(request) as connection:
        return one("post", post, queries.post(connection, post, _reader(request)), post_view)


@query(router, "/{post}/revisions", may=OF_POSTS, response=page_of(Revision), personal=True, projections=("posts",))
def list_revisions(
    request: Request,
    post: PathId,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List the texts of a post, oldest first. This includes those of a deleted post.

    An author sees those of their own posts.
    """
    key, reader = read_cursor(cursor, int), _reader(request)
    with reading(request) as connection:
        if not reader.everything:
            found = queries.post(connection, post, reader)
            if found is None or found.author != reader.person:
                raise Problem("unknown", f"There is no post {post}.", kind="post", id=post)
        listed = queries.revisions(connection, post, after=after, cursor=key, limit=limit)
        if not listed.items and queries.post(connection, post) is None:
            raise Problem("unknown", f"There is no post {post}.", kind="post", id=post)
    return page(listed, revision_view)
