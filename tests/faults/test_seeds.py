"""A seed gives the same commands whatever is lost, and a failed check names the file of its history."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event

import httpx
import orjson
import pytest

from tests.faults.clients import BATCHING, Client
from tests.faults.histories import BATCHES, Answer, Call, History, saved_on_failure
from tests.faults.proxy import Turns
from tests.faults.seeds import seeded
from tests.faults.world import Api

GIVEN = ["acct_a", "acct_b", "acct_c"]
CLIENTS, COMMANDS = 3, 150
SEED = 51


class LossyApi(httpx.MockTransport):
    """An API that accepts every command, numbers the accounts that it opens, and loses some requests and answers."""

    def __init__(self, loss: float) -> None:
        """`loss`: the share of lost exchanges: one half before the command is executed, the other half after."""
        super().__init__(self._answer)
        self._loss = loss
        self._chance = seeded("silences")
        self._names = count()
        self._caught: dict[str, bytes] = {}
        self.batched: list[str] = []
        """The keys of all commands that were sent in batches."""

    def _answer(self, request: httpx.Request) -> httpx.Response:
        drawn = self._chance.random()
        if drawn < self._loss / 2:
            return httpx.Response(503)
        batch = request.url.path == BATCHES and "atomic" not in request.url.params
        if request.url.path == BATCHES:
            self.batched += _keys_of_a_batch(request) if batch else [request.headers["Idempotency-Key"]]
        answered = (
            b"\n".join(map(self._line, request.content.splitlines())) if batch else self._reply_to(request.headers)
        )
        if drawn < self._loss:
            raise httpx.ReadError("the answer is lost")
        return httpx.Response(200 if batch else 201, content=answered)

    def _reply_to(self, headers: Mapping[str, str]) -> bytes:
        key = headers["Idempotency-Key"]
        return self._caught.setdefault(key, b'{"account": "new-%d"}' % next(self._names))

    def _line(self, item: bytes) -> bytes:
        key = orjson.loads(item)["key"]
        if self._chance.random() < self._loss / 2:
            return orjson.dumps({"key": key, "status": 503, "body": {}})
        answered = orjson.loads(self._reply_to({"Idempotency-Key": key}))
        return orjson.dumps({"key": key, "status": 201, "body": answered})


def _keys_of_a_batch(request: httpx.Request) -> list[str]:
    return [orjson.loads(line)["key"] for line in request.content.splitlines()]


def commands_sent(history: History) -> dict[str, list[str]]:
    """The commands of each client, in order. An account that it opened is named by the key of the opening."""
    names = {call.message["account"]: f"opened by {call.key}" for call in history.calls if call.path == "/v1/accounts"}
    sent: dict[str, list[str]] = {}
    for call in history.calls:
        message = orjson.dumps([call.key, call.path, call.body]).decode()
        message = re.sub(r"new-\d+", lambda found: names[found[0]], message)
        sent.setdefault(call.key.rsplit("-", 1)[0], []).append(message)
    return sent


def what_clients_do(transport: LossyApi) -> History:
    history = History()
    apis = [Api(("serve",), {}, Path(), port=port) for port in (1, 2)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [
            pool.submit(Client(number, SEED, apis, history, GIVEN, transport=transport).run, Event(), COMMANDS)
            for number in range(CLIENTS)
        ]:
            done.result()
    return history


def test_lost_answers_do_not_change_the_commands_of_clients() -> None:
    quiet, lossy = what_clients_do(LossyApi(loss=0)), what_clients_do(LossyApi(loss=0.2))
    assert len(lossy.failures) > 50, "too few answers were lost: the test shows nothing"
    assert not quiet.failures
    assert commands_sent(lossy) == commands_sent(quiet)
    message = [one for sent in commands_sent(quiet).values() for one in sent]
    assert sum("opened by" in one for one in message) > 10, "clients rarely use the accounts that they opened"
    assert sum("atomic" in one for one in message) > 10, "too few batches were sent"


def test_no_more_clients_send_batches_than_a_principal_may_at_once() -> None:
    """Also a command that is repeated because its answer was lost is a batch only of these clients."""
    api = LossyApi(loss=0.2)
    what_clients_do(api)
    assert {key.rsplit("-", 1)[0] for key in api.batched} == {f"client-{SEED}-{number}" for number in range(BATCHING)}
    assert BATCHING < CLIENTS


def test_the_faults_of_a_direction_do_not_depend_on_other_connections() -> None:
    def when(others: int) -> list[int]:
        turns = Turns(7, lambda random, way: random.randint(3, 30))
        came = []
        for message in range(500):
            for other in range(others):
                turns.come(other, "to the server")
                turns.come(9, "to the client")
            if turns.come(9, "to the server"):
                came.append(message)
        return came

    assert when(others=0) == when(others=3)
    assert len(when(others=0)) > 10


def test_a_failed_check_names_the_file_of_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    later, earlier = (
        Call(
            key, "/v1/transfers", {}, began=began, answers=[Answer(201, b'{"position": "main.1.%d"}' % position, False)]
        )
        for key, began, position in (("later", 1.0, 9), ("earlier", 3.0, 3))
    )
    with pytest.raises(AssertionError) as failed, saved_on_failure(History([earlier, later])):
        raise AssertionError("the check failed")
    (note,) = failed.value.__notes__
    (file,) = tmp_path.iterdir()
    assert str(file) in note
    calls = [orjson.loads(line) for line in file.read_text().splitlines()]
    assert [(call["key"], [answer["body"] for answer in call["answers"]]) for call in calls] == [
        ("later", ['{"position": "main.1.9"}']),
        ("earlier", ['{"position": "main.1.3"}']),
    ]
