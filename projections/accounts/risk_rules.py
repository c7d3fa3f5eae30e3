"""The risk rules as they are now, and every version of them. Their stream is that of the posting policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from msgspec import to_builtins
from sqlalchemy import Column

from domain.accounts.posting_policy import PostingPolicyCreated
from domain.accounts.risk.rules import OFF, RiskRulesChanged
from projections.accounts.policies import policy_model
from projections.engine.columns import flag, json_value


@dataclass(frozen=True, slots=True)
class RiskRulesRow:
    """The rules as they are now."""

    policy: str
    active: bool
    rules: dict[str, Any]
    version: int
    last_position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class RiskRulesVersionRow:
    """One version of the rules."""

    policy: str
    version: int
    active: bool
    rules: dict[str, Any]
    position: int
    recorded_at: datetime


def _columns() -> tuple[Column[Any], ...]:
    return (
        flag("active", "Whether the rules decide."),
        json_value("rules", "The points for each action and the rules, as a JSON object. Amounts in minor units."),
    )


def _values(event: PostingPolicyCreated | RiskRulesChanged) -> tuple[bool, str]:
    """What the event says. The rules of a new log are off."""
    rules = event.rules if isinstance(event, RiskRulesChanged) else OFF
    return rules.on, orjson.dumps(to_builtins(rules)).decode()


MODEL = policy_model(
    "risk_rules",
    "The risk rules",
    "each posting",
    columns=_columns,
    values=_values,
    begins=PostingPolicyCreated,
    changes=RiskRulesChanged,
    row=RiskRulesRow,
    version=RiskRulesVersionRow,
)
RISK_RULES = MODEL.projection
