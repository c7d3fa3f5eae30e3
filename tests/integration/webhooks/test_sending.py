"""Webhooks against a receiver that fails, hangs, answers late and comes back; several workers, crashes, replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from threading import Barrier, Event

import pytest

from domain.webhooks.webhook.commands import (
    ChangeWebhook,
    PauseWebhook,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateWebhookSecret,
)
from eventstore.executor.decided_commands import Submission
from eventstore.executor.reply_sinks import ExecutorError, UnavailableError
from eventstore.log.answers import Answer
from tests.samples.people.person import registered
from tests.support.ledger import NOW, assert_sound, deposit, opening
from tests.support.postgres import Database
from tests.support.processes import settle
from tests.support.waiting import wait_until
from tests.support.webhooks import (
    HANG,
    WEBHOOK,
    Received,
    Receiver,
    Webhooks,
    receiver,
    signed_with,
    streams_in_order,
    webhooks_on,
)
from workers.ports import free_port
from workers.processes.worker import sender
from workers.webhooks import sending
from workers.webhooks.messages import Message
from workers.webhooks.pausing import FIRST_PAUSE, LONGEST_PAUSE
from workers.webhooks.sending import Https
from workers.webhooks.worker import WINDOW, Worker

HOUR = timedelta(hours=1)


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


def finished(worker: Worker, most: int = 50) -> None:
    """Sweep until nothing is due."""
    for _ in range(most):
        if not worker.sweep():
            return
    raise AssertionError("the worker goes round and round")


def accounts(webhooks: Webhooks, number: int = 3, deposits: int = 4) -> list[str]:
    """Accounts with deposits, which are events on several streams."""
    opened = [opening() for _ in range(number)]
    webhooks.do(*opened)
    made = [one.account for one in opened]
    webhooks.do(*(deposit(account, 100) for _ in range(deposits) for account in made))
    return made


def test_events_are_sent_from_its_creation_on_signed_and_in_order(webhooks: Webhooks, to: Receiver) -> None:
    accounts(webhooks)
    begun = webhooks.create(to.url).last_position
    assert begun is not None
    after = [webhooks.do(one).last_position for one in (opening(), opening())]
    finished(webhooks.worker())
    assert sorted(to.positions) == list(range(begun + 1, (after[-1] or 0) + 1))
    assert streams_in_order(to.taken)
    first = to.taken[0]
    assert first.id == f"{WEBHOOK}:{first.position}"
    assert first.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert signed_with(webhooks.secret(1), first)
    assert not signed_with(webhooks.secret(2), first), "another secret"
    assert first.event["source"].startswith("urn:daybook:log:")


def test_personal_fields_stay_sealed(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("person.registered",))
    webhooks.do(registered("prsn_bob"))
    finished(webhooks.worker())
    [one] = to.taken
    assert one.event["data"]["email"].startswith("2."), "as it is stored"
    assert b"@example.com" not in one.body


def test_what_is_sent_has_the_stored_bytes(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",))
    webhooks.do(opening())
    finished(webhooks.worker())
    [one] = to.taken
    row = (
        webhooks.processes.reading()
        .execute(
            "SELECT convert_from(payload, 'UTF8'), type, stream, version FROM log.events WHERE position = %s",
            (one.position,),
        )
        .fetchone()
    )
    assert row is not None
    assert one.body.decode().endswith(f',"data":{row[0]}}}')
    assert (one.event["type"], one.event["subject"], one.event["streamversion"]) == row[1:]


def test_a_filter_chooses_by_area_type_and_account(webhooks: Webhooks, to: Receiver) -> None:
    wanted = opening()
    webhooks.do(wanted)
    webhooks.create(to.url, areas=("accounts",), types=("account.credited",), accounts=(wanted.account,))
    others = accounts(webhooks, 2, 1)
    webhooks.do(deposit(wanted.account, 100), deposit(others[0], 5))
    finished(webhooks.worker())
    assert [(one.event["subject"], one.event["type"]) for one in to.taken] == [(wanted.account, "account.credited.v1")]
    position = webhooks.reached()
    assert position.position == webhooks.head(), "what is not wanted is behind it too"


def test_an_event_that_fails_is_tried_again_after_growing_pauses(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",), failures=100)
    webhooks.do(opening())
    to.behaviours = [503, 500, 404]
    worker = webhooks.worker()
    for failures in (1, 2, 3):
        finished(worker)
        position = webhooks.reached()
        assert (position.failures, position.failing_since) == (failures, NOW)
        pause = FIRST_PAUSE * 2 ** (failures - 1)
        assert position.next_at == webhooks.processes.clock.now + pause
        webhooks.later(pause - timedelta(microseconds=1))
        finished(worker)
        assert len(to.received) == failures, "not before its time"
        webhooks.later(timedelta(microseconds=1))
    finished(worker)
    assert len(to.taken) == 1
    assert {one.id for one in to.received} == {to.taken[0].id}, "the id is the same in every attempt"
    assert [(one.attempt, one.status, one.cause) for one in webhooks.attempts()] == [
        (1, 503, "answered"),
        (2, 500, "answered"),
        (3, 404, "answered"),
        (4, 200, None),
    ]
    assert len(webhooks.attempts(failed=True)) == 3
    position = webhooks.reached()
    assert (position.failures, position.failing_since, position.next_at) == (0, None, None)


def test_an_event_of_a_stream_waits_for_the_one_before_it(webhooks: Webhooks, to: Receiver) -> None:
    """One stream fails, and the others go on."""
    webhooks.create(to.url, areas=("accounts",), failures=100)
    first, *_ = accounts(webhooks)
    refused = [True]

    def refuse_first(request: Received) -> int:
        return 500 if request.event["subject"] == first and refused else 200

    to.usual = refuse_first
    worker = webhooks.worker()
    finished(worker)
    assert all(one.event["subject"] != first for one in to.taken)
    assert len({one.position for one in to.received if one.event["subject"] == first}) == 1, "only its first event"
    position = webhooks.reached()
    assert len(position.ahead) == len(to.taken) > 10
    refused.clear()
    webhooks.later(FIRST_PAUSE)
    finished(worker)
    assert streams_in_order(to.taken)
    assert len(to.positions) == len(set(to.positions)), "what was taken is not sent again"
    position = webhooks.reached()
    assert (position.position, position.ahead) == (webhooks.head(), ())


def test_a_window_bounds_how_far_other_streams_get_ahead(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",), failures=100)
    webhooks.do(*(opening() for _ in range(WINDOW + 20)))
    stuck = webhooks.head() - WINDOW - 19
    to.usual = lambda request: 500 if request.position <= stuck else 200
    finished(webhooks.worker())
    position = webhooks.reached()
    assert len(position.ahead) < WINDOW
    to.usual = 200
    webhooks.later(FIRST_PAUSE)
    finished(webhooks.worker())
    assert len(set(to.positions)) == WINDOW + 20


def test_a_receiver_that_hangs_is_left_and_answers_late_to_nobody(
    webhooks: Webhooks, to: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks.create(to.url, types=("account.opened",), failures=100)
    webhooks.do(opening())
    to.behaviours = [HANG]
    worker = webhooks.worker(timeout_seconds=0.2)
    with monkeypatch.context() as patched:
        # Only the wait for the answer takes time, so that a machine that stalls before it leaves no request unsent.
        patched.setattr(sending, "monotonic", lambda: 0.0)
        patched.setattr(sending, "resolved", lambda *_, **__: ["127.0.0.1"])
        finished(worker)
    [attempt] = webhooks.attempts()
    assert (attempt.cause, attempt.status) == ("too_slow", None)
    wait_until(to.hanging.is_set, "the request")
    to.released.set()  # now it answers 200, and nobody listens
    webhooks.later(FIRST_PAUSE)
    finished(webhooks.worker())
    assert [one.id for one in to.received] == [to.taken[0].id] * 2, "it may have taken the first one"


def test_a_redirect_is_not_followed(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",), failures=100)
    webhooks.do(opening())
    to.behaviours = [302]
    finished(webhooks.worker())
    [attempt] = webhooks.attempts()
    assert (attempt.cause, attempt.status) == ("redirected", 302)


def test_an_address_that_is_not_public_gets_nothing(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",), failures=100)
    webhooks.do(opening())
    finished(webhooks.worker(sending=Https(allow_http=True)))
    finished(webhooks.worker(sending=Https(allow_private=True)))
    webhooks.later(FIRST_PAUSE)
    finished(webhooks.worker(sending=Https(allow_private=True)))
    assert [one.cause for one in webhooks.attempts()] == ["address_refused", "scheme_refused"]
    assert to.received == []


def test_it_is_disabled_by_its_policy_with_a_mail_and_goes_on_where_it_was(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(f"http://127.0.0.1:{free_port()}/", types=("account.opened",), failures=3, hours=1)
    webhooks.do(opening())
    worker = webhooks.worker()
    for _ in range(12):
        finished(worker)
        webhooks.later(LONGEST_PAUSE / 6)
    row = webhooks.row()
    assert (row.status, row.cause, row.reply) == ("disabled", "unreachable", None)
    made = len(webhooks.attempts())
    finished(worker)
    assert len(webhooks.attempts()) == made, "a disabled webhook is sent nothing"
    settle(webhooks.processes.worker())
    webhooks.processes.wait_until_folded()
    found = webhooks.processes.reading().execute("SELECT person, template FROM read.mails").fetchall()
    assert sorted(found) == [(f"prsn_{WEBHOOK}", "verify"), (f"prsn_{WEBHOOK}", "webhook_disabled")]
    webhooks.do(
        ChangeWebhook(WEBHOOK, to.url, (), ("account.opened",), (), f"prsn_{WEBHOOK}", 3, 1), ResumeWebhook(WEBHOOK)
    )
    finished(worker)
    assert len(to.taken) == 1
    assert webhooks.row().status == "active"


def test_it_is_not_disabled_before_its_time_however_often_it_fails(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",), failures=3, hours=2)
    webhooks.do(opening())
    to.usual = 500
    worker = webhooks.worker()
    while webhooks.processes.clock.now < NOW + 2 * HOUR:
        assert webhooks.row().status == "active"
        finished(worker)
        webhooks.later(timedelta(minutes=10))
    webhooks.later(LONGEST_PAUSE)
    finished(worker)
    assert webhooks.row().status == "disabled"


def test_gone_disables_it_at_once(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",))
    webhooks.do(opening())
    to.usual = 410
    finished(webhooks.worker())
    row = webhooks.row()
    assert (row.status, row.cause, row.reply) == ("disabled", "gone", 410)


def test_what_cannot_be_recorded_disables_it_at_the_next_failure(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",))
    webhooks.do(opening())
    to.usual = 410
    usual, full = sender(webhooks.processes.ledger.executor), [True]

    def sometimes(submissions: Sequence[Submission]) -> Sequence[Answer | ExecutorError]:
        return [UnavailableError("full")] if full and full.pop() else usual(submissions)

    worker = webhooks.worker(send=sometimes)
    finished(worker)
    assert webhooks.row().status == "active"
    webhooks.later(FIRST_PAUSE)
    finished(worker)
    assert webhooks.row().status == "disabled"


def test_a_pause_sends_nothing_and_a_removed_one_neither(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",))
    webhooks.do(PauseWebhook(WEBHOOK), opening())
    worker = webhooks.worker()
    finished(worker)
    assert to.received == []
    webhooks.do(ResumeWebhook(WEBHOOK))
    finished(worker)
    assert len(to.taken) == 1
    webhooks.do(RemoveWebhook(WEBHOOK), opening())
    finished(worker)
    assert len(to.received) == 1


def test_a_replay_sends_the_same_ids_again(webhooks: Webhooks, to: Receiver) -> None:
    begun = webhooks.create(to.url, types=("account.opened",)).last_position or 0
    webhooks.do(opening(), opening())
    worker = webhooks.worker()
    finished(worker)
    before = sorted(one.id for one in to.taken)
    webhooks.do(ReplayWebhook(WEBHOOK, begun))
    finished(worker)
    assert sorted(one.id for one in to.taken[2:]) == before
    assert [one.attempt for one in webhooks.attempts()] == [1, 1, 2, 2]
    webhooks.do(ReplayWebhook(WEBHOOK, 0))
    finished(worker)
    assert sorted(one.id for one in to.taken[4:]) == sorted([f"{WEBHOOK}:1", *before]), "also what was before it"


def test_it_can_begin_at_a_position(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, after=0, areas=("accounts",))
    finished(webhooks.worker())
    assert to.positions[0] == 1, "the cash account was opened first"


def test_two_secrets_sign_during_a_rotation(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",))
    webhooks.do(RotateWebhookSecret(WEBHOOK, NOW + HOUR), opening())
    worker = webhooks.worker()
    finished(worker)
    assert all(signed_with(webhooks.secret(version), to.taken[0]) for version in (1, 2))
    webhooks.later(HOUR)
    webhooks.do(opening())
    finished(worker)
    assert [signed_with(webhooks.secret(version), to.taken[1]) for version in (1, 2)] == [False, True]


def test_a_slow_receiver_delays_no_other(webhooks: Webhooks, to: Receiver) -> None:
    with receiver() as slow:
        slow.usual = HANG
        webhooks.create(slow.url, "whk_slow", types=("account.opened",))
        webhooks.create(to.url, types=("account.opened",))
        webhooks.do(opening())
        worker, stop = webhooks.worker(timeout_seconds=30), Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(worker.run, stop, lambda pause: None, 0.01)
            wait_until(lambda: len(to.taken) == 1 and slow.hanging.is_set(), "the other one is sent to")
            assert webhooks.position("whk_slow") is None, "it still hangs"
            webhooks.do(opening())
            wait_until(lambda: len(to.taken) == 2, "and again")
            stop.set()
            slow.released.set()
            running.result()


def test_two_workers_send_each_event_once_and_in_order(webhooks: Webhooks, to: Receiver) -> None:
    begun = webhooks.create(to.url).last_position or 0
    accounts(webhooks, 4, 10)
    together = Barrier(2)
    workers = [webhooks.worker(), webhooks.worker()]

    def work(number: int) -> None:
        together.wait()
        while (position := webhooks.position()) is None or position.position < webhooks.head():
            workers[number].sweep()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    assert sorted(to.positions) == list(range(begun + 1, webhooks.head() + 1))
    assert streams_in_order(to.taken)


def test_a_crash_sends_again_what_was_not_recorded_and_loses_nothing(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url)
    accounts(webhooks, 2, 3)

    class Crash(BaseException):
        pass

    class Crashing(Https):
        def post(self, url: str, message: Message) -> int:
            status = super().post(url, message)
            if len(to.taken) >= 4:
                raise Crash
            return status

    with pytest.raises(Crash):
        webhooks.worker(sending=Crashing(allow_http=True, allow_private=True)).sweep()
    first = len(to.taken)
    assert first >= 4
    finished(webhooks.worker())
    again = to.taken[first:]
    assert {one.id for one in to.taken[:first]} <= {one.id for one in again}, "at least once"
    assert streams_in_order(again)
    numbers = sorted({one.position for one in again})
    assert all(b == a + 1 for a, b in pairwise(numbers))
    assert numbers[-1] == webhooks.head()


def test_an_answer_that_is_no_http_and_one_without_an_end(webhooks: Webhooks, to: Receiver) -> None:
    webhooks.create(to.url, types=("account.opened",), failures=100)
    webhooks.do(opening())
    to.behaviours = [b"220 mail.example ESMTP\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000]
    worker = webhooks.worker()
    for _ in range(2):
        finished(worker)
        webhooks.later(LONGEST_PAUSE)
    assert [one.cause for one in webhooks.attempts()] == ["malformed", "malformed"]
    finished(worker)
    assert len(to.taken) == 1
