"""The aggregate template: named transactions whose entries are computed from parameters.

Read its modules in this order: `definition`, `state` with the events and the fold, `checking` (once, when a version is
defined), `computing` (at each posting), the commands and decisions in `commands`, then `check`.
"""

from __future__ import annotations

from domain.accounts.template import check, checking, commands, computing, state
from domain.accounts.template.commands import DefineTemplate, PostByTemplate, RetireTemplate
from domain.accounts.template.state import TEMPLATE, Template
from domain.aggregate import Aggregate, EventType

__all__ = ["TEMPLATE", "DefineTemplate", "PostByTemplate", "RetireTemplate", "Template"]

AGGREGATE = Aggregate(
    name="template",
    prefix=TEMPLATE,
    events=(
        EventType("template.defined.v1", state.TemplateDefined),
        EventType("template.revised.v1", state.TemplateRevised),
        EventType("template.retired.v1", state.TemplateRetired),
    ),
    evolve=state.evolve,
    decisions=commands.DECISIONS,
    rules={**checking.DEFINITION_RULES, **computing.RULES, **commands.RULES},
    may=commands.MAY,
    amounts=frozenset({"fixed", "minimum", "maximum", "up_to"}),
    check=check.check,
)
