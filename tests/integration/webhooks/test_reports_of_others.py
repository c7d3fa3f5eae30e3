"""What users of Svix, Standard Webhooks, Stripe, Firefly III and Salesforce reported of webhooks, tried here.

Each test names its report. The numbers are of issues and pull requests of these projects on GitHub.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest

from domain.accounts.chart.nodes import AddNode
from domain.accounts.recurring import CreateRecurringPayment, Schedule
from domain.webhooks.webhook.commands import ReplayWebhook, RotateWebhookSecret
from domain.webhooks.webhook.rules import MOST_POSITION
from domain.webhooks.webhook.state import MOST_SECRETS_BEFORE
from tests.integration.webhooks.test_sending import finished
from tests.support.ledger import NOW, TODAY, assert_sound, deposit, opening
from tests.support.postgres import Database
from tests.support.processes import settle
from tests.support.webhooks import WEBHOOK, Received, Receiver, Webhooks, receiver, signed_with, webhooks_on

HOUR = timedelta(hours=1)
OPENED = ("account.opened",)


@pytest.fixture
def webhooks(database18: Database) -> Iterator[Webhooks]:
    """In the end the log is sound, and the tables are what the log says."""
    with webhooks_on(database18) as made:
        yield made
        assert made.processes.verify().ok
        assert_sound(database18)


@pytest.fixture
def to() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def signing(webhooks: Webhooks, request: Received) -> list[int]:
    """Which secrets signed a request, by the versions of the events that made them."""
    versions = range(1, webhooks.row().version + 1)
    return [version for version in versions if signed_with(webhooks.secret(version), request)]


def test_each_secret_signs_until_the_end_that_it_was_given(webhooks: Webhooks, to: Receiver) -> None:
    """Svix, issue 613: messages were signed with old keys that had expired.

    Here the opposite: a second rotation ended the first secret, although that had been given more time.
    """
    webhooks.create(to.url, types=OPENED)
    worker = webhooks.worker()

    def next_signed() -> list[int]:
        webhooks.do(opening())
        finished(worker)
        return signing(webhooks, to.taken[-1])

    webhooks.do(RotateWebhookSecret(WEBHOOK, NOW + 2 * HOUR), RotateWebhookSecret(WEBHOOK, NOW + 3 * HOUR))
    assert next_signed() == [1, 2, 3]
    assert len(to.taken[-1].headers["webhook-signature"].split(" ")) == 3
    webhooks.later(2 * HOUR)
    assert next_signed() == [2, 3], "the first one has ended"
    webhooks.later(HOUR)
    assert next_signed() == [3]
    webhooks.do(*(RotateWebhookSecret(WEBHOOK, NOW + 5 * HOUR) for _ in range(MOST_SECRETS_BEFORE + 1)))
    assert next_signed() == [4, 5, 6, 7, 8], "the newest ones, if there are too many"
    webhooks.do(RotateWebhookSecret(WEBHOOK, NOW + 4 * HOUR))
    webhooks.later(HOUR)
    assert next_signed() == [9], "a shorter overlap ends those before too"


def test_a_receiver_that_is_gone_is_heard_among_other_failures(webhooks: Webhooks, to: Receiver) -> None:
    """Standard Webhooks, pull request 291: a receiver wants to say by its answer that it takes nothing any more.

    Here 410 disabled a webhook only if no earlier event of the log failed in the same turn of another cause.
    """
    webhooks.create(to.url, types=OPENED, failures=100)
    made = [opening() for _ in range(2)]
    webhooks.do(*made)
    to.usual = lambda request: 503 if request.event["subject"] == made[0].account else 410
    finished(webhooks.worker())
    row = webhooks.row()
    assert (row.status, row.cause, row.reply) == ("disabled", "gone", 410)
    in_order = sorted(webhooks.attempts(), key=lambda one: one.position)
    assert [(one.status, one.cause) for one in in_order] == [(503, "answered"), (410, "gone")]


def test_the_signature_is_of_the_bytes_whatever_they_are(webhooks: Webhooks, to: Receiver) -> None:
    """stripe-python, issue 346, and stripe-php, issue 884: a payload that was decoded or written anew did not verify.

    A payload has characters of several bytes, and such that JSON may write in two ways.
    """
    title = "Größe / Żółw & 'co'"
    webhooks.create(to.url, types=("chart.node_added",))
    webhooks.do(AddNode("1000", title, "asset"))
    finished(webhooks.worker())
    [one] = to.taken
    assert one.event["data"]["title"] == title
    assert int(one.headers["content-length"]) == len(one.body) > len(one.body.decode())
    assert signed_with(webhooks.secret(1), one)
    anew = Received(one.headers, orjson.dumps(one.event, option=orjson.OPT_SORT_KEYS))
    assert not signed_with(webhooks.secret(1), anew)
    assert not signed_with(webhooks.secret(1), Received(one.headers, one.body + b" "))


def test_each_attempt_has_a_timestamp_and_a_signature_of_its_own(webhooks: Webhooks, to: Receiver) -> None:
    """Svix, issue 93: a message that was sent again after an hour was outside of the receiver's tolerance."""
    webhooks.create(to.url, types=OPENED, failures=100)
    webhooks.do(opening())
    to.behaviours = [500, 500]
    worker = webhooks.worker()
    for _ in range(3):
        finished(worker)
        webhooks.later(HOUR)
    stamps = [int(one.headers["webhook-timestamp"]) for one in to.received]
    assert stamps == [int((NOW + number * HOUR).timestamp()) for number in range(3)]
    assert all(signed_with(webhooks.secret(1), one) for one in to.received)
    old = Received({**to.received[2].headers, "webhook-timestamp": str(stamps[0])}, to.received[2].body)
    assert not signed_with(webhooks.secret(1), old), "the timestamp is signed too"
    assert {(one.id, one.body) for one in to.received} == {(to.taken[0].id, to.taken[0].body)}


def test_the_event_that_made_something_comes_before_what_changed_it(webhooks: Webhooks, to: Receiver) -> None:
    """stripe-cli, issues 418 and 1191: an update came before the creation of the same object.

    The creation is refused twice here, and the next events wait for it.
    """
    webhooks.create(to.url, areas=("accounts",), failures=100)
    made = opening()
    webhooks.do(made, deposit(made.account, 100), deposit(made.account, 200))
    refusals = [500, 500]
    to.usual = lambda request: refusals.pop() if request.event["type"] == "account.opened.v1" and refusals else 200
    worker = webhooks.worker()
    for _ in range(3):
        finished(worker)
        webhooks.later(HOUR)
    of_it = [one.event["streamversion"] for one in to.received if one.event["subject"] == made.account]
    assert of_it == [1, 1, 1, 2, 3]


def test_a_run_of_a_recurring_payment_is_told_once(webhooks: Webhooks, to: Receiver) -> None:
    """Firefly III, issue 11281: a webhook was called twice for a transaction that a recurring one created."""
    payer, payee = opening(), opening()
    webhooks.do(payer, payee, deposit(payer.account, 10_000))
    webhooks.create(to.url, types=("transaction.posted", "recurring_payment.run"))
    payment = CreateRecurringPayment(
        payment="recur_1",
        payer=payer.account,
        payee=payee.account,
        amount=100,
        currency="EUR",
        schedule=Schedule("days", 1, TODAY, runs=2),
    )
    webhooks.do(payment)
    runs, worker = webhooks.processes.worker(), webhooks.worker()
    for _ in range(4):
        settle(runs)
        webhooks.processes.wait_until_folded()
        finished(worker)
        webhooks.later(timedelta(days=1))
    types = [one.event["type"] for one in to.received]
    assert sorted(types) == ["recurring_payment.run.v1"] * 2 + ["transaction.posted.v1"] * 2
    assert len({one.id for one in to.received}) == 4
    told = {one.event["data"]["transaction"] for one in to.taken if one.event["subject"] == "recur_1"}
    assert told == {one.event["subject"] for one in to.taken if one.event["type"] == "transaction.posted.v1"}


def test_a_position_that_is_not_there_yet_leaves_out_nothing_that_comes(webhooks: Webhooks, to: Receiver) -> None:
    """EMP-Connector, issue 14: a receiver began after an id that did not exist, and got nothing.

    Here a webhook with such a position was silent until the log had reached it.
    """
    webhooks.create(to.url, types=OPENED, after=MOST_POSITION)
    worker, made = webhooks.worker(), [opening() for _ in range(3)]

    def told() -> list[str]:
        finished(worker)
        return [one.event["subject"] for one in to.received]

    webhooks.do(made[0])
    assert told() == [made[0].account]
    webhooks.do(made[1], ReplayWebhook(WEBHOOK, MOST_POSITION))
    assert told() == [made[0].account], "what was before the replay is left out"
    webhooks.do(made[2])
    assert told() == [made[0].account, made[2].account]
    assert webhooks.reached().position == webhooks.head()
