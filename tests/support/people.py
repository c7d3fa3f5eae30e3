"""People of a running service: they register, verify, sign in, and send requests with their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
import pyotp

from api.services import People
from domain.kernel import Role
from domain.people.administrators import AppointAdministrator
from domain.people.person.roles import GrantRole
from domain.people.person.state import Person
from tests.support.memory_ledger import ADMINISTRATOR, MACHINE, By
from tests.support.service import Service

PASSWORD = "Eleven-Steps-7-Up"
_numbers = count(1)


def key() -> str:
    """An idempotency key that nobody else chooses."""
    return f"key-{uuid4()}"


@dataclass
class Somebody:
    """A person with their names, password and tokens."""

    service: Service
    id: str
    username: str
    email: str
    password: str = PASSWORD
    access: str = ""
    refresh: str = ""
    session: str = ""
    secret: str | None = None  # of the second factor

    @property
    def state(self) -> Person:
        """As of now."""
        return people_of(self.service).states.load([self.id])[self.id]  # type: ignore[no-any-return]

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Post a command in the session of the person."""
        response: httpx.Response = self.service.post(path, body, token=self.access, **{"key": key(), **more})
        return response

    def own(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Post a command about the person themselves."""
        return self.post(f"people/{self.id}/{path}", body, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Read in the session of the person."""
        more.setdefault("fresh", path.startswith("people") and path.count("/") < 2)  # the others read no table
        return self.service.get(path, token=self.access, **more)

    def sign_in(self, **more: Any) -> httpx.Response:
        """Sign in; the tokens are kept if it succeeds."""
        code = {} if self.secret is None else {"code": self.code()}
        body = {"name": self.username, "password": self.password, **code, **more}
        response = visit(self.service, "sign-in", body)
        if response.status_code == 201:
            self.keep(response)
        return response

    def keep(self, response: httpx.Response) -> None:
        """Keep the tokens of an answer."""
        answer = response.json()
        self.access, self.refresh = answer["access_token"], answer["refresh_token"]
        self.session = answer.get("session", self.session)

    def code(self) -> str:
        """The code of the second factor now."""
        assert self.secret is not None
        return pyotp.TOTP(self.secret).at(self.service.services.clock())

    def set_second_factor(self) -> list[str]:
        """Set up a second factor, and return the recovery codes."""
        begun = self.own("second-factor/begin", {"password": self.password})
        assert begun.status_code == 201, begun.text
        self.secret = begun.json()["secret"]
        done = self.own("second-factor", {"code": self.code()})
        assert done.status_code == 201, done.text
        codes: list[str] = done.json()["recovery_codes"]
        return codes

    def sign_in_with_second_factor(self) -> list[str]:
        """Set up a second factor, sign in with it, and return the recovery codes that are left."""
        used, *codes = self.set_second_factor()
        response = self.sign_in(code=used)
        assert response.status_code == 201, response.text
        return codes


def people_of(service: Service) -> People:
    """The services of people."""
    assert service.services.people is not None
    return service.services.people


def visit(service: Service, path: str, body: Any, *, idempotency: str | None = None) -> httpx.Response:
    """Post without a token."""
    response = service.http.post(f"/v1/{path}", json=body, headers={"Idempotency-Key": idempotency or key()})
    if "Daybook-Position" in response.headers:
        service.saw(response.headers["Daybook-Position"])
    return response


def registered(service: Service, username: str | None = None, **more: Any) -> Somebody:
    """Somebody registers. The address is not verified."""
    username = username or f"name-{next(_numbers)}-{uuid4().hex[:8]}"
    body = {"username": username, "email": f"{username}@example.com", "name": "Ada Lovelace", "password": PASSWORD}
    body |= more
    response = visit(service, "people", body)
    assert response.status_code == 201, response.text
    return Somebody(service, response.json()["person"], username, body["email"], body["password"])


def verified(service: Service, username: str | None = None, **more: Any) -> Somebody:
    """Somebody registers and verifies the address, with the token that a mail worker makes."""
    somebody = registered(service, username, **more)
    token = people_of(service).mail_tokens.issue(somebody.id, "verify", 1)
    assert token is not None
    response = visit(service, "people/verify-email", {"token": token.reveal()})
    assert response.status_code == 200, response.text
    return somebody


def signed_in(service: Service, *roles: Role, **more: Any) -> Somebody:
    """Somebody who has signed in, with these roles."""
    somebody = verified(service, **more)
    for role in roles:
        service.executed(By(ADMINISTRATOR, GrantRole(somebody.id, role)))  # type: ignore[arg-type]
    response = somebody.sign_in()
    assert response.status_code == 201, response.text
    return somebody


def administrator(service: Service) -> Somebody:
    """An administrator in a session with a second factor."""
    somebody = verified(service)
    service.executed(By(MACHINE, AppointAdministrator(somebody.id)))
    assert somebody.sign_in().status_code == 201
    somebody.sign_in_with_second_factor()
    return somebody


def administrators(service: Service) -> tuple[Somebody, Somebody]:
    """Two administrators, the same for each caller. Only the machine appoints the first two."""
    if "administrators" not in service.made:
        service.made["administrators"] = (administrator(service), administrator(service))
    found: tuple[Somebody, Somebody] = service.made["administrators"]
    return found
