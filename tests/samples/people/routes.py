"""Valid requests of persons and visitors to each route of a command that is theirs, made on a running service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.samples.sample import Request
from tests.support.people import (
    PASSWORD,
    Somebody,
    administrators,
    people_of,
    registered,
    signed_in,
    verified,
)

OTHER = "Twelve-Steps-8-Up"
Make = Callable[[Any], Request]


def _registration(service: Any) -> Request:
    name = registered(service).username
    body = {"username": f"x{name}", "email": f"x{name}@example.com", "name": "Ada", "password": PASSWORD}
    return Request({}, body, "")


def _mailed(purpose: Any, version: int, **body: Any) -> Make:
    def make(service: Any) -> Request:
        person = registered(service) if purpose == "verify" else verified(service)
        token = people_of(service).mail_tokens.issue(person.id, purpose, version)
        assert token is not None
        return Request({}, {"token": token.reveal(), **body}, "")

    return make


def _own(prepare: Callable[[Somebody], Mapping[str, Any]]) -> Make:
    """A request of a person about themselves. `prepare` returns its body."""

    def make(service: Any) -> Request:
        person = signed_in(service)
        body = prepare(person)
        return Request({"person": person.id}, body, person.access)

    return make


def _stated(**body: Any) -> Make:
    return _own(lambda person: body)


def _by_administrator(prepare: Callable[[Any, Somebody, Somebody], None] | None = None, **body: Any) -> Make:
    """A request of an administrator about somebody. `prepare` gets the service, the administrator and the person."""

    def make(service: Any) -> Request:
        ada, _ = administrators(service)
        person = verified(service)
        if prepare is not None:
            prepare(service, ada, person)
        return Request({"person": person.id}, body, ada.access)

    return make


def _did(path: str, **body: Any) -> Callable[[Any, Somebody, Somebody], None]:
    """What an administrator does about somebody before."""

    def prepare(service: Any, ada: Somebody, person: Somebody) -> None:
        done = ada.post(f"people/{person.id}/{path}", body)
        assert done.status_code == 200, done.text

    return prepare


def _begun(person: Somebody) -> Mapping[str, Any]:
    begun = person.own("second-factor/begin", {"password": person.password})
    person.secret = begun.json()["secret"]
    return {"code": person.code()}


def _with_second_factor(person: Somebody) -> Mapping[str, Any]:
    person.sign_in_with_second_factor()
    return {"password": person.password}


def _agreed(person: Somebody) -> Mapping[str, Any]:
    assert person.own("consents", {"purpose": "newsletter", "text_version": "1"}).status_code == 200
    return {"purpose": "newsletter"}


ACCOUNT = "acct_01h455vb4pex5vsknk084sn02q"
KEY = {"name": "a program", "areas": ["accounts", "orders"], "access": "command", "per_minute": 100}


def _of_key(**body: Any) -> Make:
    def make(service: Any) -> Request:
        person = signed_in(service)
        made = person.own("api-keys", KEY)
        assert made.status_code == 201, made.text
        return Request({"person": person.id, "key": made.json()["key"]}, body, person.access)

    return make


OF_PERSONS: Mapping[str, Make] = {
    "/v1/people": _registration,
    "/v1/people/verify-email": _mailed("verify", 1),
    "/v1/people/reset-password": _mailed("reset", 2, password=OTHER),
    "/v1/people/{person}/password": _stated(current=PASSWORD, password=OTHER),
    "/v1/people/{person}/profile": _stated(
        name="Ada King",
        biography="Counts",
        location="London",
        website="https://example.com/ada",
        birth_date="1990-12-10",
    ),
    "/v1/people/{person}/settings": _stated(time_zone="Europe/Prague", language="cs"),
    "/v1/people/{person}/consents": _stated(purpose="newsletter", text_version="1"),
    "/v1/people/{person}/consents/withdraw": _own(_agreed),
    "/v1/people/{person}/delete": _stated(reason="On request"),
    "/v1/people/{person}/suspend": _by_administrator(reason="Spam"),
    "/v1/people/{person}/reactivate": _by_administrator(_did("suspend", reason="Spam"), reason="A mistake"),
    "/v1/people/{person}/restore": _by_administrator(_did("delete", reason="Spam"), reason="A mistake"),
    "/v1/people/{person}/roles": _by_administrator(role="author", context="case-7", until="2027-01-01T00:00:00Z"),
    "/v1/people/{person}/roles/revoke": _by_administrator(_did("roles", role="author"), role="author"),
    "/v1/people/{person}/sessions/end": _stated(but_this=True),
    "/v1/people/{person}/second-factor": _own(_begun),
    "/v1/people/{person}/second-factor/remove": _own(_with_second_factor),
    "/v1/people/{person}/recovery-codes": _own(_with_second_factor),
    "/v1/people/{person}/api-keys": _stated(**KEY, accounts=[ACCOUNT], until="2027-01-01T00:00:00Z"),
    "/v1/people/{person}/api-keys/{key}/replace": _of_key(overlap_seconds=60, until="2027-01-01T00:00:00Z"),
    "/v1/people/{person}/api-keys/{key}/end": _of_key(),
}


def _sign_in(service: Any) -> Request:
    person = verified(service)
    return Request({}, {"name": person.username, "password": person.password}, "")


def _session(service: Any) -> Request:
    person = signed_in(service)
    return Request({"session": person.session}, {}, person.access)


OF_SESSIONS: Mapping[str, Make] = {"/v1/sign-in": _sign_in, "/v1/sessions/{session}/end": _session}


def _policy(service: Any) -> Request:
    ada, _ = administrators(service)
    now = ada.get("policies/sign-in").json()["second_factor_roles"]
    other = ["administrator"] if "operator" in now else ["administrator", "operator"]
    return Request({}, {"second_factor_roles": other}, ada.access)


OF_POLICIES: Mapping[str, Make] = {"/v1/policies/sign-in": _policy}


def _appointment(service: Any) -> Request:
    ada, _ = administrators(service)
    return Request({}, {"person": verified(service).id}, ada.access)


def _removal(service: Any) -> Request:
    ada, bob = administrators(service)
    return Request({}, {"person": bob.id}, ada.access)


def _of_request(by_other: bool) -> Make:
    def make(service: Any) -> Request:
        ada, bob = administrators(service)
        asked = ada.post("administrators", {"person": verified(service).id})
        assert asked.status_code == 201, asked.text
        return Request({"approval": asked.json()["approval"]}, {}, (bob if by_other else ada).access)

    return make


OF_ADMINISTRATORS: Mapping[str, Make] = {
    "/v1/administrators": _appointment,
    "/v1/administrators/remove": _removal,
    "/v1/administrators/requests/{approval}/approve": _of_request(by_other=True),
    "/v1/administrators/requests/{approval}/reject": _of_request(by_other=True),
    "/v1/administrators/requests/{approval}/withdraw": _of_request(by_other=False),
}


HOLD = {"ground": "case-3", "reason": "A lawsuit"}


def _held(service: Any) -> Request:
    ada, _ = administrators(service)
    person = verified(service)
    placed = ada.post(f"people/{person.id}/legal-holds", HOLD)
    assert placed.status_code == 201, placed.text
    return Request({"person": person.id}, HOLD, ada.access)


def _of_export(by_other: bool) -> Make:
    def make(service: Any) -> Request:
        ada, bob = administrators(service)
        asked = ada.post(f"people/{verified(service).id}/exports")
        assert asked.status_code == 201, asked.text
        return Request({"approval": asked.json()["approval"]}, {}, (bob if by_other else ada).access)

    return make


OF_PRIVACY: Mapping[str, Make] = {
    "/v1/people/{person}/legal-holds": _by_administrator(None, **HOLD),
    "/v1/people/{person}/legal-holds/lift": _held,
    "/v1/people/{person}/erasures": _stated(),
    "/v1/people/{person}/exports": _stated(),
    "/v1/privacy-requests/{approval}/approve": _of_export(by_other=True),
    "/v1/privacy-requests/{approval}/reject": _of_export(by_other=True),
    "/v1/privacy-requests/{approval}/withdraw": _of_export(by_other=False),
}
