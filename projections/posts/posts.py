"""Posts as they are now, and every revision of their texts. Deleted posts stay, with the reason of their deletion.

Tables, fold, reporting views, queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import and_, bindparam, case, literal_column, or_

from domain.posts.post import (
    PostArchived,
    PostDeleted,
    PostDrafted,
    PostPublished,
    PostRestored,
    PostRevised,
    PostScheduled,
    PostUnscheduled,
)
from projections.engine.columns import code, erasure, flag, free_text, index, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.erasure import PersonalText
from projections.engine.listing import EVERYTHING, PERSON, Listed, Listing, Reader, Visible, readable
from projections.engine.reporting import Shown, View, last_position, shown
from projections.engine.rows import erasable
from projections.engine.writing import Row

# Tables.

TABLE = read_table(
    "posts",
    "One row a post, as it is now; deleted ones too.",
    code("post", "Public id; also the name of its stream in the log.", key=True),
    code("author", "Who wrote it."),
    code("status", "draft, published or archived; of a deleted post what it would be if it were restored."),
    code("slug", "Its address since it was last published.", optional=True),
    free_text("title", "Title of the present revision. NULL once the author was erased.", optional=True),
    free_text("body", "Text of the present revision. NULL once the author was erased.", optional=True),
    number("revision", "Number of the present revision; the draft is 1.", bits=32),
    flag("text_erased", "Whether title and text are gone with their author's key."),
    flag("deleted", "Whether it is deleted; it can be restored."),
    free_text("reason", "Why it was deleted. NULL if it is not, and once the author was erased.", optional=True),
    flag("reason_erased", "Whether the reason is gone with the author's key."),
    moment("published_at", "When it was last published, UTC.", optional=True),
    moment("publish_at", "When it will be published, UTC. NULL if it is not scheduled.", optional=True),
    code("scheduled_slug", "Under which slug it will be published. NULL if it is not scheduled.", optional=True),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its draft."),
    moment("drafted_at", "When it was drafted, UTC."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("posts_in_order", "position", where="NOT deleted"),
    index("posts_deleted_in_order", "position", where="deleted"),
    index("posts_of_author", "author", "position"),
    index("posts_in_status", "status", "position", where="NOT deleted"),
    # Not unique: within a page one post may take the slug that another gives back. A claim in the log keeps it unique.
    index("posts_by_slug", "slug", where="slug IS NOT NULL"),
    personal=PersonalText(
        "author",
        {"title": "text_erased", "body": "text_erased", "reason": "reason_erased"},
    ),
)

REVISIONS = read_table(
    "post_revisions",
    "One row a revision of a post. A row only loses its text, once the author was erased.",
    code("post", "The post.", key=True),
    number("revision", "Its number; the draft is 1.", key=True, bits=32),
    free_text("title", "NULL once the author was erased.", optional=True),
    free_text("body", "NULL once the author was erased.", optional=True),
    free_text(
        "summary", "What was changed. NULL if the author did not say, and once the author was erased.", optional=True
    ),
    flag("text_erased", "Whether its texts are gone with their author's key."),
    number("position", "Position in the log."),
    moment("recorded_at", "When it was recorded, UTC."),
    erasure(),
    personal=PersonalText(
        "author", {"title": "text_erased", "body": "text_erased", "summary": "text_erased"}, of=TABLE
    ),
)

# Fold.


def drafted(row: Row, event: PostDrafted) -> Row:
    """A new post."""
    title, erased = erasable(event.title)
    return {
        **row,
        "author": event.author,
        "status": "draft",
        "title": title,
        "body": erasable(event.body)[0],
        "revision": 1,
        "text_erased": erased,
        "deleted": False,
        "reason_erased": False,
        "position": row["last_position"],
        "drafted_at": row["last_at"],
    }


def revised(row: Row, event: PostRevised) -> Row:
    """Another text."""
    title, erased = erasable(event.title)  # title and body share one key
    body = erasable(event.body)[0]
    return {**row, "title": title, "body": body, "revision": event.revision, "text_erased": erased}


def published(row: Row, event: PostPublished) -> Row:
    """It has an address now."""
    return {**row, "status": "published", "slug": event.slug, "published_at": row["last_at"], **_NOT_SCHEDULED}


def archived(row: Row, event: PostArchived) -> Row:
    """It was taken down."""
    return {**row, "status": "archived"}


def deleted(row: Row, event: PostDeleted) -> Row:
    """Lists leave it out. Its status stays, for a restore."""
    reason, erased = erasable(event.reason)
    return {**row, "deleted": True, "reason": reason, "reason_erased": erased, **_NOT_SCHEDULED}


def restored(row: Row, event: PostRestored) -> Row:
    """It is back as it was."""
    return {**row, "deleted": False, "reason": None, "reason_erased": False}


def scheduled(row: Row, event: PostScheduled) -> Row:
    """It will be published at a time."""
    return {**row, "publish_at": event.publish_at.isoformat(), "scheduled_slug": event.slug}


def unscheduled(row: Row, event: PostUnscheduled) -> Row:
    """It will not."""
    return {**row, **_NOT_SCHEDULED}


_NOT_SCHEDULED: Row = {"publish_at": None, "scheduled_slug": None}


def revision_of(row: Row, event: PostDrafted | PostRevised) -> list[tuple[Any, ...]]:
    """The text of a post after this event."""
    summary = erasable(event.summary)[0] if isinstance(event, PostRevised) else None
    text = row["title"], row["body"], summary, row["text_erased"]
    return [(event.originator_id, row["revision"], *text, row["last_position"], row["last_at"], None)]


FOLD = RowFold(
    TABLE,
    starts={PostDrafted: drafted},
    changes={
        PostRevised: revised,
        PostPublished: published,
        PostArchived: archived,
        PostDeleted: deleted,
        PostRestored: restored,
        PostScheduled: scheduled,
        PostUnscheduled: unscheduled,
    },
)

# Reporting views.

POSTS_VIEW = View(
    TABLE,
    "One row a post, as it is now; deleted ones too.",
    (
        "post",
        "author",
        Shown(
            "status",
            "draft, published, archived or deleted.",
            "CASE WHEN t.deleted THEN 'deleted' ELSE t.status END",
        ),
        "slug",
        "title",
        "body",
        "revision",
        "text_erased",
        "deleted",
        shown(TABLE.c.reason, "delete_reason"),
        "published_at",
        "version",
        "position",
        "drafted_at",
        "last_position",
        "last_at",
        "publish_at",
        "scheduled_slug",
    ),
)

REVISIONS_VIEW = View(
    REVISIONS,
    "One row a revision of a post.",
    (
        "post",
        "revision",
        "title",
        "body",
        "summary",
        "text_erased",
        "position",
        "recorded_at",
        last_position("coalesce(t.erasure, t.position)"),
    ),
)

POSTS = declared(
    "posts",
    FOLD,
    area="posts",
    details={REVISIONS: {PostDrafted: revision_of, PostRevised: revision_of}},
    reports=(POSTS_VIEW, REVISIONS_VIEW),
    obsolete_indexes=("posts_by_author", "posts_by_status", "posts_deleted"),
)

# Queries.


@dataclass(frozen=True, slots=True)
class PostRow:
    """A post as it is now."""

    post: str
    author: str
    status: str  # draft, published, archived or deleted
    slug: str | None
    title: str | None  # None: erased
    body: str | None  # None: erased
    text_erased: bool
    revision: int
    deleted: bool
    reason: str | None  # why it was deleted
    reason_erased: bool
    published_at: datetime | None
    publish_at: datetime | None
    scheduled_slug: str | None
    version: int
    position: int
    drafted_at: datetime
    last_position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One text of a post."""

    post: str
    revision: int
    title: str | None  # None: erased
    body: str | None  # None: erased
    summary: str | None
    text_erased: bool
    position: int
    recorded_at: datetime


_POSTS = readable(TABLE)
_PUBLISHED = and_(_POSTS.c.status == literal_column("'published'"), ~_POSTS.c.deleted)
POST_LIST = Listing(
    _POSTS,
    PostRow,
    filters=("post", "author"),
    conditions={
        "slug": and_(_POSTS.c.slug == bindparam("slug"), ~_POSTS.c.deleted),
        "status": and_(_POSTS.c.status == bindparam("status"), ~_POSTS.c.deleted),
        "deleted": _POSTS.c.deleted,
        "not_deleted": ~_POSTS.c.deleted,
    },
    shown={"status": case((_POSTS.c.deleted, literal_column("'deleted'")), else_=_POSTS.c.status)},
    visible=Visible(or_(_POSTS.c.author == bindparam(PERSON), _PUBLISHED)),
)

REVISION_LIST = Listing(readable(REVISIONS), RevisionRow, key="revision", filters=("post", "revision"))


def post(connection: Connection[Any], post: str, reader: Reader = EVERYTHING) -> PostRow | None:
    """One post by its id, deleted or not."""
    return POST_LIST.one(connection, reader=reader, post=post)


def post_by_slug(connection: Connection[Any], slug: str, reader: Reader = EVERYTHING) -> PostRow | None:
    """The post at this address. A deleted post keeps its slug and is at no address until it is restored."""
    return POST_LIST.one(connection, reader=reader, slug=slug)


def posts(
    connection: Connection[Any],
    *,
    author: str | None = None,
    status: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
    reader: Reader = EVERYTHING,
) -> Listed[PostRow, int]:
    """Posts in the order in which they were drafted; `after` and `cursor` are positions.

    Deleted posts are left out unless `status` is `deleted`. An author sees their own, and all that are published.
    """
    filters: dict[str, Any] = {"author": author, "after": after}
    if status == "deleted":
        filters["deleted"] = True
    elif status is None:
        filters["not_deleted"] = True
    else:
        filters["status"] = status
    return POST_LIST.read(connection, filters, limit, cursor=cursor, reader=reader)


def revisions(
    connection: Connection[Any], post: str, *, after: int | None = None, cursor: int | None = None, limit: int = 100
) -> Listed[RevisionRow, int]:
    """The texts of a post, oldest first; `after` is a position, `cursor` a revision's number."""
    return REVISION_LIST.read(connection, {"post": post, "after": after}, limit, cursor=cursor)


def revision(connection: Connection[Any], post: str, revision: int) -> RevisionRow | None:
    """One text of a post."""
    return REVISION_LIST.one(connection, post=post, revision=revision)
