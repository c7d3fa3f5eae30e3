"""Seeded clients: they post commands, record the answers, and retry with the same key if they get none."""

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
from tests.faults.histories import ATOMIC, BATCHES, NO_ANSWER, Answer, Call, History, saved_on_failure
from tests.faults.seeds import seeded
from tests.faults.world import Api

GIVE_UP_SECONDS = 60.0
MOST_OPENED = 20
"""The most accounts that a client opens, so that the accounts of eight clients fit on one page of a read."""
MOST_ITEMS = 12
BATCHING = Limits().share_of(Limits().batches)
"""How many clients of a load send batches, for the first time or again. An API refuses more concurrent batches of one
principal, and such a refusal is not the effect of a fault."""


class Client:
    """One client, which uses any of the APIs.

    Its commands depend on its seed and number alone: it chooses among the given accounts and those that it opened, by
    their index. The way in which it sends them has a separate generator, because it depends on the answers.
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
        """`states`: whether it opens, freezes and closes accounts. `transport` replaces the connection to an API."""
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
        self._http = {
            api.port: httpx.Client(base_url=api.url, timeout=GIVE_UP_SECONDS, transport=transport) for api in apis
        }

    def run(self, stop: Event, most: int) -> None:
        """Post until `stop` is set. The last command is retried until it is answered."""
        try:
            while not stop.is_set() and self._count < most:
                kind, size = self._what.random(), self._what.randint(2, MOST_ITEMS)
                if self._batches and kind < 0.08:
                    self.post([self._next_command() for _ in range(min(size, most - self._count))])
                elif self._batches and kind < 0.16:
                    self.post([self._next_command(together=size)])
                else:
                    self.post([self._next_command()])
        finally:
            for http in self._http.values():
                http.close()

    def _next_command(self, together: int = 0) -> Call:
        """The next command. `together`: the number of commands under one key.

        Accounts that are opened in such a batch are not used later, because it may be refused.
        """
        self._count += 1
        chosen = [self.choose() for _ in range(together or 1)]
        path, body = (ATOMIC, [{"path": path, "body": body} for path, body in chosen]) if together else chosen[0]
        return Call(f"{self._name}-{self._count}", path, body)

    def choose(self) -> tuple[str, dict[str, Any]]:
        """Path and body of the next command."""
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
        """Unfreezing is the most frequent: an account that stays frozen tests little."""
        kind = self._what.choices(("freeze", "unfreeze", "close", "open"), (3, 8, 2, 2))[0]
        if kind == "open" and self._opened < MOST_OPENED:
            self._opened += 1
            return "/v1/accounts", opening(f"owner-{self._name}-{self._count}")
        change = "unfreeze" if kind == "open" else kind
        return f"/v1/accounts/{account}/{change}", {"reason": "a test"}

    def post(self, calls: list[Call]) -> None:
        """Post commands, several of them as a batch, until each is answered. Sometimes repeat them, at once or later.

        The commands were chosen before the first request, because the number of requests is not known before.
        """
        for call in calls:
            self._history.add(call)
        self._until_answered(calls, batch=len(calls) > 1)
        self._mine += calls
        for call in calls:
            if call.path == "/v1/accounts":
                assert call.accepted, f"an opening is never refused: {call}"
                self._accounts.append(call.message["account"])
        if self._how.random() < 0.05:
            self._until_answered(calls, batch=self._again_as_a_batch())
        if self._how.random() < 0.05:
            self._until_answered([self._how.choice(self._mine)], batch=self._again_as_a_batch())

    def _again_as_a_batch(self) -> bool:
        """Whether the next attempt is a batch. The first attempt may have been of the other kind."""
        return self._batches and self._how.random() < 0.5

    def _until_answered(self, calls: list[Call], *, batch: bool) -> None:
        """Send until each call has one more answer: a repeated request must be answered too.

        `batch`: the first attempt is a batch.
        """
        began, enough = time.monotonic(), [len(call.answers) + 1 for call in calls]
        while unanswered := [call for call, many in zip(calls, enough, strict=True) if len(call.answers) < many]:
            if time.monotonic() - began > GIVE_UP_SECONDS:
                raise AssertionError(
                    f"{unanswered[0].key} had no answer in {GIVE_UP_SECONDS} s, failures: {unanswered[0].failures[-5:]}"
                )
            items = [call for call in unanswered if batch and not call.atomic]
            if items:
                self._ask(items, batch=True)
            for call in unanswered:
                if call not in items:
                    self._ask([call], batch=False)
            batch = self._again_as_a_batch()

    def _ask(self, calls: list[Call], *, batch: bool) -> None:
        http = self._http[self._how.choice(self._apis).port]
        failures = sum(len(call.failures) for call in calls)
        with suppress(httpx.HTTPError):
            if batch:
                ask_all(http, calls)
            else:
                for call in calls:
                    ask(http, call)
        if sum(len(call.failures) for call in calls) > failures:
            time.sleep(0.02)  # the API is away: limits the rate of retries


def token(role: str) -> dict[str, str]:
    """The header of a client with this role."""
    return {"Authorization": f"Bearer secret-of-{role}"}


def ask(http: httpx.Client, call: Call) -> httpx.Response:
    """Send a call, for the first time or again, and record the response."""
    with _recorded([call]):
        response = http.post(call.path, json=call.body, headers={**token(call.by), "Idempotency-Key": call.key})
    call.record(answer_of(response))
    return response


def answer_of(response: httpx.Response) -> Answer:
    """The answer in a response."""
    return Answer(response.status_code, response.content, response.headers.get("Idempotency-Replayed") == "true")


def ask_all(http: httpx.Client, calls: Sequence[Call]) -> list[Answer]:
    """Send calls as one batch, for the first time or again, and record the answer of each.

    If the batch is refused as a whole, the refusal is the answer of each. All calls must have one role.
    """
    with _recorded(calls):
        answers = _answers_of_a_batch(http, calls)
    for call, answer in zip(calls, answers, strict=True):
        call.record(answer)
    return answers


@contextmanager
def _recorded(calls: Sequence[Call]) -> Iterator[None]:
    """The calls are sent inside this context. A lost connection is recorded with each call, and raised."""
    for call in calls:
        call.sent()
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
    if response.status_code in NO_ANSWER:
        return [answer_of(response)] * len(calls)
    assert response.status_code == 200, response.text
    answered = [msgspec.json.decode(line, type=_Line) for line in response.content.splitlines()]
    assert [line.key for line in answered] == [call.key for call in calls], "one answer for each item, in order"
    return [Answer(line.status, bytes(line.body), line.replayed) for line in answered]


class _Line(msgspec.Struct):
    """The answer of an item, with the exact bytes of its body."""

    key: str
    status: int
    body: msgspec.Raw
    replayed: bool = False


def opening(owner: str) -> dict[str, Any]:
    """The body of an opening, with a day before every value date, whatever a clock shows."""
    return {"type": "checking", "currency": "EUR", "owner": owner, "name": owner, "opened_on": "2020-01-01"}


def open_accounts(api: Api, count: int, balance: str) -> list[str]:
    """Open accounts with this balance each."""
    made = []
    for number in range(count):
        account = open_account(api, f"open-{number}", opening(f"owner-{number}"))
        money = {"amount": balance, "currency": "EUR"}
        paid = post(api, f"/v1/accounts/{account}/deposits", money, f"fund-{number}")
        assert paid.status_code == 201, paid.text
        made.append(account)
    return made


def open_account(api: Api, key: str, body: dict[str, Any]) -> str:
    """Open an account without a balance."""
    opened = post(api, "/v1/accounts", body, key)
    assert opened.status_code == 201, opened.text
    account: str = opened.json()["account"]
    return account


def post(api: Api, path: str, body: dict[str, Any], key: str, by: str = "command") -> httpx.Response:
    """Send a command of a test, for the first time or again. The history of the world records the answer.

    Raises the error of httpx if there is no answer.
    """
    with httpx.Client(base_url=api.url, timeout=60) as http:
        return ask(http, api.history.call(key, path, body, by))


EURO = {"amount": "1.00", "currency": "EUR"}


def deposit(api: Api, account: str, key: str) -> httpx.Response:
    """Deposit one euro."""
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
    """Run clients that post while the body of the `with` makes faults. Their failures are raised at the end."""
    history, stop = History(), Event()
    with saved_on_failure(history), ThreadPoolExecutor(clients) as pool:
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
