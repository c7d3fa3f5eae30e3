"""Seeded clients: they post, write down what they are told, and ask again with the same key if told nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

import httpx
import orjson

from tests.faults.seeds import seeded
from tests.faults.world import Api

GIVE_UP_SECONDS = 60.0
ACCEPTED, REFUSED = frozenset({200, 201}), 422
TOLD_NOTHING = frozenset({429, 503})
TOKEN = {"Authorization": "Bearer secret-of-command"}


@dataclass
class Call:
    """A command with its key, and every answer it got: the first, and those to the same again."""

    key: str
    path: str
    body: dict[str, Any]
    began: float = 0.0
    ended: float = 0.0
    answers: list[tuple[int, bytes, bool]] = field(default_factory=list)  # status, body, replayed
    decided: int = 0  # of a refusal: the position at which it was decided
    silences: list[str] = field(default_factory=list)  # what came instead of an answer, if anything

    @property
    def status(self) -> int:
        """Of its answer."""
        return self.answers[0][0]

    @property
    def accepted(self) -> bool:
        """Whether it was told that it has gone in."""
        return self.status in ACCEPTED

    @property
    def said(self) -> dict[str, Any]:
        """The body of its answer."""
        read: dict[str, Any] = orjson.loads(self.answers[0][1])
        return read

    @property
    def position(self) -> int:
        """At which it is in the log, if it was accepted."""
        return place(self.said["position"])


def place(position: str) -> int:
    """The number in a position that an API has told."""
    return int(position.rsplit(".", 1)[1])


@dataclass
class History:
    """What all clients did and were told."""

    calls: list[Call] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @property
    def silences(self) -> list[str]:
        """What all of them got instead of answers."""
        return [silence for call in self.calls for silence in call.silences]

    def add(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)

    @property
    def answered(self) -> list[Call]:
        """Those that were told what became of them."""
        return [call for call in self.calls if call.answers]

    @property
    def acknowledged(self) -> str:
        """The position that somebody was told last; empty if nobody was told any."""
        return next((call.said["position"] for call in reversed(self.calls) if call.answers and call.accepted), "")

    def write(self) -> Path:
        """To a new file, one call a line in the order in which they began; where that is."""
        with tempfile.NamedTemporaryFile("wb", prefix="daybook-history-", suffix=".jsonl", delete=False) as file:
            for call in sorted(self.calls, key=lambda call: call.began):
                file.write(orjson.dumps(call, default=bytes.decode) + b"\n")
        return Path(file.name)


@contextmanager
def kept(history: History) -> Iterator[None]:
    """Whatever fails in here says in which file the history is."""
    try:
        yield
    except Exception as error:
        error.add_note(f"The history is in {history.write()}")
        raise


class Client:
    """One caller, on whichever API is there.

    What it asks for depends on its seed and number alone: it chooses among the accounts given and those it has opened
    itself, by their place. How it asks has a generator of its own, because that goes by what it is told.
    """

    def __init__(
        self,
        number: int,
        seed: int,
        apis: Sequence[Api],
        history: History,
        accounts: Sequence[str],
        *,
        states: bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`states`: whether any accounts are opened, frozen, closed. `transport`: instead of a connection to an API."""
        self._states = states
        self._mine: list[Call] = []
        self._what = seeded(seed, number, "what is asked for")
        self._how = seeded(seed, number, "how it is asked for")
        self._apis = apis
        self._history = history
        self._accounts = list(accounts)
        self._name = f"client-{seed}-{number}"
        self._count = 0
        self._http = {api.port: httpx.Client(base_url=api.url, timeout=15, transport=transport) for api in apis}

    def run(self, stop: Event, most: int) -> None:
        """Post until told to stop; the last command is brought to its answer."""
        try:
            while not stop.is_set() and self._count < most:
                self.post(*self.choose())
        finally:
            for http in self._http.values():
                http.close()

    def choose(self) -> tuple[str, dict[str, Any]]:
        """What to ask for next."""
        choose = self._what
        one, two = choose.sample(self._accounts, 2)
        if self._states and choose.random() < 0.15:
            return self._change_of_state(one)
        amount = {"amount": f"{choose.randint(1, 300) / 100:.2f}", "currency": "EUR"}
        kind = choose.random()
        if kind < 0.6:
            return "/v1/transfers", {"source": one, "target": two, **amount}
        if kind < 0.8:
            return f"/v1/accounts/{one}/deposits", amount
        return f"/v1/accounts/{one}/withdrawals", amount

    def _change_of_state(self, account: str) -> tuple[str, dict[str, Any]]:
        """Unfreezing is asked for most: what stays frozen shows little."""
        kind = self._what.choices(("freeze", "unfreeze", "close", "open"), (3, 8, 2, 2))[0]
        if kind == "open":
            return "/v1/accounts", opening(f"owner-{self._name}-{self._count}")
        return f"/v1/accounts/{account}/{kind}", {"reason": "the client wishes so"}

    def post(self, path: str, body: dict[str, Any]) -> Call:
        """A command, until it is answered; now and then asked once more though it was, at once or long after."""
        self._count += 1
        call = Call(f"{self._name}-{self._count}", path, body, began=time.monotonic())
        self._history.add(call)
        self._until_answered(call)
        call.ended = time.monotonic()
        self._mine.append(call)
        if path == "/v1/accounts":
            assert call.accepted, f"an opening is never refused, and was: {call}"
            self._accounts.append(call.said["account"])
        if self._how.random() < 0.05:
            self._until_answered(call)
        if self._how.random() < 0.05:
            self._until_answered(self._how.choice(self._mine))
        return call

    def _until_answered(self, call: Call) -> None:
        """Ask until there is one more answer: who asks again must be told too."""
        began, before = time.monotonic(), len(call.answers)
        while len(call.answers) == before:
            if time.monotonic() - began > GIVE_UP_SECONDS:
                raise AssertionError(
                    f"{call.key} had no answer for {GIVE_UP_SECONDS} s, silences: {call.silences[-5:]}"
                )
            self._ask(call)

    def _ask(self, call: Call) -> None:
        api = self._how.choice(self._apis)
        try:
            response = ask(self._http[api.port], call)
        except httpx.HTTPError as error:
            call.silences.append(repr(error))
            time.sleep(0.02)  # nobody is there: not a wait for something, only not to spin
            return
        if response.status_code in TOLD_NOTHING:
            call.silences.append(response.text)
            time.sleep(0.02)
        else:
            replayed = response.headers.get("Idempotency-Replayed") == "true"
            call.answers.append((response.status_code, response.content, replayed))


def ask(http: httpx.Client, call: Call) -> httpx.Response:
    """Send it, for the first time or again; whatever the answer is."""
    return http.post(call.path, json=call.body, headers={**TOKEN, "Idempotency-Key": call.key})


def opening(owner: str) -> dict[str, Any]:
    """Asks for an account that is old enough for every value date, whatever a clock says."""
    return {"type": "checking", "currency": "EUR", "owner": owner, "name": owner, "opened_on": "2020-01-01"}


def open_accounts(api: Api, count: int, balance: str) -> list[str]:
    """Accounts with so much on each."""
    made = []
    with httpx.Client(base_url=api.url, timeout=30) as http:
        for number in range(count):
            body = opening(f"owner-{number}")
            opened = http.post("/v1/accounts", json=body, headers={**TOKEN, "Idempotency-Key": f"open-{number}"})
            assert opened.status_code == 201, opened.text
            account = opened.json()["account"]
            paid = http.post(
                f"/v1/accounts/{account}/deposits",
                json={"amount": balance, "currency": "EUR"},
                headers={**TOKEN, "Idempotency-Key": f"fund-{number}"},
            )
            assert paid.status_code == 201, paid.text
            made.append(account)
    return made


def deposit(api: Api, account: str, key: str) -> httpx.Response:
    """One euro, and whatever the answer is."""
    headers = {**TOKEN, "Idempotency-Key": key}
    body = {"amount": "1.00", "currency": "EUR"}
    return httpx.post(f"{api.url}/v1/accounts/{account}/deposits", json=body, headers=headers, timeout=60)


@contextmanager
def load(
    apis: Sequence[Api],
    accounts: Sequence[str],
    *,
    clients: int,
    seed: int,
    most: int = 1_000_000,
    states: bool = True,
) -> Iterator[History]:
    """Clients that post while the body of the `with` does its worst. Their own failures are raised at the end."""
    history, stop = History(), Event()
    with kept(history), ThreadPoolExecutor(clients) as pool:
        running: list[Future[None]] = [
            pool.submit(Client(number, seed, apis, history, accounts, states=states).run, stop, most)
            for number in range(clients)
        ]
        try:
            yield history
        finally:
            if most == 1_000_000:
                stop.set()
            for one in running:
                one.result()
