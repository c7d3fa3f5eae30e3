"""The process manager webhook notice: a webhook was disabled, and its contact gets a mail that says so.

It queues the mail as `domain.people.mailing` does for events about persons: one process an event, one mail a process.
"""

from __future__ import annotations

from domain.people.mail import MAIL, QueueMail
from domain.people.mailing import Mailing, react
from domain.people.mailing import evolve as evolve_mailing
from domain.process_manager import Happened, ProcessManager, Trigger
from domain.webhooks.webhook import WebhookDisabled


def evolve(state: Mailing | None, trigger: Trigger) -> Mailing:
    """Return the mailing after the trigger: its person is the contact of the webhook."""
    if not isinstance(trigger, Happened):
        return evolve_mailing(state, trigger)
    event = trigger.event
    assert isinstance(event, WebhookDisabled), "it begins with no other event"
    return Mailing("queueing", trigger.id(MAIL), event.contact, "webhook_disabled", event.originator_version)


def _one_a_mail(event: WebhookDisabled) -> tuple[str, ...]:
    return (event.originator_id, str(event.originator_version))


MANAGER = ProcessManager(
    name="webhook_notice",
    state=Mailing,
    begins={WebhookDisabled: _one_a_mail},
    concerns={},
    evolve=evolve,
    react=react,
    due=lambda state: None,
    ends=frozenset({"queued"}),
    sends=(QueueMail,),
)
