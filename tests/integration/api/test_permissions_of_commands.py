"""Who may send a command, through each way in: alone, in a batch, in an atomic batch, and from a part of Daybook.

The table of permissions is `domain.registry.PERMISSIONS`; `docs/reference/permissions.md` is generated from it.
"""

from __future__ import annotations

from typing import Any

import pytest

from domain.kernel import Principal
from domain.permissions import EVERYONE, ROLES
from domain.registry import PERMISSIONS, unwrapped
from tests.samples.registry import ROUTES, command_routes
from tests.support.ledger import NOW
from tests.support.service import Service
from workers.composition import system_submission

OF_ROUTES = {path: route.endpoint.declaration.makes for path, route in command_routes().items()}  # type: ignore[attr-defined]

OF_SENDERS = ("/v1/long-batches/{long_batch}/stop",)
"""Commands about what only its sender and operators know. The samples are of an operator."""


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", ROUTES)
def test_each_way_in_asks_the_same_function(service18: Service, route: str, role: str) -> None:
    request = ROUTES[route](service18)
    path, body = request.path(route), dict(request.body)
    permitted = role in PERMISSIONS[OF_ROUTES[route]]
    token = request.token if role == "operator" else None  # what only a person sends, an operator who is one sends
    alone = service18.post(f"{path.removeprefix('/v1/')}?dry_run=true", body, role=role, token=token)
    assert (alone.status_code != 403) is permitted, alone.text
    item = {"path": path, "body": body}
    batch = service18.post("batches?dry_run=true", [{**item, "key": "k"}], role=role, token=token)
    atomic = service18.post("batches?atomic=true&dry_run=true", [item], role=role, token=token)
    if role in EVERYONE:  # others may not send batches at all
        [answer] = batch.json()
        assert (answer["status"] != 403) is permitted, answer
        assert (atomic.status_code != 403) is permitted, atomic.text
    else:
        assert (batch.status_code, atomic.status_code) == (403, 403)
    if permitted and (route not in OF_SENDERS or role == "operator"):
        assert alone.status_code in (200, 201), alone.text


def sent_by(service: Service, monkeypatch: pytest.MonkeyPatch, route: str) -> Any:
    """The command that a route makes."""
    made: list[Any] = []
    submit = service.services.executor.submit

    def noted(submission: Any, *rest: Any) -> None:
        made.append(submission)
        submit(submission, *rest)

    monkeypatch.setattr(service.services.executor, "submit", noted)
    request = ROUTES[route](service)
    service.post(
        f"{request.path(route).removeprefix('/v1/')}?dry_run=true",
        dict(request.body),
        role="operator",
        token=request.token,
    )
    return unwrapped(made[-1].command)


@pytest.mark.parametrize("route", ROUTES)
def test_a_part_of_daybook_is_asked_too_and_a_route_makes_the_command_it_declares(
    service18: Service, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    command = sent_by(service18, monkeypatch, route)
    assert type(command) is OF_ROUTES[route]
    for role in ROLES:
        principal = Principal("system:test", (role,), "system")
        if role in PERMISSIONS[type(command)]:
            system_submission(principal, "key", command, "request", "main", NOW)
        else:
            with pytest.raises(PermissionError, match=f"{type(command).__name__} is for"):
                system_submission(principal, "key", command, "request", "main", NOW)


def test_a_forbidden_item_stops_no_other_item_and_is_a_line_of_the_access_log(
    service18: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "daybook.access")
    account = service18.account()
    items = [
        {"path": "/v1/policies/posting", "key": f"p-{account}", "body": {"most_days_back": 20_000}},
        {"path": "/v1/accounts", "key": f"c-{account}", "body": {"type": "cash", "currency": "EUR", "name": "Cash"}},
        {"path": f"/v1/accounts/{account}/deposits", "key": f"d-{account}", "body": {"amount": "1", "currency": "EUR"}},
    ]
    answers = service18.post("batches", items).json()
    assert [answer["status"] for answer in answers] == [403, 403, 201]
    assert answers[0]["body"]["detail"] == "ChangePostingPolicy is for operator; the-command has command."
    [line] = [record.message for record in caplog.records if '"access.refused"' in record.message]
    assert '"items": 2' in line
    before = service18.log_digest()
    atomic = service18.post("batches?atomic=true", [{"path": one["path"], "body": one["body"]} for one in items])
    assert (atomic.status_code, atomic.json()["code"]) == (403, "forbidden")
    assert service18.log_digest() == before
