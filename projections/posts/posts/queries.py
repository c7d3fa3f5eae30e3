"""Reading posts and their revisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import and_, bindparam, case, column, literal_column, select, table

from projections.engine.listing import Listed, Listing


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


_NAMES = (
    "post author status slug title body text_erased revision deleted reason reason_erased published_at version "
    "position drafted_at last_position last_at"
).split()
_T = table("posts", *(column(name) for name in _NAMES), schema="read").c
_R_NAMES = "post revision title body summary text_erased position recorded_at".split()
_R = table("post_revisions", *(column(name) for name in _R_NAMES), schema="read").c

_STATUS = case((_T.deleted, literal_column("'deleted'")), else_=_T.status).label("status")
POSTS: Listing[PostRow] = Listing(
    select(*(_STATUS if name == "status" else _T[name] for name in _NAMES)).order_by(_T.post),
    {
        "post": _T.post == bindparam("post"),
        "after": _T.post > bindparam("after"),
        "author": _T.author == bindparam("author"),
        "slug": and_(_T.slug == bindparam("slug"), ~_T.deleted),
        "status": and_(_T.status == bindparam("status"), ~_T.deleted),
        "deleted": _T.deleted,
        "not_deleted": ~_T.deleted,
    },
    PostRow,
)

REVISIONS: Listing[RevisionRow] = Listing(
    select(*(_R[name] for name in _R_NAMES)).order_by(_R.revision),
    {
        "post": _R.post == bindparam("post"),
        "after": _R.revision > bindparam("after"),
        "revision": _R.revision == bindparam("revision"),
    },
    RevisionRow,
)


def post(connection: Connection[Any], post: str) -> PostRow | None:
    """One post by its id, deleted or not."""
    return _one(connection, post=post)


def post_by_slug(connection: Connection[Any], slug: str) -> PostRow | None:
    """The post at this address. A deleted post keeps its slug and is at no address until it is restored."""
    return _one(connection, slug=slug)


def posts(
    connection: Connection[Any],
    *,
    author: str | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Listed[PostRow, str]:
    """Posts in order of their ids, so oldest first; `after` is an id. Deleted ones only with the status `deleted`."""
    filters: dict[str, Any] = {"author": author, "after": after}
    if status == "deleted":
        filters["deleted"] = True
    elif status is None:
        filters["not_deleted"] = True
    else:
        filters["status"] = status
    return POSTS.read(connection, filters, limit, key=lambda row: row.post)


def revisions(
    connection: Connection[Any], post: str, *, after: int | None = None, limit: int = 100
) -> Listed[RevisionRow, int]:
    """The texts of a post, oldest first; `after` is a revision's number."""
    return REVISIONS.read(connection, {"post": post, "after": after}, limit, key=lambda row: row.revision)


def revision(connection: Connection[Any], post: str, revision: int) -> RevisionRow | None:
    """One text of a post."""
    found = REVISIONS.read(connection, {"post": post, "revision": revision}, 1, key=lambda row: row.revision)
    return found.items[0] if found.items else None


def _one(connection: Connection[Any], **key: str) -> PostRow | None:
    found = POSTS.read(connection, key, 1, key=lambda row: row.post)
    return found.items[0] if found.items else None
