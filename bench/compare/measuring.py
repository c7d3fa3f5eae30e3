"""Measures in rounds. A round has three sides: the other revision, this tree, and the other revision again.

To measure commands, each side gets a fresh copy of a database with accounts, and a fresh API process. The processes run
for the whole round and are measured in turn, in slices, so that a machine that gets slower is slower for all three. To
measure the fold, each revision has a log that was filled through its own API, and `daybook rebuild` reports the
seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter
from typing import TypeVar

import orjson

from bench.compare.load import CURRENCY, RICH, Item, batches, refused, requests, send_batches, send_each, transfers
from bench.compare.program import CompareError, Program, serving
from bench.compare.statistics import Comparison, Round
from bench.harness.server import MASTER_KEY, Server

BEFORE, NOW, AGAIN = "before", "now", "again"
HTTP, BULK, REFUSED, FOLD = "transfers over HTTP", "transfers in batches", "refusals in batches", "fold, events"
FIGURES = (HTTP, BULK, REFUSED, FOLD)
TOKENS = {role: f"compare-{role}" for role in ("command", "operator")}
SEED = 1
REFUSAL = 422
T = TypeVar("T")
Rates = dict[str, float]
"""A rate for each of the three sides."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. A slice has `transfers` single transfers or `batches` batches."""

    pairs: int = 7
    accounts: int = 1_000
    connections: int = 64
    slices: int = 6
    transfers: int = 10_000
    batches: int = 3
    batch_size: int = 5_000
    folded: int = 100_000  # transfers in the log that is folded


SHORT = Sizes(pairs=3, slices=2, transfers=2_000, batches=2, batch_size=2_000, folded=20_000)


@dataclass(frozen=True, slots=True)
class Side:
    """A revision with two databases: `opened` has accounts and is copied, `filled` has a log to fold."""

    program: Program
    accounts: Sequence[str]
    opened: str
    filled: str


@dataclass(frozen=True, slots=True)
class Served:
    """A side with its API process in a round. Its keys begin with `run`."""

    side: Side
    port: int
    run: str


class Bench:
    """Measures on one server. `say` is called with a line for each step."""

    def __init__(self, server: Server, sizes: Sizes, say: Callable[[str], None]) -> None:
        self._server = server
        self._sizes = sizes
        self._say = say
        self._numbers = count(1)
        self._tokens = _tokens_file(server.folder)

    def compare(self, before: Program, now: Program) -> list[Comparison]:
        """Measure the figures."""
        theirs, ours = self._prepare(before), self._prepare(now)
        sides = {BEFORE: theirs, NOW: ours, AGAIN: theirs}
        rounds: dict[str, list[Round]] = {figure: [] for figure in FIGURES}
        for number in range(1, self._sizes.pairs + 1):
            began = perf_counter()
            self._server.execute("CHECKPOINT")
            rates = {**self._commands(sides, number), FOLD: self._folds(sides, number)}
            for figure in FIGURES:
                rounds[figure].append(Round(**rates[figure]))
            ratios = " · ".join(f"{figure} {one[-1].now / one[-1].before:.3f}" for figure, one in rounds.items())
            self._say(f"pair {number} of {self._sizes.pairs}: {ratios} ({perf_counter() - began:.0f} s)")
        return [Comparison(figure, rounds[figure]) for figure in FIGURES]

    def _prepare(self, program: Program) -> Side:
        """Make the databases: one with accounts that its API opens, and a copy that its API fills with transfers."""
        sizes, operator = self._sizes, TOKENS["operator"]
        self._say(f"{program.name}: {sizes.accounts} accounts, and a log of {sizes.folded} transfers")
        opened, filled = self._name(), self._name()
        self._server.execute(f"CREATE DATABASE {opened}")
        program.run("migrate", environment=self._settings(opened))
        with serving(program, self._settings(opened)) as port:
            accounts = _open_accounts(port, sizes.accounts)
        self._copy(opened, filled)
        items = [("/v1/transfers", body) for body in transfers(accounts, sizes.folded, Random(SEED))]
        with serving(program, self._settings(filled)) as port:
            send_batches(port, operator, batches(items, sizes.batch_size, "fill"))
        self._server.execute("CHECKPOINT")
        return Side(program, accounts, opened, filled)

    def _commands(self, sides: Mapping[str, Side], number: int) -> dict[str, Rates]:
        """Measure the figures of commands, one after the other."""
        with ExitStack() as stack:
            served = {
                name: Served(side, stack.enter_context(self._serve(side)), f"{number}-{name}")
                for name, side in _in_order(sides, number)
            }
            for name in served:  # warm up connections, plans and caches
                self._each(served[name], "warm")
                self._bulk(served[name], "warm")
            sizes = self._sizes
            return {
                HTTP: self._slices(served, self._each, sizes.transfers),
                BULK: self._slices(served, self._bulk, sizes.batches * sizes.batch_size),
                REFUSED: self._slices(served, self._refused, sizes.batch_size),
            }

    def _slices(self, served: Mapping[str, Served], send: Callable[[Served, str], float], sent: int) -> Rates:
        """The rate of each side over all slices of `sent` transfers. The order of the sides alternates."""
        seconds = dict.fromkeys(served, 0.0)
        for number in range(self._sizes.slices):
            for name, one in _in_order(served, number):
                seconds[name] += send(one, str(number))
        return {name: self._sizes.slices * sent / took for name, took in seconds.items()}

    def _each(self, served: Served, name: str) -> float:
        sizes = self._sizes
        bodies = transfers(served.side.accounts, sizes.transfers, Random(f"{SEED} each {name}"))
        made = requests(bodies, TOKENS["command"], f"{served.run}-each-{name}")
        return send_each(served.port, made, sizes.connections)

    def _bulk(self, served: Served, name: str) -> float:
        sizes = self._sizes
        bodies = transfers(served.side.accounts, sizes.batches * sizes.batch_size, Random(f"{SEED} bulk {name}"))
        items = [("/v1/transfers", body) for body in bodies]
        made = batches(items, sizes.batch_size, f"{served.run}-bulk-{name}")
        return send_batches(served.port, TOKENS["command"], made)[0]

    def _refused(self, served: Served, name: str) -> float:
        bodies = refused(served.side.accounts, self._sizes.batch_size, Random(f"{SEED} refused {name}"))
        made = batches([("/v1/transfers", body) for body in bodies], self._sizes.batch_size, f"{served.run}-no-{name}")
        return send_batches(served.port, TOKENS["command"], made, REFUSAL)[0]

    def _folds(self, sides: Mapping[str, Side], number: int) -> Rates:
        return {name: self._fold(side) for name, side in _in_order(sides, number)}

    def _fold(self, side: Side) -> float:
        printed = side.program.run("rebuild", "--json", environment=self._settings(side.filled))
        report = orjson.loads(printed)
        if not report["ok"]:
            raise CompareError(f"the rebuild of {side.program.name} did not come to its end: {printed.decode()}")
        rate: float = report["head"] / report["seconds"]
        return rate

    @contextmanager
    def _serve(self, side: Side) -> Iterator[int]:
        """Run a fresh API process on a fresh copy of the accounts. Yields its port."""
        name = self._name()
        self._copy(side.opened, name)
        try:
            with serving(side.program, self._settings(name)) as port:
                yield port
        finally:
            self._server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _copy(self, template: str, name: str) -> None:
        # A session that has just ended exists for a moment more, and would prevent the copy.
        self._server.execute(
            f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{template}'"
        )
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")

    def _name(self) -> str:
        return f"compare_{next(self._numbers)}"

    def _settings(self, database: str) -> dict[str, str]:
        """The environment of a process on this database. The API gets one CPU, as by default."""
        return {
            "DATABASE_URL": self._server.url_of(database),
            "DAYBOOK_MASTER_KEY": MASTER_KEY,
            "DAYBOOK_TOKENS_FILE": str(self._tokens),
            "DAYBOOK_CPU": "0",
            "DAYBOOK_LOG_LEVEL": "warning",
        }


def _in_order(of: Mapping[str, T], number: int) -> list[tuple[str, T]]:
    """The sides forwards or backwards by turns, so that the last one is not the same each time."""
    return list(of.items())[:: 1 if number % 2 else -1]


def _open_accounts(port: int, number: int) -> list[str]:
    """Open accounts and deposit money on them. Returns their ids."""
    cash = {"type": "cash", "currency": CURRENCY, "name": "Cash"}
    opened: list[Item] = [("/v1/accounts", cash)]
    opened += [
        ("/v1/accounts", {"type": "checking", "currency": CURRENCY, "owner": f"owner-{n}", "name": f"Owner {n}"})
        for n in range(number)
    ]
    _, answers = send_batches(port, TOKENS["operator"], batches(opened, 1_000, "open"))
    accounts = [orjson.loads(line)["body"]["account"] for answer in answers for line in answer.splitlines()][1:]
    deposits = [(f"/v1/accounts/{account}/deposits", {"amount": RICH, "currency": CURRENCY}) for account in accounts]
    send_batches(port, TOKENS["operator"], batches(deposits, 1_000, "deposit"))
    return accounts


def _tokens_file(folder: Path) -> Path:
    """Write a file with a token for each role."""
    file = folder / "compare-tokens.json"
    file.touch(mode=0o600)
    principals = [
        {"sha256": sha256(token.encode()).hexdigest(), "principal": role, "role": role}
        for role, token in TOKENS.items()
    ]
    file.write_text(json.dumps(principals))
    return file
