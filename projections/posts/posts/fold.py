"""How events become rows of `posts` and `post_revisions`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.posts.post import PostArchived, PostDeleted, PostDrafted, PostPublished, PostRestored, PostRevised
from eventstore.postgres.arrays import bool_array, int4_array, int8_array, text_array
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.rows import NULL, copy_rows, copy_text, erasable


@dataclass(slots=True)
class Change:
    """What some events do to one post. What is None stays as it was."""

    position: int  # of the last of them
    at: str
    version: int
    drafted: RecordedEvent | None = None  # the post is new
    text: PostDrafted | PostRevised | None = None  # the last of its texts
    status: str | None = None
    slug: str | None = None
    published_at: str | None = None
    deleted: bool | None = None  # with it the reason is set
    reason: str | None = None
    reason_erased: bool = False


def fold(events: Iterable[RecordedEvent]) -> tuple[dict[str, Change], list[str]]:
    """What the facts do to each post, and the rows of new revisions."""
    changes: dict[str, Change] = {}
    revisions: list[str] = []
    for recorded in events:
        position, at, event = recorded
        change = changes.setdefault(event.originator_id, Change(position, at, 0))
        change.position, change.at, change.version = position, at, event.originator_version
        match event:
            case PostDrafted():
                change.drafted, change.text, change.status, change.deleted = recorded, event, "draft", False
                revisions.append(_revision(recorded))
            case PostRevised():
                change.text = event
                revisions.append(_revision(recorded))
            case PostPublished():
                change.status, change.slug, change.published_at = "published", event.slug, at
            case PostArchived():
                change.status = "archived"
            case PostDeleted():
                change.deleted = True
                change.reason, change.reason_erased = erasable(event.reason)
            case PostRestored():
                change.deleted, change.reason, change.reason_erased = False, None, False
            case _:
                raise FoldError(f"{type(event).__name__} is none of its events")
    return changes, revisions


def write(connection: Connection[Any], folded: tuple[Mapping[str, Change], Sequence[str]], cache: FoldCache) -> None:
    """Apply the changes. Raises `FoldError` for events of a post that was never drafted."""
    changes, revisions = folded
    copy_rows(connection, _REVISIONS, revisions)
    copy_rows(connection, _POSTS, [_line(change, change.drafted) for change in changes.values() if change.drafted])
    changed = {post: change for post, change in changes.items() if change.drafted is None}
    if changed:
        _update(connection, changed)


_REVISIONS = "post_revisions (post, revision, title, body, summary, text_erased, position, recorded_at)"
_POSTS = (
    "posts (post, author, position, drafted_at, revision, title, body, text_erased, status, slug, published_at,"
    " deleted, reason, reason_erased, version, last_position, last_at)"
)

_UPDATE = """
UPDATE posts p
   SET version = c.version, last_position = c.position, last_at = c.at::timestamptz,
       status = coalesce(c.status, p.status), slug = coalesce(c.slug, p.slug),
       published_at = coalesce(c.published_at::timestamptz, p.published_at),
       deleted = coalesce(c.deleted::boolean, p.deleted),
       reason = CASE WHEN c.deleted IS NULL THEN p.reason ELSE c.reason END,
       reason_erased = CASE WHEN c.deleted IS NULL THEN p.reason_erased ELSE c.reason_erased END
  FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
              %s::text[], %s::boolean[])
       AS c(post, version, position, at, status, slug, published_at, deleted, reason, reason_erased)
 WHERE p.post = c.post
"""

_SET_TEXT = """
UPDATE posts p SET revision = c.revision, title = c.title, body = c.body, text_erased = c.erased
  FROM unnest(%s::text[], %s::integer[], %s::text[], %s::text[], %s::boolean[])
       AS c(post, revision, title, body, erased)
 WHERE p.post = c.post
"""


def _update(connection: Connection[Any], changes: Mapping[str, Change]) -> None:
    rows = changes.values()
    updated = connection.execute(
        _UPDATE,
        (
            text_array(list(changes)),
            int8_array([change.version for change in rows]),
            int8_array([change.position for change in rows]),
            text_array([change.at for change in rows]),
            text_array([change.status for change in rows]),
            text_array([change.slug for change in rows]),
            text_array([change.published_at for change in rows]),
            text_array([None if change.deleted is None else str(change.deleted) for change in rows]),
            text_array([change.reason for change in rows]),
            bool_array([change.reason_erased for change in rows]),
        ),
    ).rowcount
    if updated != len(changes):
        raise FoldError(f"{len(changes) - updated} of {len(changes)} posts were never drafted")
    texts = {post: _text(change.text) for post, change in changes.items() if change.text is not None}
    if texts:
        revisions, titles, bodies, erased = zip(*texts.values(), strict=True)
        connection.execute(
            _SET_TEXT,
            (
                text_array(list(texts)),
                int4_array(revisions),
                text_array(titles),
                text_array(bodies),
                bool_array(erased),
            ),
        )


def _text(event: PostDrafted | PostRevised) -> tuple[int, str | None, str | None, bool]:
    """Revision, title, body, whether they are erased: they share one key."""
    title, erased = erasable(event.title)
    return event.revision if isinstance(event, PostRevised) else 1, title, erasable(event.body)[0], erased


def _revision(recorded: RecordedEvent) -> str:
    event = recorded.event
    revision, title, body, erased = _text(event)
    summary = erasable(event.summary)[0] if isinstance(event, PostRevised) else None
    return (
        f"{copy_text(event.originator_id)}\t{revision}\t{copy_text(title)}\t{copy_text(body)}\t{copy_text(summary)}\t"
        f"{'t' if erased else 'f'}\t{recorded.position}\t{recorded.recorded_at}"
    )


def _line(change: Change, drafted: RecordedEvent) -> str:
    assert change.text is not None, "a draft is a text"
    revision, title, body, erased = _text(change.text)
    return "\t".join(
        (
            copy_text(drafted.event.originator_id),
            copy_text(drafted.event.author),
            str(drafted.position),
            drafted.recorded_at,
            str(revision),
            copy_text(title),
            copy_text(body),
            "t" if erased else "f",
            copy_text(change.status),
            copy_text(change.slug),
            change.published_at or NULL,
            "t" if change.deleted else "f",
            copy_text(change.reason),
            "t" if change.reason_erased else "f",
            str(change.version),
            str(change.position),
            change.at,
        )
    )


POSTS = Projection(
    name="posts",
    events=(PostDrafted, PostRevised, PostPublished, PostArchived, PostDeleted, PostRestored),
    tables=("posts", "post_revisions"),
    fold=fold,
    write=write,
    folder=Path(__file__).parent,
)
