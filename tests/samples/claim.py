"""Samples of claims. They have no commands of their own: other aggregates take and release them."""

from __future__ import annotations

from domain.claims import CLAIM_PREFIX
from tests.samples.posts import post
from tests.samples.sample import Samples, StoredEvent, World


def one(world: World) -> str:
    return f"{CLAIM_PREFIX}slug:{post.published(world)[1]}"


EVENTS = (
    StoredEvent(
        "claim.taken.v1",
        "claim:slug:on-ledgers",
        1,
        '{"holder":"post_01m7xye322ewkrackt3th99f5h"}',
        {"holder": "post_01m7xye322ewkrackt3th99f5h"},
    ),
    StoredEvent(
        "claim.released.v1",
        "claim:slug:on-ledgers",
        2,
        '{"holder":"post_01m7xye322ewkrackt3th99f5h"}',
        {"holder": "post_01m7xye322ewkrackt3th99f5h"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules={}, routes={}, life=None)
