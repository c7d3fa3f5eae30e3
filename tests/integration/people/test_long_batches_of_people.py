"""Long batches of persons and API keys are carried out with what their senders may do then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from domain.people.person.roles import GrantRole, RevokeRole
from domain.people.person.status import SuspendPerson
from tests.samples.posts.post import DRAFT
from tests.support.long_batches import (
    deposit,
    fresh,
    items_of,
    long_batch_worker,
    opened,
    send_part,
    sent,
    shown,
)
from tests.support.memory_ledger import ADMINISTRATOR, By
from tests.support.people import Somebody, signed_in
from tests.support.postgres import Server
from tests.support.service import Service, service_on


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


def carry_out(service: Service, between: Callable[[], object] = lambda: None) -> None:
    """Let a worker do everything that waits. `between` is called once, after the first part."""
    waits = [between]

    def on_step(step: str) -> None:
        if step == "remove" and waits:
            waits.pop()()

    with long_batch_worker(service, on_step) as worker:
        while worker.sweep():
            pass


def by_administrator(service: Service, command: Any) -> None:
    service.executed(By(ADMINISTRATOR, command))


def api_key(ada: Somebody, *areas: str, **more: Any) -> tuple[str, str]:
    """A key for commands: its id and its text."""
    made = ada.own("api-keys", {"name": "a program", "areas": list(areas), "access": "command", **more}).json()
    return made["key"], made["api_key"]


def two_deposits(service: Service, ada: Somebody | None = None, *, token: str | None = None) -> str:
    """A long batch of two parts with a deposit each."""
    account = service.account()
    return sent(service, [deposit(account), deposit(account)], 1, token=token or (ada and ada.access))


def test_a_person_needs_no_session_any_more(service: Service) -> None:
    ada = signed_in(service, "operator")
    batch = two_deposits(service, ada)
    assert ada.post(f"sessions/{ada.session}/end").status_code == 200
    carry_out(service)
    assert shown(service, batch, role="audit")["outcomes"]["accepted"] == 2


def test_a_person_who_is_suspended_meanwhile_ends_the_batch(service: Service) -> None:
    ada = signed_in(service, "operator")
    batch = two_deposits(service, ada)
    carry_out(service, lambda: by_administrator(service, SuspendPerson(ada.id, "Spam")))
    found = shown(service, batch, role="audit")
    assert (found["status"], found["cause"], found["outcomes"]["accepted"]) == ("stopped", "sender", 1)


def test_a_person_who_lost_a_role_meanwhile_is_refused_each_item(service: Service) -> None:
    ada = signed_in(service, "operator")
    batch = two_deposits(service, ada)
    carry_out(service, lambda: by_administrator(service, RevokeRole(ada.id, "operator")))
    read = items_of(service, batch, role="audit")
    assert [(item["outcome"], item["code"]) for item in read] == [("accepted", None), ("not_recorded", "forbidden")]
    assert shown(service, batch, role="audit")["status"] == "finished"


def test_a_role_that_came_later_does_not_count(service: Service) -> None:
    ada = signed_in(service, "author")
    batch = two_deposits(service, ada)
    by_administrator(service, GrantRole(ada.id, "operator", None))
    carry_out(service)
    assert [item["code"] for item in items_of(service, batch, role="audit")] == ["forbidden"] * 2


def test_items_of_an_api_key_are_held_to_its_scope(service: Service) -> None:
    ada = signed_in(service, "operator", "audit")
    _, text = api_key(ada, "accounts", "system")
    post = {"key": fresh("post"), "path": "/v1/posts", "body": DRAFT}
    batch = sent(service, [deposit(service.account()), post], 2, token=text)
    assert service.get(f"long-batches/{batch}", token=text).status_code == 200
    own = sent(service, [{**post, "key": fresh("post")}], 1, token=ada.access)
    carry_out(service)
    read = items_of(service, batch, role="audit")
    assert [(item["outcome"], item["code"]) for item in read] == [("accepted", None), ("not_recorded", "forbidden")]
    assert shown(service, own, role="audit")["outcomes"]["accepted"] == 1, "the person may"


def test_a_key_without_the_area_of_long_batches_or_for_some_accounts_opens_none(service: Service) -> None:
    ada = signed_in(service, "operator")
    for areas, more in ((("accounts",), {}), (("accounts", "system"), {"accounts": [service.account()]})):
        _, text = api_key(ada, *areas, **more)
        answer = service.post("long-batches", {"items": 1}, token=text)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_an_api_key_that_has_ended_ends_the_batch(service: Service) -> None:
    ada = signed_in(service, "operator")
    id, text = api_key(ada, "accounts", "system")
    batch, other = two_deposits(service, token=text), two_deposits(service, ada)
    carry_out(service, lambda: ada.own(f"api-keys/{id}/end"))
    found = shown(service, batch, role="audit")
    assert (found["status"], found["cause"], found["parts_done"]) == ("stopped", "sender", 1)
    assert shown(service, other, role="audit")["outcomes"]["accepted"] == 2, "the person goes on"


def test_a_key_for_reading_opens_no_long_batch(service: Service) -> None:
    ada = signed_in(service, "operator")
    _, text = api_key(ada, "accounts", "system", access="read")
    assert service.post("long-batches", {"items": 1}, token=text).status_code == 403
    batch = opened(service, 1, token=ada.access)
    assert send_part(service, batch, 1, ["a text"], token=text).status_code == 403
