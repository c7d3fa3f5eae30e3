"""The posting policy as it is now, and every version of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Column

from domain.accounts.posting_policy import PostingPolicyChanged, PostingPolicyCreated, PostingPolicyEvent, evolve
from projections.accounts.policies import policy_model
from projections.engine.columns import json_value, number


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The policy as it is now."""

    policy: str
    most_days_back: int | None
    counted_kinds: list[str]
    approve_above: dict[str, int]
    version: int
    last_position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of the policy."""

    policy: str
    version: int
    most_days_back: int | None
    counted_kinds: list[str]
    approve_above: dict[str, int]
    position: int
    recorded_at: datetime


def _columns() -> tuple[Column[Any], ...]:
    days = "Most days that a value date may be before the day of the posting. NULL: any number."
    return (
        number("most_days_back", days, bits=32, optional=True),
        json_value("counted_kinds", "The kinds of transactions that count against outgoing limits, as a JSON array."),
        json_value(
            "approve_above", "By currency, above how many minor units another person approves, as a JSON object."
        ),
    )


def _values(event: PostingPolicyEvent) -> tuple[int | None, str, str]:
    policy = evolve(None, event)
    above = orjson.dumps({one.currency: one.amount for one in policy.approve_above})
    return policy.most_days_back, orjson.dumps(sorted(policy.counted_kinds)).decode(), above.decode()


MODEL = policy_model(
    "posting_policy",
    "The posting policy",
    "each posting",
    columns=_columns,
    values=_values,
    begins=PostingPolicyCreated,
    changes=PostingPolicyChanged,
    row=PolicyRow,
    version=VersionRow,
    added=("counted_kinds", "approve_above"),
)
POSTING_POLICY = MODEL.projection
