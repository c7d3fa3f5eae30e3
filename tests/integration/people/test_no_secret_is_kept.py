"""No secret that people use over HTTP is kept: not in the database, a published record, a log line, a file name.

The life of some persons uses every kind of secret, in requests that succeed and in those that fail. Then each secret is
searched for, in each form, in every place. The same search finds what was put into each place on purpose.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import Connection
from pydantic import BaseModel, ValidationError

from api import registry
from api.commands.execution import request_hash
from api.gateway.routes import RouteTable
from api.people.registration import PasswordBody, RegistrationBody, ResetBody, VerificationBody
from api.people.second_factor import CodeBody, PasswordOnlyBody, RemovalBody, StatedPasswordBody
from api.people.sessions import RefreshBody, SignInBody
from domain.people.person.mail import AskForMail
from domain.people.person.roles import GrantRole
from domain.registry import MANAGERS
from eventstore.log.unit_records import read_units
from eventstore.postgres.connect import connect
from tests.samples.registry import command_routes
from tests.support.credentials import MovedClock
from tests.support.ledger import NOW, codec_of
from tests.support.mail import SENDER, parts, sent
from tests.support.memory_ledger import ADMINISTRATOR, VISITOR, By
from tests.support.people import Somebody, key, people_of, visit
from tests.support.postgres import Server
from tests.support.processes import settle
from tests.support.searching import dump, found, found_codes, found_digests
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until
from workers.mail.sending import Folder
from workers.mail.worker import Worker
from workers.processes.running import QUERIES
from workers.processes.worker import Worker as ProcessWorker
from workers.processes.worker import sender

FIRST, SECOND, THIRD = "Vq7!kzRw-first-one", "Kp3?mnTz-second-one", "Zr9#wbLx-third-one"
WRONG, AS_NAME, WEAK = "Hd4%cvQj-wrong-guess", "Gy6&fpNm-typed-as-a-name", "unusable-kxqzvw-without-capitals"
MALFORMED, IN_BATCH, BASIC = "Tw5*jkBd-malformed-body", "Lx8=rgVc-in-a-batch", "Sn2+hmFt-of-basic-scheme"
IN_FAULT, IN_NAME = "Cb7^dzKp-in-a-fault", "Mf3~qtWh-of-another-kind"
TOO_LONG = "Jr5@" + "vnGx-too-long-" * 80
WRONG_CODES = ("907315", "481926")
ROUTES = RouteTable(registry.routes())
PLANTED = "Planted-Secret-77"
PLANTED_CODE = "650832"
OF_THE_CLIENT = ("httpx", "httpcore")
"""Loggers of the client of these tests."""


class Lines(logging.Handler):
    """What the service logs, at every level, with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(OF_THE_CLIENT):
            self.lines.append(self.format(record))


@dataclass
class Life:
    """Uses every kind of secret, and keeps each of them and every answer."""

    service: Service
    clock: MovedClock
    folder: Path
    lines: Lines
    sent: list[str] = field(default_factory=list)  # what a client sends, and no answer may have
    shown: list[str] = field(default_factory=list)  # what one answer has
    guessable: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)  # of six digits
    answers: list[httpx.Response] = field(default_factory=list)
    retries: list[httpx.Response] = field(default_factory=list)
    reads: Connection[Any] = field(init=False)

    def live(self) -> None:
        self.guessable += [FIRST, SECOND, THIRD, WRONG, AS_NAME, WEAK, MALFORMED, IN_BATCH, BASIC, IN_FAULT, TOO_LONG]
        self.guessable.append(IN_NAME)
        self.codes += WRONG_CODES
        self.registration()
        self.mail_tokens()
        self.signing_in()
        self.second_factor()
        self.refreshing()
        self.api_keys()
        self.passwords()
        self.malformed()
        self.faults()
        self.sent += self.guessable

    def keep_answer(self, answer: httpx.Response) -> None:
        answer.read()
        self.answers.append(answer)

    def post(self, status: int, path: str, body: Any, **more: Any) -> httpx.Response:
        """A visitor's request, which must be answered with this status."""
        response = visit(self.service, path, body, **more)
        assert response.status_code == status, (path, response.text)
        return response

    def twice(self, status: int, path: str, body: Any) -> httpx.Response:
        """A visitor's request, and its retry. The first answer is returned."""
        once = key()
        first = self.post(status, path, body, idempotency=once)
        self.retries.append(self.post(status, path, body, idempotency=once))
        return first

    def registration(self) -> None:
        body = {"username": "ada", "email": "ada@example.com", "name": "Ada Lovelace", "password": FIRST}
        done = self.twice(201, "people", body)
        self.ada = Somebody(self.service, done.json()["person"], "ada", "ada@example.com", FIRST)
        self.post(422, "people", {**body, "email": "eve@example.com", "password": SECOND})
        self.post(422, "people", {**body, "username": "eve", "email": "eve@example.com", "password": WEAK})
        self.post(422, "people", {**body, "username": AS_NAME, "email": "eve@example.com", "password": SECOND})
        self.post(422, "people", {**body, "username": "eve", "email": AS_NAME, "password": SECOND})

    def mail_tokens(self) -> None:
        token = self.mailed()
        self.post(422, "people/verify-email", {"token": token[:-1]})
        self.post(422, "people/reset-password", {"token": token, "password": SECOND})
        self.twice(200, "people/verify-email", {"token": token})
        self.post(422, "people/verify-email", {"token": token})

    def mailed(self) -> str:
        """The token of the newest mail, which the workers queue and write into the folder."""
        service = self.service
        before = set(self.folder.glob("*.eml"))
        send = sender(service.services.executor)
        checkpoints = service.services.checkpoints
        self.wait_until_folded()
        settle(ProcessWorker(send, "main", self.reads, checkpoints, MANAGERS, self.clock, QUERIES))
        self.wait_until_folded()
        tokens, number = people_of(service).mail_tokens, service.services.log_number
        codec, delivery = codec_of(self.reads, number), Folder(self.folder)
        worker = Worker(send, "main", number, self.reads, codec, checkpoints, tokens, delivery, SENDER, self.clock)
        assert sent(worker) >= 1
        for file in set(self.folder.glob("*.eml")) - before:
            message = message_from_bytes(file.read_bytes(), policy=SMTPUTF8)
            assert isinstance(message, EmailMessage)
            text, _ = parts(message)
            words = [word for word in text.split() if word.startswith("dbm_")]
            if words:
                self.sent.append(words[0])
                return words[0]
        raise AssertionError("no mail has a token")

    def wait_until_folded(self) -> None:
        row = self.reads.execute("SELECT position FROM log.logs WHERE name = 'main'").fetchone()
        assert row is not None
        names = ("people", "mails", "processes")
        self.service.services.checkpoints.wait_here(names, row[0], 60)

    def signing_in(self) -> None:
        self.post(401, "sign-in", {"name": "ada", "password": WRONG})
        self.post(401, "sign-in", {"name": "nobody", "password": WRONG})
        self.post(401, "sign-in", {"name": AS_NAME, "password": WRONG})
        self.post(401, "sign-in", {"name": "ada", "password": TOO_LONG[:1_000]})
        self.clock.move(seconds=60)
        self.keep(self.twice(201, "sign-in", {"name": "ada@example.com", "password": FIRST}))
        for headers in ({"Authorization": f"Bearer {self.ada.access}x"}, {"Authorization": basic("ada", BASIC)}):
            assert self.service.http.get("/v1/me", headers=headers).status_code == 401

    def keep(self, response: httpx.Response) -> None:
        self.ada.keep(response)
        self.shown += [self.ada.access, self.ada.refresh]

    def second_factor(self) -> None:
        ada = self.ada
        assert ada.own("second-factor/begin", {"password": WRONG}).status_code == 401
        begun = ada.own("second-factor/begin", {"password": FIRST}).json()
        ada.secret = begun["secret"]
        self.shown.append(begun["secret"])
        assert ada.own("second-factor", {"code": WRONG_CODES[0]}).status_code == 401
        once = key()
        code = self.code()
        done = ada.own("second-factor", {"code": code}, key=once)
        self.retries.append(ada.own("second-factor", {"code": code}, key=once))
        recovery = done.json()["recovery_codes"]
        stated = {"name": "ada", "password": FIRST}
        self.keep(self.post(201, "sign-in", {**stated, "code": recovery[1]}))
        once = key()
        remade = ada.own("recovery-codes", {"password": FIRST}, key=once)
        self.retries.append(ada.own("recovery-codes", {"password": FIRST}, key=once))
        assert ada.own("recovery-codes", {"password": WRONG}).status_code == 401
        fresh = remade.json()["recovery_codes"]
        self.shown += [*recovery, *fresh]
        self.post(401, "sign-in", {**stated, "code": WRONG_CODES[1]})
        self.post(401, "sign-in", {**stated, "code": code})
        self.post(401, "sign-in", {**stated, "code": recovery[0]})
        self.clock.move(seconds=61)
        self.keep(self.twice(201, "sign-in", {**stated, "code": self.code()}))
        self.keep(self.post(201, "sign-in", {**stated, "code": fresh[0]}))
        self.post(401, "sign-in", {**stated, "code": fresh[0]})
        self.clock.move(minutes=1)
        assert ada.own("second-factor/remove", {"password": WRONG}).status_code == 401
        assert ada.own("second-factor/remove", {"password": FIRST}).status_code == 200

    def code(self) -> str:
        code = self.ada.code()
        self.codes.append(code)
        return code

    def refreshing(self) -> None:
        old = self.ada.refresh
        self.keep(self.refresh(200, old))
        self.refresh(401, old)
        self.refresh(401, self.ada.refresh)
        self.refresh(401, f"{old}x")
        self.keep(self.post(201, "sign-in", {"name": "ada", "password": FIRST}))
        self.clock.move(minutes=16)
        assert self.ada.get("me").json()["code"] == "token_expired"
        self.clock.move(days=40)
        self.refresh(401, self.ada.refresh)
        self.keep(self.post(201, "sign-in", {"name": "ada", "password": FIRST}))

    def refresh(self, status: int, token: str) -> httpx.Response:
        response = self.service.http.post("/v1/sessions/refresh", json={"refresh_token": token})
        assert response.status_code == status, response.text
        return response

    def api_keys(self) -> None:
        ada, once = self.ada, key()
        self.service.executed(By(ADMINISTRATOR, GrantRole(ada.id, "operator")))
        body = {"name": "nightly", "areas": ["accounts"], "access": "read"}
        made = ada.own("api-keys", body, key=once)
        self.retries.append(ada.own("api-keys", body, key=once))
        id, text = made.json()["key"], made.json()["api_key"]
        once = key()
        replaced = ada.own(f"api-keys/{id}/replace", {"overlap_seconds": 60}, key=once)
        self.retries.append(ada.own(f"api-keys/{id}/replace", {"overlap_seconds": 60}, key=once))
        new = replaced.json()["api_key"]
        self.shown += [text, new]
        for working in (text, new):
            assert self.service.get("accounts", token=working).status_code == 200
        assert self.service.get("log", token=new).status_code == 403
        assert self.service.get("accounts", token=f"{new[:-1]}!").status_code == 401
        assert ada.get(f"people/{ada.id}/api-keys").status_code == 200
        assert ada.own(f"api-keys/{replaced.json()['key']}/end").status_code == 200
        wait_until(lambda: self.service.get("accounts", token=new).status_code == 401, "the end of the key")

    def passwords(self) -> None:
        ada = self.ada
        assert ada.own("password", {"current": WRONG, "password": SECOND}).status_code == 401
        assert ada.own("password", {"current": FIRST, "password": WEAK}).status_code == 422
        once, body = key(), {"current": FIRST, "password": SECOND}
        assert ada.own("password", body, key=once).status_code == 200
        self.retries.append(ada.own("password", body, key=once))
        self.service.executed(By(VISITOR, AskForMail(ada.id, "reset")))
        token = self.mailed()
        self.post(422, "people/reset-password", {"token": token, "password": WEAK})
        self.twice(200, "people/reset-password", {"token": token, "password": THIRD})
        self.post(422, "people/reset-password", {"token": token, "password": FIRST})
        self.keep(self.post(201, "sign-in", {"name": "ada", "password": THIRD}))
        ada.password = THIRD
        self.shown += ada.set_second_factor()
        assert ada.secret is not None
        self.shown.append(ada.secret)
        self.codes.append(ada.code())

    def malformed(self) -> None:
        registration = {"username": "eve", "email": "eve@example.com", "name": "Eve", "password": MALFORMED}
        changes: tuple[dict[str, Any], ...]
        changes = ({"username": 7}, {"colour": "red"}, {"password": [MALFORMED]}, {"password": TOO_LONG})
        for change in changes:
            self.post(400, "people", {**registration, **change})
        sign_in: dict[str, Any] = {"name": "ada", "password": MALFORMED}
        changes = ({"name": None}, {"code": MALFORMED}, {"password": {"is": MALFORMED}}, {"password": TOO_LONG})
        for change in changes:
            self.post(400, "sign-in", {**sign_in, **change})
        self.post(400, "sign-in", [MALFORMED])
        self.post(400, "sign-in", MALFORMED)
        self.post(400, "people/reset-password", {"token": MALFORMED * 20, "password": MALFORMED})
        self.post(400, "sessions/refresh", {"refresh_token": MALFORMED * 20})
        text = json.dumps(sign_in)
        for content, kind in (
            (text[:-3], "application/json"),
            (text[:-1] + f', "password": "{MALFORMED}"' + "}", "application/json"),
            (text, "text/plain"),
            (text.replace(MALFORMED, MALFORMED + "\\u0000"), "application/json"),
        ):
            headers = {"Content-Type": kind, "Idempotency-Key": key()}
            assert self.service.http.post("/v1/sign-in", content=content, headers=headers).status_code == 400
        items = [
            {"path": "/v1/people", "body": {**registration, "password": IN_BATCH}, "key": key()},
            {"path": "/v1/sign-in", "body": {"name": "ada", "password": IN_BATCH}, "key": key()},
        ]
        for path in ("batches", "batches?atomic=true"):
            answer = self.service.post(path, items, role="operator")
            assert answer.status_code in (200, 400)
            assert '"status":200' not in answer.text.replace(" ", "")

    def faults(self) -> None:
        """An error of the program that quotes the password is logged without its message."""
        people = people_of(self.service)
        for error, status in ((psycopg.OperationalError(IN_FAULT), 503), (RuntimeError(IN_FAULT), 500)):
            with failing(people.passwords, "check", error):
                self.post(status, "sign-in", {"name": "ada", "password": IN_NAME})
        with failing(people.persons, "find", RuntimeError(IN_FAULT)):
            lost = self.ada.get("me")
        assert (lost.status_code, lost.json()["code"]) == (500, "internal")

    def plant(self) -> None:
        """Put a value where a secret could be: an event, a record of a command, a read table, a line, a name."""
        done = self.ada.own("consents", {"purpose": PLANTED, "text_version": PLANTED_CODE})
        assert done.status_code == 200, done.text
        logging.getLogger("daybook.somewhere").debug("the password is %s and the code %s", PLANTED, PLANTED_CODE)
        logging.getLogger("uvicorn.error").info("%s %s", PLANTED, PLANTED_CODE)
        (self.folder / f"{PLANTED_CODE} {PLANTED}.eml").touch()
        self.wait_until_folded()
        self.ada.get(f"people/{self.ada.id}")

    def places(self) -> Mapping[str, bytes]:
        """Everything that is kept, as text, by the place."""
        with connect(self.service.database.url, application_name="search") as connection:
            units, after = [], 0
            while page := read_units(connection, self.service.services.log_number, after, 1_000):
                units += page
                after = page[-1].last
            events = connection.execute("SELECT payload, metadata FROM log.events ORDER BY position").fetchall()
        return {
            "the database": dump(self.service.database),
            "units that are published": b"\n".join(unit.record for unit in units),
            "events that are published": b"\n".join(part for event in events for part in event),
            "log lines": "\n".join(self.lines.lines).encode(),
            "names of files": "\n".join(file.name for file in self.folder.iterdir()).encode(),
        }


@contextmanager
def failing(target: Any, method: str, error: Exception) -> Iterator[None]:
    """A method raises this error for a while."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    setattr(target, method, fail)
    try:
        yield
    finally:
        delattr(target, method)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def life(postgres18: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A life that was lived, with all that it left behind."""
    clock, lines, root = MovedClock(NOW), Lines(), logging.getLogger()
    loggers = [root, logging.getLogger("uvicorn")]
    level = root.level
    root.setLevel(logging.DEBUG)
    with ExitStack() as opened:
        opened.callback(root.setLevel, level)
        database = opened.enter_context(postgres18.database())
        service = opened.enter_context(service_on(database, clock=clock))
        for logger in loggers:
            logger.addHandler(lines)
            opened.callback(logger.removeHandler, lines)
        made = Life(service, clock, tmp_path_factory.mktemp("mails"), lines)
        made.reads = opened.enter_context(connect(database.query_url, application_name="life", read_only=True))
        service.http.event_hooks = {"response": [made.keep_answer]}
        made.live()
        service.http.event_hooks = {}
        yield made


@pytest.fixture(scope="module")
def places(life: Life) -> Mapping[str, bytes]:
    return life.places()


PLACES = ("the database", "units that are published", "events that are published", "log lines", "names of files")


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_kept(life: Life, places: Mapping[str, bytes], place: str) -> None:
    assert len(life.shown) > 35
    assert len(life.sent) > 12
    assert found([*life.sent, *life.shown], places[place]) == []
    assert found_digests([*life.guessable, *life.codes], places[place]) == []
    assert found_codes(life.codes, places[place]) == []


def test_the_places_have_what_the_life_left(life: Life, places: Mapping[str, bytes]) -> None:
    """The search looks where something is: at the rows of each store, and at lines of each kind."""
    for table in (
        *(f"credentials.{name}" for name in ("api_keys", "attempts", "mail_tokens", "passwords", "recovery_codes")),
        *(f"credentials.{name}" for name in ("refresh_tokens", "sessions", "totp")),
        *(f"log.{name}" for name in ("events", "commands", "snapshots", "subject_keys")),
        "access.reads",
        *(f"read.{name}" for name in ("people", "mails", "processes", "sign_ins")),
    ):
        assert f"INSERT INTO {table} ".encode() in places["the database"], table
    for kind in (b"person.registered.v1", b"session.opened.v1", b"process."):
        assert kind in places["units that are published"], kind
    for line in (b"access.refused", b"failed with RuntimeError"):
        assert line in places["log lines"], line
    assert places["names of files"].count(b".eml") >= 2


def test_no_plain_digest_of_a_request_with_a_secret_is_kept(life: Life, places: Mapping[str, bytes]) -> None:
    """Who has the log could try passwords with it. Of other requests there is one."""
    secret: set[bytes] = set()
    other: set[bytes] = set()
    for answer in life.answers:
        path = answer.request.url.path
        route = ROUTES.find(path)
        if answer.request.method == "POST" and route is not None and is_json(answer.request.content):
            digest = request_hash(path, None, json.loads(answer.request.content)).hex().encode()
            (secret if getattr(route.path.post, "secret", False) else other).add(digest)
    assert len(secret) > 40
    assert [digest for digest in secret if digest in places["the database"]] == []
    assert [digest for digest in other if digest in places["the database"]], "the end of an API key"


def is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def test_each_search_finds_what_is_there(life: Life) -> None:
    """Else the tests above would prove nothing."""
    life.plant()
    for place, text in life.places().items():
        assert found([PLANTED], text) == [PLANTED], place
        if place != "the database":
            assert found_codes([PLANTED_CODE], text) == [PLANTED_CODE], place
    assert found_codes([PLANTED_CODE], f"VALUES (1, '{PLANTED_CODE}', 2)".encode()) == [PLANTED_CODE]
    as_bytes = f'{{"code":"{PLANTED_CODE}"}}'.encode().hex().encode()
    assert found_codes([PLANTED_CODE], as_bytes) == [PLANTED_CODE]
    assert found_codes([PLANTED_CODE], f"12:00:00.{PLANTED_CODE}+00".encode()) == []


@pytest.mark.parametrize("skipped", range(3))
def test_each_form_of_a_secret_and_of_its_beginning_is_found(skipped: int) -> None:
    """In clear, in hexadecimal, in base64 within something longer; and a plain digest of it."""
    for part in (FIRST, FIRST[:12]):
        raw = part.encode()
        for kept in (
            raw,
            raw.hex().encode(),
            base64.b64encode(b"ab"[:skipped] + raw + b"xyz"),
            raw.hex().upper().encode(),
        ):
            assert found([FIRST, SECOND], b"<" + kept + b">") == [FIRST], kept


def test_an_answer_shows_no_secret_that_was_sent(life: Life) -> None:
    """Neither one that succeeds nor one that says what was wrong with the request."""
    assert len([answer for answer in life.answers if answer.status_code >= 400]) > 50
    for answer in life.answers:
        assert found(life.sent, whole(answer)) == [], (answer.request.url, answer.text)
        assert found_codes(life.codes, whole(answer)) == [], (answer.request.url, answer.text)


def test_what_is_shown_is_in_one_answer(life: Life) -> None:
    for secret in life.shown:
        showing = [answer for answer in life.answers if secret.encode() in whole(answer)]
        assert len(showing) == 1, (secret, [answer.request.url for answer in showing])
        assert showing[0].status_code in (200, 201)


def test_a_retry_shows_nothing(life: Life) -> None:
    assert len(life.retries) >= 9
    for retry in life.retries:
        assert retry.status_code in (200, 201), retry.text
        assert retry.headers["Idempotency-Replayed"] == "true"
        assert found([*life.shown, *life.sent], whole(retry)) == [], retry.request.url


def test_an_answer_with_a_secret_is_not_stored_on_its_way(life: Life) -> None:
    for answer in life.answers:
        assert answer.headers["Cache-Control"] == "no-store", answer.request.url


def whole(answer: httpx.Response) -> bytes:
    return b"\n".join([*(name + b": " + value for name, value in answer.headers.raw), answer.content])


def test_the_description_has_no_secret(life: Life) -> None:
    text = life.service.http.get("/v1/openapi.json").content
    assert b"Eleven-Steps-7-Up" in text
    assert found([*life.sent, *life.shown], text) == []


def test_no_repr_has_a_secret(life: Life) -> None:
    """Of the services, and of whatever they hold."""
    services = life.service.services
    people = people_of(life.service)
    texts = [repr(services), str(services), repr(people), str(people), repr(life.service.app)]
    texts += [repr(getattr(people, name)) for name in people.__dataclass_fields__]
    assert found([*life.sent, *life.shown, *TOKENS.values()], "\n".join(texts).encode()) == []


BODIES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    RegistrationBody: {"username": "ada", "email": "a@example.com", "name": "Ada", "password": FIRST},
    VerificationBody: {"token": FIRST},
    ResetBody: {"token": FIRST, "password": FIRST},
    PasswordBody: {"current": FIRST, "password": FIRST},
    SignInBody: {"name": "ada", "password": FIRST, "code": "ABCD-EFGH-IJKL-MNOP"},
    RefreshBody: {"refresh_token": FIRST},
    PasswordOnlyBody: {"password": FIRST},
    StatedPasswordBody: {"password": FIRST},
    RemovalBody: {"password": FIRST},
    CodeBody: {"code": "ABCD-EFGH-IJKL-MNOP"},
}


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_the_repr_of_a_body_and_of_its_error_has_no_secret(model: type[BaseModel]) -> None:
    """Somebody might log it one day."""
    stated = BODIES[model]
    body = model.model_validate(stated)
    for text in (repr(body), str(body), f"{body}"):
        assert found([FIRST, "ABCD-EFGH-IJKL-MNOP"], text.encode()) == [], text
    for wrong in ({**stated, "colour": FIRST}, {name: [value] for name, value in stated.items()}, [FIRST], FIRST):
        with pytest.raises(ValidationError) as error:
            model.model_validate(wrong)
        for text in (str(error.value), repr(error.value)):
            assert found([FIRST, "ABCD-EFGH-IJKL-MNOP"], text.encode()) == [], text


def test_every_body_with_a_secret_is_among_them() -> None:
    """A member whose name is that of a secret, in the body of any command."""
    names, models = {"password", "current", "code", "token", "refresh_token"}, set()
    for path, route in command_routes().items():
        assert route.body_field is not None, path
        model: Any = route.body_field.field_info.annotation
        if names & set(model.model_fields):
            assert model in BODIES, path
            assert route.endpoint.declaration.secret, path  # type: ignore[attr-defined]
            models.add(model)
    assert len(models) >= 8
