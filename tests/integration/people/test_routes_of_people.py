"""Each route of people: it takes its sample once, and nobody else may send it. By every role, alone and in a batch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.permissions import ROLES
from domain.registry import PERMISSIONS
from tests.samples.registry import OF_PEOPLE, command_routes
from tests.samples.sample import Request
from tests.support.answers import accepted
from tests.support.people import administrators, signed_in
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until

DECLARED = {path: route.endpoint.declaration for path, route in command_routes().items()}  # type: ignore[attr-defined]
SHOWN = {
    "access_token",
    "access_token_expires_at",
    "api_key",
    "recovery_codes",
    "refresh_token",
    "refresh_token_expires_at",
    "session_ends_at",
}
"""Members that only the first answer has."""


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


def sent(service: Service, route: str, request: Request, **more: str) -> tuple[int, str]:
    """Status and code of an answer."""
    response = service.post(request.path(route).removeprefix("/v1/"), dict(request.body), **more)
    return response.status_code, response.json().get("code", "")


@pytest.mark.parametrize("route", OF_PEOPLE)
def test_every_route_takes_its_sample_once(service: Service, route: str) -> None:
    """The second request gets the answer of the first one, without what is shown once."""
    request = OF_PEOPLE[route](service)
    path, key = request.path(route).removeprefix("/v1/"), f"sample of {route}"
    done = service.post(path, dict(request.body), token=request.token, key=key)
    first = accepted(done, done.status_code)
    assert done.status_code in (200, 201)
    if route in ("/v1/people/{person}/delete", "/v1/sessions/{session}/end"):
        return  # the token is worth nothing now
    again = service.post(path, dict(request.body), token=request.token, key=key)
    assert again.status_code == done.status_code, again.text
    kept = {name: value for name, value in first.items() if name not in SHOWN}
    assert again.json() == kept | ({"shown_before": True} if kept != first else {})


BY_OPERATORS = ("/v1/webhooks", "/v1/webhooks/{webhook}/rotate-secret")
"""What a machine of the role operator sends too: `tests/integration/webhooks` has its tests."""


@pytest.mark.parametrize(
    ("route", "role"),
    [
        (route, role)
        for route in OF_PEOPLE
        for role in ROLES
        if not route.startswith("/v1/periods") and not (role == "operator" and route in BY_OPERATORS)
    ],
)
def test_a_token_of_the_file_sends_none_of_them_but_what_its_role_may(service: Service, route: str, role: str) -> None:
    """Alone and in a batch. A machine approves nothing, and is nobody."""
    request = OF_PEOPLE[route](service)
    assert role not in PERMISSIONS[DECLARED[route].makes] or route == "/v1/sessions/{session}/end"
    before = service.log_digest()
    status, code = sent(service, route, request, role=role)
    assert (status, code) == ((404, "unknown") if role == "operator" and "sessions/{" in route else (403, "forbidden"))
    if role in ("command", "operator"):
        item = {"path": request.path(route), "body": dict(request.body), "key": f"machine {route} {role}"}
        [answer] = service.post("batches", [item], role=role).json()
        secret = DECLARED[route].secret
        assert answer["status"] == (400 if secret else status), answer
    assert service.log_digest().events == before.events


@pytest.mark.parametrize("route", [route for route in OF_PEOPLE if "{person}" in route])
def test_a_person_changes_nothing_about_another_one(service: Service, route: str) -> None:
    """Not even an administrator, where only the person themselves may."""
    request = OF_PEOPLE[route](service)
    stranger = signed_in(service)
    strangers = service.log_digest()
    status, code = sent(service, route, request, token=stranger.access)
    assert (status, code) == (403, "forbidden")
    assert service.log_digest().events == strangers.events


@pytest.mark.parametrize("route", [route for route in OF_PEOPLE if DECLARED[route].secret])
def test_a_command_with_a_secret_is_sent_alone_and_has_no_dry_run(service: Service, route: str) -> None:
    request = OF_PEOPLE[route](service)
    before = service.log_digest()
    path = request.path(route)
    tried = service.post(f"{path.removeprefix('/v1/')}?dry_run=true", dict(request.body), token=request.token)
    assert (tried.status_code, tried.json()["code"]) == (400, "malformed")
    assert tried.json()["figures"] == {"known": [], "unknown": ["dry_run"]}
    items = [{"path": path, "body": dict(request.body)}]
    atomic = service.post("batches?atomic=true", items, role="operator")
    assert atomic.status_code == 400
    assert "send it alone" in atomic.json()["detail"]
    assert service.log_digest() == before


@pytest.mark.parametrize("route", [route for route in OF_PEOPLE if "visitor" in DECLARED[route].may])
def test_a_visitor_has_a_long_key(service: Service, route: str) -> None:
    request = OF_PEOPLE[route](service)
    short = service.post(request.path(route).removeprefix("/v1/"), dict(request.body), token="", key="k" * 15)
    assert (short.status_code, short.json()["code"]) == (400, "key_missing")
    path = request.path(route).removeprefix("/v1/")
    long = service.post(path, dict(request.body), token="", key=f"{route[-12:]:k>16}")
    assert long.status_code in (200, 201), long.text


def test_an_administrator_without_a_second_factor_is_told_so(service: Service) -> None:
    ada, _ = administrators(service)
    person = signed_in(service)
    done = ada.post("people/" + person.id + "/suspend", {"reason": "Spam"})
    assert done.status_code == 200, done.text
    moderator = signed_in(service, "operator")
    policy = ada.post("policies/sign-in", {"second_factor_roles": ["administrator", "operator"]})
    assert policy.status_code in (200, 422)
    wait_until(lambda: moderator.get("me").json()["withheld"] == ["operator"], "the policy")
    refused = moderator.get("log")
    assert refused.status_code == 403
    assert refused.json()["detail"].endswith("has the role operator only in a session with a second factor.")


def test_no_token_of_a_role_is_a_person(service: Service) -> None:
    assert service.get("me", role="operator", fresh=False).json()["person"] is None
    assert service.http.get("/v1/me", headers={"Authorization": f"Bearer {TOKENS['command']}"}).status_code == 403
