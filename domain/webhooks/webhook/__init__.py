"""The aggregate webhook: an address that is sent events, with a filter, and a policy that says when it is disabled.

The stream has no secret. What has arrived is no event either: an event for each event that was sent would be sent too.
Positions and attempts are rows beside the log (`eventstore.webhooks`), which name the version that they follow.

Read its modules in this order: `events`, `state`, `rules`, `commands`, `check`. The declaration is below.
"""

from __future__ import annotations

from domain.aggregate import Aggregate, EventType
from domain.codes import RULES as CODE_RULES
from domain.people.person.state import RULES as PERSON_RULES
from domain.permissions import ADMINISTRATORS, OPERATORS, PROCESSES
from domain.webhooks.webhook import check, commands, events, rules, state

_DECIDERS = OPERATORS | ADMINISTRATORS

AGGREGATE = Aggregate(
    name="webhook",
    prefix=f"{state.WEBHOOK}_",
    events=(
        EventType("webhook.created.v1", events.WebhookCreated),
        EventType("webhook.changed.v1", events.WebhookChanged),
        EventType("webhook.secret_rotated.v1", events.WebhookSecretRotated),
        EventType("webhook.paused.v1", events.WebhookPaused),
        EventType("webhook.disabled.v1", events.WebhookDisabled),
        EventType("webhook.resumed.v1", events.WebhookResumed),
        EventType("webhook.replayed.v1", events.WebhookReplayed),
        EventType("webhook.removed.v1", events.WebhookRemoved),
    ),
    evolve=state.evolve,
    decisions={
        commands.CreateWebhook: commands.create,
        commands.ChangeWebhook: commands.change,
        commands.RotateWebhookSecret: commands.rotate_secret,
        commands.PauseWebhook: commands.pause,
        commands.ResumeWebhook: commands.resume,
        commands.ReplayWebhook: commands.replay,
        commands.RemoveWebhook: commands.remove,
        commands.DisableWebhook: commands.disable,
    },
    rules={**rules.RULES, **CODE_RULES, **PERSON_RULES},
    may={
        commands.CreateWebhook: _DECIDERS,
        commands.ChangeWebhook: _DECIDERS,
        commands.RotateWebhookSecret: _DECIDERS,
        commands.PauseWebhook: _DECIDERS,
        commands.ResumeWebhook: _DECIDERS,
        commands.ReplayWebhook: _DECIDERS,
        commands.RemoveWebhook: _DECIDERS,
        commands.DisableWebhook: PROCESSES,
    },
    check=check.check,
)
