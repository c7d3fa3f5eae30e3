"""Webhooks: what a filter wants, when a policy ends one, which secrets sign, and what an address may be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from domain.kernel import Unknown
from domain.people.mail import QueueMail
from domain.process_manager import Happened
from domain.registry import forbid
from domain.webhooks.notice import MANAGER
from domain.webhooks.webhook import (
    Cause,
    Filter,
    PauseWebhook,
    Policy,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateWebhookSecret,
    Webhook,
    WebhookCreated,
    WebhookDisabled,
)
from tests.samples.people.person import active
from tests.samples.webhooks.webhook import DISABLE, SINCE, changed, create
from tests.support.given import given, refusal
from tests.support.memory_ledger import NOW, MemoryLedger, by_person

HOUR = timedelta(hours=1)


def ledger_with(*commands: object) -> MemoryLedger:
    ledger = MemoryLedger()
    for command in (*active(), *commands):
        ledger.accepted(command)
    return ledger


def webhook_of(*commands: object) -> Webhook:
    state = ledger_with(*commands)["whk_1"]
    assert isinstance(state, Webhook)
    return state


@pytest.mark.parametrize(
    ("filter", "wanted"),
    [
        (Filter(), True),
        (Filter(areas=("accounts", "orders")), True),
        (Filter(areas=("orders",)), False),
        (Filter(types=("account.credited",)), True),
        (Filter(types=("account.credited.v1",)), False),
        (Filter(types=("account.debited",)), False),
        (Filter(accounts=("acct_1",)), True),
        (Filter(accounts=("acct_2",)), False),
        (Filter(("accounts",), ("account.credited",), ("acct_1",)), True),
        (Filter(("accounts",), ("account.credited",), ("acct_2",)), False),
    ],
)
def test_a_filter_wants_what_passes_each_of_its_parts(filter: Filter, wanted: bool) -> None:
    for version in ("v1", "v12"):
        assert filter.wants("accounts", f"account.credited.{version}", "acct_1") is wanted


@pytest.mark.parametrize(
    ("cause", "failures", "lasted", "ends"),
    [
        ("answered", 5, 24 * HOUR, True),
        ("answered", 4, 100 * HOUR, False),
        ("too_slow", 100, 24 * HOUR - timedelta(microseconds=1), False),
        ("gone", 1, timedelta(), True),
    ],
)
def test_a_policy_needs_both_failures_and_hours(cause: Cause, failures: int, lasted: timedelta, ends: bool) -> None:
    assert Policy(failures=5, hours=24).ends(cause, failures, NOW - lasted, NOW) is ends


@pytest.mark.parametrize(
    "url",
    [
        "https://receiver.example",
        "https://receiver.example:8443/a/b%20c;d=1,2",
        "http://10.0.0.1/",
        "https://[2001:db8::1]:443/x",
        "https://xn--bcher-kva.example/~user/@me",
        "https://receiver.example:65535",
    ],
)
def test_an_address_may_be(url: str) -> None:
    assert webhook_of(create(url=url)).url == url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://receiver.example/",
        "https://user:secret@receiver.example/",
        "https://user@receiver.example/",
        "https://receiver.example/?token=secret",
        "https://receiver.example/#x",
        "https://receiver.example:65536/",
        "https://receiver.example:0/",
        "https://-receiver.example/",
        "https://.example/",
        "https:///path",
        "https://bücher.example/",
        "https://receiver.example/a b",
        "https://receiver.example/\r\nHost: other",
        "https://receiver.example/\n",
        "HTTPS://receiver.example/",
        "receiver.example",
        "",
    ],
)
def test_an_address_may_not_be(url: str) -> None:
    assert ledger_with().refused(create(url=url)).rule == "webhook_url"
    assert ledger_with(create()).refused(changed(url=url)).rule == "webhook_url"


def test_the_secret_before_signs_until_the_overlap_has_ended() -> None:
    webhook = webhook_of(create(), RotateWebhookSecret("whk_1", NOW + HOUR))
    assert webhook.secrets(NOW) == (2, 1)
    assert webhook.secrets(NOW + HOUR - timedelta(microseconds=1)) == (2, 1)
    assert webhook.secrets(NOW + HOUR) == (2,)
    assert webhook_of(create()).secrets(NOW) == (1,)
    twice = webhook_of(create(), RotateWebhookSecret("whk_1", NOW + HOUR), RotateWebhookSecret("whk_1", NOW))
    assert twice.secrets(NOW) == (3,), "without an overlap the others end at once"


def test_what_restarts_a_webhook_makes_failures_count_anew() -> None:
    assert webhook_of(create()).restarted == 1
    assert webhook_of(create(), changed(hours=1)).restarted == 2
    assert webhook_of(create(), PauseWebhook("whk_1"), ResumeWebhook("whk_1")).restarted == 3
    assert webhook_of(create(), RotateWebhookSecret("whk_1", NOW)).restarted == 1
    replayed = webhook_of(create(after=5), changed(hours=1), ReplayWebhook("whk_1", 7))
    assert (replayed.restarted, replayed.begun, replayed.after) == (3, 3, 7)


def test_a_filter_is_kept_sorted_and_without_doubles() -> None:
    webhook = webhook_of(create(types=("b.b", "a.a", "b.b")))
    assert webhook.filter == Filter(types=("a.a", "b.b"))


def test_nothing_happens_to_one_that_is_removed() -> None:
    ledger = ledger_with(create(), RemoveWebhook("whk_1"))
    for command in (
        changed(hours=1),
        RotateWebhookSecret("whk_1", NOW),
        PauseWebhook("whk_1"),
        ResumeWebhook("whk_1"),
        ReplayWebhook("whk_1", 0),
        RemoveWebhook("whk_1"),
        DISABLE,
    ):
        assert ledger.refused(command).rule == "webhook_status"


def test_the_contact_is_a_person() -> None:
    assert MemoryLedger().execute(create(person="prsn_nobody")) == Unknown("person", "prsn_nobody")


CREATED = WebhookCreated("whk_1", 1, "https://receiver.example", (), (), (), "prsn_ada", 5, 24, None)


def test_disabling_names_who_is_told_and_why() -> None:
    given(CREATED).when(DISABLE).then(WebhookDisabled("whk_1", 2, "prsn_ada", "answered", 503, 5, SINCE))
    given(CREATED).when(replace(DISABLE, failures=4)).then(refusal("webhook_not_failing", failures=4))


def test_only_processes_disable_and_only_operators_and_administrators_create() -> None:
    operator = MemoryLedger().context.principal
    assert forbid(operator, DISABLE, NOW) is not None
    assert forbid(operator, create(), NOW) is None
    assert forbid(by_person("prsn_ada", "administrator"), create(), NOW) is None
    assert forbid(by_person("prsn_ada"), create(), NOW) is not None


def test_the_notice_queues_one_mail_for_the_contact() -> None:
    event = WebhookDisabled("whk_1", 2, "prsn_ada", "answered", 503, 5, SINCE)
    trigger = Happened(MANAGER.process_of(event) or "", "event:7", event)
    state = MANAGER.evolve(None, trigger)
    [command] = MANAGER.react(state, trigger).intents
    assert isinstance(command, QueueMail)
    assert (command.person, command.template, command.cause_version) == ("prsn_ada", "webhook_disabled", 2)
