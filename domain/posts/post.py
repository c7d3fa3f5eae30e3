"""The aggregate post: it is drafted, revised, published under a slug, archived, deleted and restored.

The author's key seals the texts of a post.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, cast

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.claims import Claim, ClaimReleased, ClaimTaken, claim_stream, release, take
from domain.codes import RULES as CODE_RULES
from domain.codes import refuse_other_than_code
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Forbidden,
    NeedsStreams,
    Personal,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.permissions import COMMANDERS, MODERATORS, OF_AUTHORS, PROCESSES, may

POST = "post"
"""Prefix of the ids of posts."""
MOST_SLUG_CHARACTERS = 120
MOST_AHEAD = timedelta(days=5 * 366)
"""How far ahead a post can be scheduled."""

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)

Status = Literal["draft", "published", "archived", "deleted"]

# Events


class PostDrafted(Event, frozen=True):
    """A post was drafted. It is the first event of its stream."""

    author: str
    title: Personal
    body: Personal


class PostRevised(Event, frozen=True):
    """The text was replaced by a new revision. The draft is revision 1; the stream keeps all of them."""

    author: str
    revision: int
    title: Personal
    body: Personal
    summary: Personal | None


class PostPublished(Event, frozen=True):
    """The post was published under a slug."""

    slug: str


class PostArchived(Event, frozen=True):
    """The published post was archived."""


class PostDeleted(Event, frozen=True):
    """The post was deleted. It keeps its slug and can be restored."""

    author: str
    reason: Personal


class PostRestored(Event, frozen=True):
    """The deleted post has the status again that it had before."""


class PostScheduled(Event, frozen=True):
    """The post will be published under a slug at a time. It replaces the schedule before."""

    slug: str
    publish_at: datetime


class PostUnscheduled(Event, frozen=True):
    """The post will not be published at a time."""


PostEvent = (
    PostDrafted
    | PostRevised
    | PostPublished
    | PostArchived
    | PostDeleted
    | PostRestored
    | PostScheduled
    | PostUnscheduled
)

# State


class Schedule(Value, frozen=True):
    """When a post will be published, and under which slug."""

    slug: str
    publish_at: datetime


class Post(Value, frozen=True):
    """A post at a version of its stream."""

    version: int
    id: str
    author: str  # the person whose key seals the texts
    title: Personal
    body: Personal
    revision: int  # of the text; the draft is 1
    status: Status
    slug: str | None = None  # claimed at the last publication, and kept in each status
    before_deletion: Status | None = None  # the status that a restore gives back; None unless it is deleted
    schedule: Schedule | None = None  # ends when the post is published or deleted

    def refuse_unless(self, verb: str, *required: Status) -> Refused | None:
        """Return the refusal of a change that needs another status, or None."""
        return None if self.status in required else self._refuse(verb, " or ".join(required))

    def refuse_deleted(self, verb: str) -> Refused | None:
        """Return the refusal of a change to a deleted post, or None."""
        return self._refuse(verb, "not deleted") if self.status == "deleted" else None

    def _refuse(self, verb: str, required: str) -> Refused:
        return Refused("post_status", {"post": self.id, "status": self.status, "required": required, "verb": verb})


def evolve(state: Post | None, event: PostEvent) -> Post:
    """Return the post after the event. Raises ValueError if the stream does not begin with `PostDrafted`."""
    version = event.originator_version
    if isinstance(event, PostDrafted):
        return Post(
            version=version,
            id=event.originator_id,
            author=event.author,
            title=event.title,
            body=event.body,
            revision=1,
            status="draft",
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with PostDrafted")
    match event:
        case PostRevised():
            return replace(state, version=version, title=event.title, body=event.body, revision=event.revision)
        case PostPublished():
            return replace(state, version=version, status="published", slug=event.slug, schedule=None)
        case PostArchived():
            return replace(state, version=version, status="archived")
        case PostDeleted():
            return replace(state, version=version, status="deleted", before_deletion=state.status, schedule=None)
        case PostRestored():
            if state.before_deletion is None:
                raise ValueError(f"{state.id} is {state.status}; only a deleted post can have been restored")
            return replace(state, version=version, status=state.before_deletion, before_deletion=None)
        case PostScheduled():
            return replace(state, version=version, schedule=Schedule(event.slug, event.publish_at))
        case PostUnscheduled():
            return replace(state, version=version, schedule=None)


# Slugs: the readable part of the address of a post


def is_slug(text: str) -> bool:
    """Return whether the text is lower-case words of letters and digits, joined by hyphens, of 1 to 120 characters."""
    return len(text) <= MOST_SLUG_CHARACTERS and _SLUG.fullmatch(text) is not None


def slug_claim(slug: str) -> str:
    """Return the name of the stream that makes the slug unique."""
    return claim_stream("slug", slug)


# Commands


class _OnOnePost(Value, frozen=True):
    post: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.post,)


class DraftPost(_OnOnePost, frozen=True):
    """Draft a new post."""

    author: str
    title: Personal
    body: Personal


class RevisePost(_OnOnePost, frozen=True):
    """Replace the text. `summary` describes the change."""

    title: Personal
    body: Personal
    summary: Personal | None = None


class PublishPost(Value, frozen=True):
    """Publish the post under a slug that no other post has."""

    post: str
    slug: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.post, slug_claim(self.slug))


class _WithSlug(Value, frozen=True):
    post: str
    slug: str
    publish_at: datetime

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.post, slug_claim(self.slug))


class SchedulePost(_WithSlug, frozen=True):
    """Publish the post under a slug at a time. It replaces the schedule before."""


class UnschedulePost(_OnOnePost, frozen=True):
    """Do not publish the post at a time any more."""


class PublishScheduledPost(_WithSlug, frozen=True):
    """Publish the post if it is still scheduled for this time under this slug. Only a process sends this."""


class ArchivePost(_OnOnePost, frozen=True):
    """Archive a published post."""


class DeletePost(_OnOnePost, frozen=True):
    """Delete a post."""

    reason: Personal


class RestorePost(_OnOnePost, frozen=True):
    """Restore a deleted post."""


# Rules

RULES: dict[str, str] = {
    "post_exists": "Post {post} exists already.",
    "post_status": "Post {post} is {status}; only a post that is {required} can be {verb}.",
    "post_unchanged": "Post {post} already has this title and body; a revision must change one of them.",
    "post_schedule": "Post {post} can be scheduled for a time from {now} to {until}, not for {publish_at}.",
    "post_not_scheduled": "Post {post} is not scheduled.",
    "post_rescheduled": "Post {post} is no longer scheduled for {publish_at} under {slug!r}.",
    "post_too_early": "Post {post} is scheduled for {publish_at}; it is {now}.",
    "slug_malformed": (
        "{slug!r} is not a slug: use words of a-z and 0-9 joined by single hyphens, at most {most} characters."
    ),
    "slug_taken": "The slug {slug!r} is in use by {holder}.",
}

# Decisions


def _post_of(id: str, states: States, context: Context, *, moderated: bool = False) -> Post | None:
    """Return the post, if it exists and is of whoever sends the command. To an author there is no foreign post.

    Commanders change every post, and moderators where it is `moderated`.
    """
    post, principal = found(states, id, Post), context.principal
    allowed = COMMANDERS | MODERATORS if moderated else COMMANDERS
    if post is None or may(principal, allowed, context.decided_at) or post.author == principal.person:
        return post
    return None


def draft(command: DraftPost, states: States, context: Context) -> Decision:
    principal = context.principal
    if command.author != principal.person and not may(principal, COMMANDERS, context.decided_at):
        return Forbidden(f"An author drafts posts of their own: the author is {principal.person}.")
    if states[command.post] is not None:
        return Refused("post_exists", {"post": command.post})
    refusal = refuse_other_than_code("author", command.author)
    if refusal is not None:
        return refusal
    event = PostDrafted(
        originator_id=command.post, originator_version=1, author=command.author, title=command.title, body=command.body
    )
    return Accepted((event,), {"post": command.post, "status": "draft", "revision": 1})


def revise(command: RevisePost, states: States, context: Context) -> Decision:
    post = _post_of(command.post, states, context)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_deleted("revised")
    if refusal is not None:
        return refusal
    if (command.title, command.body) == (post.title, post.body):
        return Refused("post_unchanged", {"post": command.post, "revision": post.revision})
    revision = post.revision + 1
    event = PostRevised(
        originator_id=command.post,
        originator_version=post.version + 1,
        author=post.author,
        revision=revision,
        title=command.title,
        body=command.body,
        summary=command.summary,
    )
    return Accepted((event,), {"post": command.post, "status": post.status, "revision": revision})


def publish(command: PublishPost | PublishScheduledPost, states: States, context: Context) -> Decision:
    post = _post_of(command.post, states, context)
    if post is None:
        return Unknown("post", command.post)
    refusal = _refuse_publication(post, command.slug)
    if refusal is not None:
        return refusal
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


def _refuse_publication(post: Post, slug: str) -> Refused | None:
    return post.refuse_unless("published", "draft", "archived") or _refuse_slug(slug)


def _refuse_slug(slug: str) -> Refused | None:
    return None if is_slug(slug) else Refused("slug_malformed", {"slug": slug, "most": MOST_SLUG_CHARACTERS})


def schedule(command: SchedulePost, states: States, context: Context) -> Decision:
    """Decide a schedule. The slug is claimed when the post is published, so another post may take it until then."""
    post = _post_of(command.post, states, context)
    if post is None:
        return Unknown("post", command.post)
    refusal = _refuse_schedule(post, command.slug, command.publish_at, context.decided_at)
    if refusal is not None:
        return refusal
    held = cast(Claim | None, states[slug_claim(command.slug)])
    if held is not None and held.holder not in (None, command.post):
        return Refused("slug_taken", {"slug": command.slug, "holder": held.holder})
    event = PostScheduled(command.post, post.version + 1, command.slug, command.publish_at)
    result = {"post": command.post, "status": post.status, "slug": command.slug}
    return Accepted((event,), {**result, "publish_at": command.publish_at.isoformat()})


def _refuse_schedule(post: Post, slug: str, publish_at: datetime, now: datetime) -> Refused | None:
    refusal = post.refuse_unless("scheduled", "draft", "archived") or _refuse_slug(slug)
    until = now + MOST_AHEAD
    if refusal is not None or now <= publish_at <= until:
        return refusal
    figures = {"publish_at": publish_at.isoformat(), "now": now.isoformat(), "until": until.isoformat()}
    return Refused("post_schedule", {"post": post.id, **figures})


def _refuse_unscheduled(post: Post) -> Refused | None:
    return Refused("post_not_scheduled", {"post": post.id}) if post.schedule is None else None


def unschedule(command: UnschedulePost, states: States, context: Context) -> Decision:
    post = _post_of(command.post, states, context)
    if post is None:
        return Unknown("post", command.post)
    refusal = _refuse_unscheduled(post)
    if refusal is not None:
        return refusal
    event = PostUnscheduled(command.post, post.version + 1)
    return Accepted((event,), {"post": command.post, "status": post.status})


def publish_scheduled(command: PublishScheduledPost, states: States, context: Context) -> Decision:
    """Decide the publication of a schedule: only if it is still wanted, and not before its time."""
    post = _post_of(command.post, states, context)
    if post is None:
        return Unknown("post", command.post)
    figures = {"post": command.post, "slug": command.slug, "publish_at": command.publish_at.isoformat()}
    if post.schedule != Schedule(command.slug, command.publish_at):
        return Refused("post_rescheduled", figures)
    if context.decided_at < command.publish_at:
        return Refused("post_too_early", {**figures, "now": context.decided_at.isoformat()})
    return publish(command, states, context)


def archive(command: ArchivePost, states: States, context: Context) -> Decision:
    post = _post_of(command.post, states, context, moderated=True)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_unless("archived", "published")
    if refusal is not None:
        return refusal
    event = PostArchived(command.post, post.version + 1)
    return Accepted((event,), {"post": command.post, "status": "archived"})


def delete(command: DeletePost, states: States, context: Context) -> Decision:
    """Decide a deletion. The claim of the slug stays, so that no other post can get the address."""
    post = _post_of(command.post, states, context, moderated=True)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_deleted("deleted")
    if refusal is not None:
        return refusal
    event = PostDeleted(
        originator_id=command.post, originator_version=post.version + 1, author=post.author, reason=command.reason
    )
    return Accepted((event,), {"post": command.post, "status": "deleted"})


def restore(command: RestorePost, states: States, context: Context) -> Decision:
    post = _post_of(command.post, states, context, moderated=True)
    if post is None:
        return Unknown("post", command.post)
    refusal = post.refuse_unless("restored", "deleted")
    if refusal is not None:
        return refusal
    event = PostRestored(command.post, post.version + 1)
    return Accepted((event,), {"post": command.post, "status": post.before_deletion})


# What stored events are held to


def check(before: Post | None, events: Sequence[PostEvent], decided: Decided) -> Iterator[Broken]:
    """Find a change that the status or the author does not allow, a wrong revision, a slug without its claim.

    Whether a revision changes the text is not looked at: the texts are sealed.
    """
    post = before
    for event in events:
        if isinstance(event, PostDrafted):
            if post is not None:
                yield Broken(event, f"post {post.id} is drafted again")
        elif post is not None:
            yield from _changed(post, event, decided)
        post = evolve(post, event)


def _changed(post: Post, event: PostEvent, decided: Decided) -> Iterator[Broken]:
    refusal: Refused | None = None
    match event:
        case PostRevised():
            refusal = post.refuse_deleted("revised")
            if event.revision != post.revision + 1:
                yield Broken(event, f"post {post.id} is at revision {post.revision}, and gets {event.revision}")
        case PostPublished():
            refusal = _refuse_publication(post, event.slug)
            yield from _slug(post, event)
        case PostArchived():
            refusal = post.refuse_unless("archived", "published")
        case PostDeleted():
            refusal = post.refuse_deleted("deleted")
        case PostRestored():
            refusal = post.refuse_unless("restored", "deleted")
        case PostScheduled():
            refusal = _refuse_schedule(post, event.slug, event.publish_at, decided.decided_at)
        case PostUnscheduled():
            refusal = _refuse_unscheduled(post)
    if refusal is not None:
        yield refused(event, refusal, RULES)
    if isinstance(event, PostRevised | PostDeleted) and event.author != post.author:
        yield Broken(event, f"the author of post {post.id} is {post.author}, not {event.author}")


def _slug(post: Post, event: PostPublished) -> Iterator[Broken]:
    """A new slug is claimed in the same unit, and the former one released."""
    former, claim = post.slug, slug_claim(event.slug)
    if former == event.slug:
        return
    taken = ClaimTaken(claim, 0, post.id)
    yield Broken(event, f"post {post.id} is published, and its unit does not claim {claim} for it", unless=taken)
    if former is not None:
        released = ClaimReleased(slug_claim(former), 0, post.id)
        what = f"post {post.id} is published under another slug, and its unit does not release {slug_claim(former)}"
        yield Broken(event, what, unless=released)


def _claim_has_its_post(
    event: ClaimTaken | ClaimReleased, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """A slug is taken and released only where its post is published: under this slug, or under another one."""
    claim, takes = event.originator_id, isinstance(event, ClaimTaken)
    if not claim.startswith(slug_claim("")):
        return None
    published = [one for one in unit.get(event.holder, ()) if isinstance(one, PostPublished)]
    if any((slug_claim(one.slug) == claim) is takes for one in published):
        return None
    verb = "takes" if takes else "releases"
    return f"{event.holder} {verb} {claim}, and its unit does not publish a post that explains it"


AGGREGATE = Aggregate(
    name="post",
    prefix=f"{POST}_",
    events=(
        EventType(
            name="post.drafted.v1",
            event=PostDrafted,
            subject="author",
            personal=("title", "body"),
            codes=("author",),
        ),
        EventType(name="post.revised.v1", event=PostRevised, subject="author", personal=("title", "body", "summary")),
        EventType("post.published.v1", PostPublished),
        EventType("post.archived.v1", PostArchived),
        EventType(name="post.deleted.v1", event=PostDeleted, subject="author", personal=("reason",)),
        EventType("post.restored.v1", PostRestored),
        EventType("post.scheduled.v1", PostScheduled),
        EventType("post.unscheduled.v1", PostUnscheduled),
    ),
    evolve=evolve,
    personal_state=True,
    decisions={
        DraftPost: draft,
        RevisePost: revise,
        PublishPost: publish,
        ArchivePost: archive,
        DeletePost: delete,
        RestorePost: restore,
        SchedulePost: schedule,
        UnschedulePost: unschedule,
        PublishScheduledPost: publish_scheduled,
    },
    rules={**RULES, **CODE_RULES},
    may={
        DraftPost: OF_AUTHORS,
        RevisePost: OF_AUTHORS,
        PublishPost: OF_AUTHORS,
        SchedulePost: OF_AUTHORS,
        UnschedulePost: OF_AUTHORS,
        ArchivePost: OF_AUTHORS | MODERATORS,
        DeletePost: OF_AUTHORS | MODERATORS,
        RestorePost: OF_AUTHORS | MODERATORS,
        PublishScheduledPost: PROCESSES,
    },
    check=check,
    unit_rules={ClaimTaken: _claim_has_its_post, ClaimReleased: _claim_has_its_post},
)
