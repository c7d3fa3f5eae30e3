"""Samples of processes."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec.structs import replace

from domain.posts.post import ArchivePost, DraftPost, Post, PostScheduled, PublishScheduledPost
from domain.posts.publication import MANAGER
from domain.process_manager import recorded
from domain.processes.process import (
    AnswerFigure,
    CarryOut,
    Process,
    RecordFigures,
    RecordReaction,
    ResolveProcess,
    RetryProcess,
)
from tests.samples.posts import post
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import NOW, MemoryLedger


def process_of(post: str) -> str:
    """The process that publishes a post."""
    process = MANAGER.process_of(PostScheduled(post, 1, "any", NOW))
    assert process is not None
    return process


INTENT = recorded(MANAGER, PublishScheduledPost("post_1", "on-ledgers", NOW))


def reaction(process: str = "proc_1", post: str = "post_1", *, trigger: str = "due:1", **more: Any) -> RecordReaction:
    """The reaction of a publication to its due time."""
    calm = RecordReaction(process, MANAGER.name, post, trigger, NOW, 0, (INTENT,), None)
    return replace(calm, **more)


# Requests

REASON = {"reason": "The other post was archived"}


def one(world: World) -> str:
    """A process that needs attention."""
    about = post.scheduled(world)
    process = process_of(about)
    world.record(reaction(process, about, trigger="answer:1:1", due_at=None, intents=(), attention="slug_taken"))
    return process


ROUTES = {
    "/v1/processes/{process}/retry": lambda world: Request({"process": one(world)}, REASON),
    "/v1/processes/{process}/resolve": lambda world: Request({"process": one(world)}, REASON),
}

# Rules

RULES = {
    "process_calm": RuleSample(
        given=(reaction(),),
        broken=RetryProcess("proc_1", "why"),
        sentence="Process proc_1 needs no attention; only a process that needs it can be retried.",
        kept=(reaction(trigger="due:2", attention="slug_taken"), RetryProcess("proc_1", "why")),
    ),
    "process_resolved": RuleSample(
        given=(reaction(), ResolveProcess("proc_1", "why")),
        broken=reaction(trigger="due:2"),
        sentence="Process proc_1 was resolved; what it intended before is dropped.",
        kept=(reaction(trigger="due:2", round=1), ResolveProcess("proc_1", "why")),
    ),
    "intent_closed": RuleSample(
        given=(reaction(),),
        broken=RecordFigures("proc_1", 1, 2, ()),
        sentence="Intent 2 of reaction 1 of process proc_1 was answered or dropped.",
        kept=(RecordFigures("proc_1", 1, 1, ()),),
    ),
    "intent_impossible": RuleSample(
        given=(reaction(),),
        broken=CarryOut("proc_1", 1, 1, ArchivePost("post_2")),
        sentence="The intent cannot be carried out: There is no post post_2.",
        kept=(CarryOut("proc_1", 1, 1, DraftPost("post_2", "author-1", "Title", "Body")),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Publications react, are answered, and need operators now and then."""
    posts = ledger.of(Post)
    if not posts:
        return DraftPost(ledger.new_id("post"), "author-1", "Title", "Body")
    about = chance.choice(posts)
    process, choice = process_of(about.id), chance.random()
    state = ledger.states.get(process)
    if not isinstance(state, Process) or choice < 0.3:
        number = 1 if state is None else state.version + 1
        attention = chance.choice((None, None, "slug_taken"))
        resolved = state.round if isinstance(state, Process) else 0
        due_at = chance.choice((None, NOW))
        return reaction(process, about.id, trigger=f"due:{number}", round=resolved, attention=attention, due_at=due_at)
    if choice < 0.8 and state.open:
        intent = chance.choice(state.open)
        figures = chance.choice(((), (AnswerFigure("count", 3), AnswerFigure("name", None))))
        return RecordFigures(process, intent.reaction, intent.number, figures)
    return RetryProcess(process, "try again") if choice < 0.9 else ResolveProcess(process, "not needed")


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="process.reacted.v1",
        stream="proc_1jyxavcvfqaha95awj9rfcch37",
        version=1,
        payload='{"attention":null,"due_at":null,"intents":[{"fields":"{\\"post\\":\\"post_1\\",\\"publish_at\\":\\"2026-11-21T12:00:00Z\\",\\"slug\\":\\"on-ledgers\\"}","kind":"command","name":"PublishScheduledPost"}],"manager":"publication","round":0,"stream":"post_0000000000000000000000000m","trigger":"due:1"}',
        means={
            "manager": "publication",
            "stream": "post_0000000000000000000000000m",
            "trigger": "due:1",
            "due_at": None,
            "round": 0,
            "intents": [
                {
                    "kind": "command",
                    "name": "PublishScheduledPost",
                    "fields": '{"post":"post_1","publish_at":"2026-11-21T12:00:00Z","slug":"on-ledgers"}',
                }
            ],
            "attention": None,
        },
    ),
    StoredEvent(
        type="process.resolved.v1",
        stream="proc_1jyxavcvfqaha95awj9rfcch37",
        version=2,
        payload='{"operator":"tester","reason":"2.wdqWYC0oeRcy35S3mtsUWZ40pmJyWwdqqYAVa-_BE0uFwxmPlgQ="}',
        means={"operator": "tester", "reason": "not needed"},
    ),
    StoredEvent(
        type="process.answered.v1",
        stream="proc_1jyxavcvfqaha95awj9rfcch37",
        version=4,
        payload='{"at":"2026-11-21T12:00:00Z","figures":[{"name":"count","value":3},{"name":"name","value":null}],"number":1,"outcome":"accepted","reaction":3,"rule":null}',
        means={
            "reaction": 3,
            "number": 1,
            "outcome": "accepted",
            "rule": None,
            "figures": [{"name": "count", "value": 3}, {"name": "name", "value": None}],
            "at": "2026-11-21T12:00:00Z",
        },
    ),
    StoredEvent(
        type="process.retried.v1",
        stream="proc_1jyxavcvfqaha95awj9rfcch37",
        version=5,
        payload='{"operator":"tester","reason":"2.ZQK2uBZ90K0vez-5MYDTGyt3Xxrlo3TYPb4h2Ux4uHVADCkkyQ=="}',
        means={"operator": "tester", "reason": "try again"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
