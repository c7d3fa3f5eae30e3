"""The same seed asks for the same, whatever is lost on the way; and a failed check says where the history is."""

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

from tests.faults.clients import Client
from tests.faults.histories import BATCHES, Answer, Call, History, kept
from tests.faults.proxy import Turns
from tests.faults.seeds import seeded
from tests.faults.world import Api

GIVEN = ["acct_a", "acct_b", "acct_c"]
CLIENTS, COMMANDS = 3, 150
SEED = 51


class Agreeable(httpx.MockTransport):
    """An API that accepts everything, and names the accounts it opens as they come, whoever asks; or says nothing."""

    def __init__(self, silence: float) -> None:
        """`silence`: how often it says nothing: one half of it before it has heard, the other when it has answered."""
        super().__init__(self._answer)
        self._silence = silence
        self._chance = seeded("silences")
        self._names = count()
        self._caught: dict[str, bytes] = {}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        drawn = self._chance.random()
        if drawn < self._silence / 2:
            return httpx.Response(503)
        batch = request.url.path == BATCHES and "atomic" not in request.url.params
        answered = (
            b"\n".join(map(self._line, request.content.splitlines())) if batch else self._told_to(request.headers)
        )
        if drawn < self._silence:
            raise httpx.ReadError("the answer is lost")
        return httpx.Response(200 if batch else 201, content=answered)

    def _told_to(self, headers: Mapping[str, str]) -> bytes:
        key = headers["Idempotency-Key"]
        return self._caught.setdefault(key, b'{"account": "new-%d"}' % next(self._names))

    def _line(self, item: bytes) -> bytes:
        key = orjson.loads(item)["key"]
        if self._chance.random() < self._silence / 2:
            return orjson.dumps({"key": key, "status": 503, "body": {}})
        answered = orjson.loads(self._told_to({"Idempotency-Key": key}))
        return orjson.dumps({"key": key, "status": 201, "body": answered})


def asked_for(history: History) -> dict[str, list[str]]:
    """What each client asked for, in order, with the accounts it opened named by the command that did."""
    names = {call.message["account"]: f"opened by {call.key}" for call in history.calls if call.path == "/v1/accounts"}
    asked: dict[str, list[str]] = {}
    for call in history.calls:
        message = orjson.dumps([call.key, call.path, call.body]).decode()
        message = re.sub(r"new-\d+", lambda found: names[found[0]], message)
        asked.setdefault(call.key.rsplit("-", 1)[0], []).append(message)
    return asked


def what_clients_do(silence: float) -> History:
    history, transport = History(), Agreeable(silence)
    apis = [Api(("serve",), {}, Path(), port=port) for port in (1, 2)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [
            pool.submit(Client(number, SEED, apis, history, GIVEN, transport=transport).run, Event(), COMMANDS)
            for number in range(CLIENTS)
        ]:
            done.result()
    return history


def test_silences_do_not_change_what_clients_ask_for() -> None:
    quiet, lossy = what_clients_do(0), what_clients_do(0.2)
    assert len(lossy.silences) > 50, "hardly an answer was lost: nothing was shown"
    assert not quiet.silences
    assert asked_for(lossy) == asked_for(quiet)
    message = [one for asked in asked_for(quiet).values() for one in asked]
    assert sum("opened by" in one for one in message) > 10, "what clients open themselves is hardly used"
    assert sum("atomic" in one for one in message) > 10, "hardly a batch was sent"


def test_each_direction_of_a_connection_has_its_turns_whatever_the_others_do() -> None:
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


def test_a_failed_check_says_where_the_history_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    later, earlier = (
        Call(
            key, "/v1/transfers", {}, began=began, answers=[Answer(201, b'{"position": "main.1.%d"}' % position, False)]
        )
        for key, began, position in (("later", 1.0, 9), ("earlier", 3.0, 3))
    )
    with pytest.raises(AssertionError) as failed, kept(History([earlier, later])):
        raise AssertionError("the check failed")
    (note,) = failed.value.__notes__
    (file,) = tmp_path.iterdir()
    assert str(file) in note
    calls = [orjson.loads(line) for line in file.read_text().splitlines()]
    assert [(call["key"], [answer["body"] for answer in call["answers"]]) for call in calls] == [
        ("later", ['{"position": "main.1.9"}']),
        ("earlier", ['{"position": "main.1.3"}']),
    ]
