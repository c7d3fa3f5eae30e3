"""Seeded clients: they post, write down what they are told, and ask again with the same key if told nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any

import httpx
import msgspec
import orjson

from api.services import Limits
from tests.faults.histories import ATOMIC, BATCHES, TOLD_NOTHING, Answer, Call, History, kept
from tests.faults.seeds import seeded
from tests.faults.world import Api

GIVE_UP_SECONDS = 60.0
MOST_OPENED = 20
"""Accounts that a client asks for, so that those of eight are on one page of a read, however long they go on."""
MOST_ITEMS = 12
BATCHING = Limits().share_of(Limits().batches)
"""Clients of a load that send batches: of more at once by one principal an API refuses some, which is no silence that a
fault made."""


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
            self._history.add(call)
        self._until_answered(calls, batch=len(calls) > 1)
        self._mine += calls
        for call in calls:
            if call.path == "/v1/accounts":
                assert call.accepted, f"an opening is never refused, and was: {call}"
                self._accounts.append(call.message["account"])
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
        silences = sum(len(call.silences) for call in calls)
        with suppress(httpx.HTTPError):
            if batch:
                ask_all(http, calls)
            else:
                for call in calls:
                    ask(http, call)
        if sum(len(call.silences) for call in calls) > silences:
            time.sleep(0.02)  # nobody is there: not a wait for something, only not to spin


def token(role: str) -> dict[str, str]:
    """The header of somebody with this role."""
    return {"Authorization": f"Bearer secret-of-{role}"}


def ask(http: httpx.Client, call: Call) -> httpx.Response:
    """Send it, for the first time or again, and write down what it is told, whatever that is."""
    with _written_down([call]):
        response = http.post(call.path, json=call.body, headers={**token(call.by), "Idempotency-Key": call.key})
    call.record(answer_of(response))
    return response


def answer_of(response: httpx.Response) -> Answer:
    """What it says."""
    return Answer(response.status_code, response.content, response.headers.get("Idempotency-Replayed") == "true")


def ask_all(http: httpx.Client, calls: Sequence[Call]) -> list[Answer]:
    """Send them as one batch, for the first time or again, and write down what each is told.

    A batch that is refused as a whole is refused to each of them. All must be of one role.
    """
    with _written_down(calls):
        answers = _answers_of_a_batch(http, calls)
    for call, answer in zip(calls, answers, strict=True):
        call.record(answer)
    return answers


@contextmanager
def _written_down(calls: Sequence[Call]) -> Iterator[None]:
    """They are asked in here; a lost connection is written down with each, and raised."""
    for call in calls:
        call.asked()
    try:
        yield
    except httpx.HTTPError as error:
        for call in calls:
            call.record(Answer(0, repr(error).encode(), False))
        raise


def _answers_of_a_batch(http: httpx.Client, calls: Sequence[Call]) -> list[Answer]:
    lines = [orjson.dumps({"key": call.key, "path": call.path, "body": call.body}) for call in calls]
    headers = {**token(calls[0].by), "Content-Type": "application/x-ndjson"}
    response = http.post(BATCHES, content=b"\n".join(lines), headers=headers)
    if response.status_code in TOLD_NOTHING:
        return [answer_of(response)] * len(calls)
    assert response.status_code == 200, response.text
    answered = [msgspec.json.decode(line, type=_Line) for line in response.content.splitlines()]
    assert [line.key for line in answered] == [call.key for call in calls], "an answer for each, in their order"
    return [Answer(line.status, bytes(line.body), line.replayed) for line in answered]


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
    for number in range(count):
        account = open_account(api, f"open-{number}", opening(f"owner-{number}"))
        money = {"amount": balance, "currency": "EUR"}
        paid = post(api, f"/v1/accounts/{account}/deposits", money, f"fund-{number}")
        assert paid.status_code == 201, paid.text
        made.append(account)
    return made


def open_account(api: Api, key: str, body: dict[str, Any]) -> str:
    """One with nothing on it."""
    opened = post(api, "/v1/accounts", body, key)
    assert opened.status_code == 201, opened.text
    account: str = opened.json()["account"]
    return account


def post(api: Api, path: str, body: dict[str, Any], key: str, by: str = "command") -> httpx.Response:
    """A command of a test's own, sent for the first time or again; whatever the answer is, the world's history has it.

    Raises what httpx raises where there is none.
    """
    with httpx.Client(base_url=api.url, timeout=60) as http:
        return ask(http, api.history.call(key, path, body, by))


EURO = {"amount": "1.00", "currency": "EUR"}


def deposit(api: Api, account: str, key: str) -> httpx.Response:
    """One euro."""
    return post(api, f"/v1/accounts/{account}/deposits", EURO, key)


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
