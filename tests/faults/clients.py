"""Seeded clients: they post, write down what they are told, and ask again with the same key if told nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

import httpx
import msgspec
import orjson

from api.services import Limits
from tests.faults.seeds import seeded
from tests.faults.world import Api

GIVE_UP_SECONDS = 60.0
MOST_OPENED = 20
"""Accounts that a client asks for, so that those of eight are on one page of a read, however long they go on."""
ACCEPTED, REFUSED = frozenset({200, 201}), 422
TOLD_NOTHING = frozenset({0, 429, 503})
TOKEN = {"Authorization": "Bearer secret-of-command"}
BATCHES = "/v1/batches"
ATOMIC = f"{BATCHES}?atomic=true"
MOST_ITEMS = 12
BATCHING = Limits().batches
"""Clients of a load that send batches: of more at once an API refuses some, which is no silence that a fault made."""


@dataclass(frozen=True)
class Answer:
    """What somebody was told; status 0: nothing, because the connection was lost."""

    status: int
    body: bytes
    replayed: bool


@dataclass
class Call:
    """A command with its key, and every answer it got: the first, and those to the same again."""

    key: str
    path: str
    body: Any
    began: float = 0.0
    ended: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    decided: int = 0  # of a refusal: the position at which it was decided
    silences: list[str] = field(default_factory=list)  # what came instead of an answer, if anything

    @property
    def status(self) -> int:
        """Of its answer."""
        return self.answers[0].status

    @property
    def accepted(self) -> bool:
        """Whether it was told that it has gone in."""
        return self.status in ACCEPTED

    @property
    def said(self) -> dict[str, Any]:
        """The body of its answer."""
        read: dict[str, Any] = orjson.loads(self.answers[0].body)
        return read

    @property
    def position(self) -> int:
        """At which it is in the log, if it was accepted."""
        return place(self.said["position"])

    @property
    def atomic(self) -> bool:
        """Whether it is several commands under one key."""
        return self.path == ATOMIC

    @property
    def commands(self) -> list[tuple[str, dict[str, Any]]]:
        """Path and body of what is asked for: of one command, or of those of an atomic batch."""
        return [(item["path"], item["body"]) for item in self.body] if self.atomic else [(self.path, self.body)]


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
        self._batches = number < BATCHING
        self._mine: list[Call] = []
        self._what = seeded(seed, number, "what is asked for")
        self._how = seeded(seed, number, "how it is asked for")
        self._apis = apis
        self._history = history
        self._accounts = list(accounts)
        self._name = f"client-{seed}-{number}"
        self._count = 0
        self._opened = 0
        self._http = {api.port: httpx.Client(base_url=api.url, timeout=15, transport=transport) for api in apis}

    def run(self, stop: Event, most: int) -> None:
        """Post until told to stop; the last command is brought to its answer."""
        try:
            while not stop.is_set() and self._count < most:
                kind, size = self._what.random(), self._what.randint(2, MOST_ITEMS)
                if self._batches and kind < 0.08:
                    self.post([self._wish() for _ in range(min(size, most - self._count))])
                elif self._batches and kind < 0.16:
                    self.post([self._wish(together=size)])
                else:
                    self.post([self._wish()])
        finally:
            for http in self._http.values():
                http.close()

    def _wish(self, together: int = 0) -> Call:
        """The next command; `together`: so many under one key. What these open is not used: it may not come about."""
        self._count += 1
        chosen = [self.choose() for _ in range(together or 1)]
        path, body = (ATOMIC, [{"path": path, "body": body} for path, body in chosen]) if together else chosen[0]
        return Call(f"{self._name}-{self._count}", path, body)

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
        if kind == "open" and self._opened < MOST_OPENED:
            self._opened += 1
            return "/v1/accounts", opening(f"owner-{self._name}-{self._count}")
        change = "unfreeze" if kind == "open" else kind
        return f"/v1/accounts/{account}/{change}", {"reason": "the client wishes so"}

    def post(self, calls: list[Call]) -> None:
        """Commands, several of them as a batch, until each is answered; now and then once more, at once or long after.

        Which they are was chosen before any of them is asked for: nobody knows how many requests it will take.
        """
        for call in calls:
            call.began = time.monotonic()
            self._history.add(call)
        self._until_answered(calls, batch=len(calls) > 1)
        self._mine += calls
        for call in calls:
            if call.path == "/v1/accounts":
                assert call.accepted, f"an opening is never refused, and was: {call}"
                self._accounts.append(call.said["account"])
        if self._how.random() < 0.05:
            self._until_answered(calls, batch=self._how.random() < 0.5)
        if self._how.random() < 0.05:
            self._until_answered([self._how.choice(self._mine)], batch=self._how.random() < 0.5)

    def _until_answered(self, calls: list[Call], *, batch: bool) -> None:
        """Ask until each has one more answer: who asks again must be told too. `batch`: the first time in a batch."""
        began, enough = time.monotonic(), [len(call.answers) + 1 for call in calls]
        while silent := [call for call, many in zip(calls, enough, strict=True) if len(call.answers) < many]:
            if time.monotonic() - began > GIVE_UP_SECONDS:
                raise AssertionError(
                    f"{silent[0].key} had no answer for {GIVE_UP_SECONDS} s, silences: {silent[0].silences[-5:]}"
                )
            items = [call for call in silent if batch and not call.atomic]
            if items:
                self._ask(items, batch=True)
            for call in silent:
                if call not in items:
                    self._ask([call], batch=False)
            batch = self._how.random() < 0.5

    def _ask(self, calls: list[Call], *, batch: bool) -> None:
        http = self._http[self._how.choice(self._apis).port]
        try:
            answers = ask_all(http, calls) if batch else [answer_of(ask(http, call)) for call in calls]
        except httpx.HTTPError as error:
            answers = [Answer(0, repr(error).encode(), False)] * len(calls)
        now = time.monotonic()
        for call, answer in zip(calls, answers, strict=True):
            if answer.status in TOLD_NOTHING:
                call.silences.append(answer.body.decode())
            else:
                call.ended = call.ended or now
                call.answers.append(answer)
        if any(answer.status in TOLD_NOTHING for answer in answers):
            time.sleep(0.02)  # nobody is there: not a wait for something, only not to spin


def ask(http: httpx.Client, call: Call) -> httpx.Response:
    """Send it, for the first time or again; whatever the answer is."""
    return http.post(call.path, json=call.body, headers={**TOKEN, "Idempotency-Key": call.key})


def answer_of(response: httpx.Response) -> Answer:
    """What it says."""
    return Answer(response.status_code, response.content, response.headers.get("Idempotency-Replayed") == "true")


def ask_all(http: httpx.Client, calls: Sequence[Call], token: Mapping[str, str] = TOKEN) -> list[Answer]:
    """Send them as one batch, for the first time or again: what each was told. A batch is refused to each of them."""
    lines = [orjson.dumps({"key": call.key, "path": call.path, "body": call.body}) for call in calls]
    headers = {**token, "Content-Type": "application/x-ndjson"}
    response = http.post(BATCHES, content=b"\n".join(lines), headers=headers)
    if response.status_code in TOLD_NOTHING:
        return [answer_of(response)] * len(calls)
    assert response.status_code == 200, response.text
    told = [msgspec.json.decode(line, type=_Line) for line in response.content.splitlines()]
    assert [line.key for line in told] == [call.key for call in calls], "an answer for each, in their order"
    return [Answer(line.status, bytes(line.body), line.replayed) for line in told]


class _Line(msgspec.Struct):
    """An item's answer; the body as it came, to the byte."""

    key: str
    status: int
    body: msgspec.Raw
    replayed: bool = False


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
