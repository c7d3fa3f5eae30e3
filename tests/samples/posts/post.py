"""Samples of posts."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

from domain.claims import Claim
from domain.posts.post import (
    MOST_AHEAD,
    MOST_SLUG_CHARACTERS,
    POST,
    ArchivePost,
    DeletePost,
    DraftPost,
    Post,
    PublishPost,
    PublishScheduledPost,
    RestorePost,
    RevisePost,
    SchedulePost,
    UnschedulePost,
    slug_claim,
)
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import NOW, MemoryLedger

_slugs = count(1)

# Requests

DRAFT = {"author": "author-1", "title": "On ledgers", "body": "Facts."}
REASON = {"reason": "Out of date"}


def one(world: World) -> str:
    """A draft."""
    id: str = world.do("posts", DRAFT)["post"]
    return id


def published(world: World) -> tuple[str, str]:
    """A published post, and its slug."""
    post, slug = one(world), f"sample-{next(_slugs)}"
    world.do(f"posts/{post}/publish", {"slug": slug})
    return post, slug


SOON = "2027-01-01T00:00:00Z"
"""A time at which a post can be scheduled: the clock of the test stands before it."""


def scheduled(world: World) -> str:
    """A post that will be published."""
    post = one(world)
    world.do(f"posts/{post}/schedule", {"slug": f"sample-{next(_slugs)}", "publish_at": SOON})
    return post


def deleted(world: World) -> str:
    post = one(world)
    world.do(f"posts/{post}/delete", REASON)
    return post


ROUTES = {
    "/v1/posts": lambda world: Request({}, DRAFT),
    "/v1/posts/{post}/revisions": lambda world: Request(
        {"post": one(world)}, {"title": "On ledgers", "body": "More facts.", "summary": "longer"}
    ),
    "/v1/posts/{post}/publish": lambda world: Request({"post": one(world)}, {"slug": f"sample-{next(_slugs)}"}),
    "/v1/posts/{post}/schedule": lambda world: Request(
        {"post": one(world)}, {"slug": f"sample-{next(_slugs)}", "publish_at": SOON}
    ),
    "/v1/posts/{post}/unschedule": lambda world: Request({"post": scheduled(world)}, {}),
    "/v1/posts/{post}/archive": lambda world: Request({"post": published(world)[0]}, {}),
    "/v1/posts/{post}/delete": lambda world: Request({"post": one(world)}, REASON),
    "/v1/posts/{post}/restore": lambda world: Request({"post": deleted(world)}, {}),
}

# Rules

DRAFTED = DraftPost("post_1", "author-1", "Title", "Body")
OTHER = DraftPost("post_2", "author-1", "Title", "Body")
LONGEST = "s" * MOST_SLUG_CHARACTERS
MOMENT = timedelta(microseconds=1)

RULES = {
    "not_a_code": no_code(
        "author", DraftPost("post_1", ".author-1", "T", "B"), DraftPost("post_1", "1.author", "T", "B")
    ),
    "post_exists": RuleSample(
        given=(DRAFTED,),
        broken=DRAFTED,
        sentence="Post post_1 exists already.",
        kept=(OTHER,),
    ),
    "post_status": RuleSample(
        given=(DRAFTED,),
        broken=ArchivePost("post_1"),
        sentence="Post post_1 is draft; only a post that is published can be archived.",
        kept=(PublishPost("post_1", "on-ledgers"), ArchivePost("post_1")),
    ),
    "post_unchanged": RuleSample(
        given=(DRAFTED,),
        broken=RevisePost("post_1", "Title", "Body", "nothing"),
        sentence="Post post_1 already has this title and body; a revision must change one of them.",
        kept=(RevisePost("post_1", "Title", "body"),),
    ),
    "post_schedule": RuleSample(
        given=(DRAFTED,),
        broken=SchedulePost("post_1", "on-ledgers", NOW - MOMENT),
        sentence=(
            "Post post_1 can be scheduled for a time from 2026-11-21T12:00:00+00:00 to 2031-11-25T12:00:00+00:00, "
            "not for 2026-11-21T11:59:59.999999+00:00."
        ),
        kept=(SchedulePost("post_1", "on-ledgers", NOW), SchedulePost("post_1", "on-ledgers", NOW + MOST_AHEAD)),
    ),
    "post_not_scheduled": RuleSample(
        given=(DRAFTED,),
        broken=UnschedulePost("post_1"),
        sentence="Post post_1 is not scheduled.",
        kept=(SchedulePost("post_1", "on-ledgers", NOW), UnschedulePost("post_1")),
    ),
    "post_rescheduled": RuleSample(
        given=(DRAFTED, SchedulePost("post_1", "on-ledgers", NOW)),
        broken=PublishScheduledPost("post_1", "elsewhere", NOW),
        sentence="Post post_1 is no longer scheduled for 2026-11-21T12:00:00+00:00 under 'elsewhere'.",
        kept=(PublishScheduledPost("post_1", "on-ledgers", NOW),),
    ),
    "post_too_early": RuleSample(
        given=(DRAFTED, SchedulePost("post_1", "on-ledgers", NOW + MOMENT)),
        broken=PublishScheduledPost("post_1", "on-ledgers", NOW + MOMENT),
        sentence="Post post_1 is scheduled for 2026-11-21T12:00:00.000001+00:00; it is 2026-11-21T12:00:00+00:00.",
        kept=(
            SchedulePost("post_1", "on-ledgers", NOW),
            PublishScheduledPost("post_1", "on-ledgers", NOW),
        ),
    ),
    "slug_malformed": RuleSample(
        given=(DRAFTED,),
        broken=PublishPost("post_1", f"{LONGEST}s"),
        sentence=(
            f"'{LONGEST}s' is not a slug: use words of a-z and 0-9 joined by single hyphens, at most 120 characters."
        ),
        kept=(PublishPost("post_1", LONGEST),),
    ),
    "slug_taken": RuleSample(
        given=(DRAFTED, PublishPost("post_1", "on-ledgers"), OTHER),
        broken=PublishPost("post_2", "on-ledgers"),
        sentence="The slug 'on-ledgers' is in use by post_1.",
        kept=(ArchivePost("post_1"), PublishPost("post_1", "elsewhere"), PublishPost("post_2", "on-ledgers")),
    ),
}

# A life

TITLES = ("Title", "New", "T\tab")
BODIES = ("Body\nof it", "\\.", "ü €")
SLUGS = tuple(f"slug-{number}" for number in range(40))


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """A few authors write posts that want the same few slugs."""
    posts = ledger.of(Post)
    if not posts or chance.random() < 0.15:
        return DraftPost(ledger.new_id(POST), f"author-{chance.randint(1, 3)}", TITLES[0], BODIES[0])
    post = chance.choice(posts)
    id, choice = post.id, chance.random()
    if choice < 0.2 and post.schedule is not None:
        at = post.schedule.publish_at
        return UnschedulePost(id) if choice < 0.1 else PublishScheduledPost(id, post.schedule.slug, at)
    if choice < 0.4:
        return RevisePost(id, chance.choice(TITLES), chance.choice(BODIES), chance.choice((None, "shorter")))
    if choice < 0.6 and post.status == "deleted":
        return RestorePost(id)
    if choice < 0.65:
        return SchedulePost(
            id, chance.choice(SLUGS), ledger.context.decided_at + timedelta(seconds=chance.choice((0, 0, 5)))
        )
    if choice < 0.7:
        return DeletePost(id, "spam")
    return ArchivePost(id) if post.status == "published" else PublishPost(id, chance.choice(SLUGS))


def check(ledger: MemoryLedger) -> None:
    """Each slug is held by the post that has it, and by no other."""
    held = {claim.id: claim.holder for claim in ledger.of(Claim) if claim.holder and claim.id.startswith("claim:slug:")}
    assert held == {slug_claim(post.slug): post.id for post in ledger.of(Post) if post.slug is not None}


# Events as they were stored

EVENTS = (
    StoredEvent(
        "post.drafted.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        1,
        '{"author":"author-1","body":"oQ0WLOyTGWL4A2QWWmZv9jXicxjXLkdxeGYhH9Ovskoc3vL4AniT0kwJGAc=","title":"VotGqVuRSh9zA83ZhCbruvtQGdrytgP3yJJTj32Yl-wZA27RbPs="}',
        {"author": "author-1", "title": "On ledgers", "body": "A daybook is …"},
    ),
    StoredEvent(
        "post.revised.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        2,
        '{"author":"author-1","body":"Z9xUdrZ9185vDdaps9qDD0ib9y-r4Y2uTEqHiiujvkg5IIi_6MXIPxK4P63HllUK-EyXXnSSFZe4X6e95mzHupRjPAE=","revision":2,"summary":null,"title":"rrCeCh7WlGXR7MVN_Kk-VjnM1ITx3kcXNPGhpRYjOSQVGUvLhVk="}',
        {
            "author": "author-1",
            "revision": 2,
            "title": "On ledgers",
            "body": "A daybook is the book of original entry.",
            "summary": None,
        },
    ),
    StoredEvent(
        "post.published.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        3,
        '{"slug":"on-ledgers"}',
        {"slug": "on-ledgers"},
    ),
    StoredEvent(
        "post.archived.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        4,
        "{}",
        {},
    ),
    StoredEvent(
        "post.deleted.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        5,
        '{"author":"author-1","reason":"-KdcYHvujGZIH-0NR_SnhFZ2TRCmEHyo1-SrO052Ejf-PSrFqg=="}',
        {"author": "author-1", "reason": "Duplicate"},
    ),
    StoredEvent(
        "post.restored.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        6,
        "{}",
        {},
    ),
    StoredEvent(
        "post.drafted.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        1,
        '{"author":"author-1","body":"2.lTWLz-5wY0ZHEs9rPNRlsC7SnTKqYOxd_XEpV2xHXUDufNHlCq5t9_12rrU=","title":"2.bqcvZhNPUmHnLmrtRhgF71J7hLLJ6mAfQMkr9gjY4nOYib2InmE="}',
        {"author": "author-1", "title": "On ledgers", "body": "A daybook is …"},
    ),
    StoredEvent(
        "post.revised.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        2,
        '{"author":"author-1","body":"2.KE50P_YuhrRdKgZC5zzLE6FZxUqmzfuHygurHokbCtv4qdt1BnJ6YxZw0sY4KqQu6_8fxr_13jXWSLmKEfFkcyCmpzM=","revision":2,"summary":null,"title":"2.UTcayN6e9TxG7ebwperehIAjhsxg-4POM88Z8-EAAX1Wwj6Q9vo="}',
        {
            "author": "author-1",
            "revision": 2,
            "title": "On ledgers",
            "body": "A daybook is the book of original entry.",
            "summary": None,
        },
    ),
    StoredEvent(
        "post.deleted.v1",
        "post_01m7xye322ewkrackt3th99f5h",
        5,
        '{"author":"author-1","reason":"2.PiLLP9mqkTlj6pIEeuipkzsgP5EcY8B-do4hyJ4izuFfHW0L3A=="}',
        {"author": "author-1", "reason": "Duplicate"},
    ),
    StoredEvent(
        type="post.scheduled.v1",
        stream="post_0000000000000000000000000m",
        version=2,
        payload='{"publish_at":"2026-11-21T12:00:00Z","slug":"slug-24"}',
        means={"slug": "slug-24", "publish_at": "2026-11-21T12:00:00Z"},
    ),
    StoredEvent(
        type="post.unscheduled.v1", stream="post_00000000000000000000000095", version=4, payload="{}", means={}
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life, check=check)
