"""An executor on a bench database, with accounts that have money, and transfers between them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

from psycopg import Connection

from api.commands.answer_codes import answer_codes
from bench.harness.server import Database
from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import ACCOUNT
from domain.accounts.numbers import account_number
from domain.accounts.posting import internal_account
from domain.accounts.transaction import TRANSACTION, Deposit, Transfer
from domain.kernel import RULES_VERSION, Context, Principal
from eventstore.executor.decided_commands import Submission
from eventstore.executor.executor import Executor
from eventstore.log.answers import Outcome
from eventstore.log.codec import Codec
from eventstore.log.metadata import encoded_actor, metadata
from eventstore.postgres.connect import connect
from workers import composition
from workers.clock_and_ids import new_id
from workers.composition import WriteSide, make_codec

LOG = "main"
CURRENCY = "EUR"
CASH = internal_account(LOG, "cash", CURRENCY)
ACTOR = "bench"
PRINCIPAL = Principal(ACTOR, ("operator",))
EACH_HAS = 10**12  # minor units: enough that no transfer is refused
_OPENED = date(2020, 1, 1)


def keep(accounts: Sequence[str], folder: Path, name: str = "accounts") -> Path:
    """Write a file of the ids, one on each line, for load from another process."""
    file = folder / name
    file.write_text("\n".join(accounts) + "\n")
    return file


def submission(command: Any, at: datetime | None = None) -> Submission:
    """The submission of a command, with a new key. Without a time it is decided now."""
    now = at or datetime.now(UTC)
    key = new_id("key")
    recorded = metadata(
        encoded_actor(PRINCIPAL.recorded), type(command).__name__, now, RULES_VERSION, key
    )  # in the form of the API
    return Submission(
        command=command,
        actor=ACTOR,
        key=key,
        request_hash=hashlib.sha256(key.encode()).digest(),
        metadata=recorded,
        context=Context(decided_at=now, log=LOG, principal=PRINCIPAL),
        codes=answer_codes(201, if_match=False),
    )


@dataclass
class Ledger:
    """A running executor. `answered` counts accepted answers, for the check afterwards."""

    database: Database
    executor: Executor
    answered: int = 0

    def execute(self, submissions: Sequence[Submission]) -> None:
        """Execute commands. Every one must be accepted."""
        answers = self.executor.execute(submissions)
        refused = [answer for answer in answers if answer.outcome is not Outcome.ACCEPTED]
        assert not refused, refused[0]
        self.answered += len(answers)

    def open_accounts(self, number: int) -> list[str]:
        """Open accounts of customers, with a minimum of zero and plenty of money. Returns their ids."""
        cash = OpenAccount(CASH, account_number("cash", 1), "cash", CURRENCY, LOG, "Cash", None, None, _OPENED)
        self.execute([submission(cash)])
        accounts = [new_id(ACCOUNT) for _ in range(number)]
        self.execute(
            [
                submission(
                    OpenAccount(
                        account,
                        account_number("checking", n),
                        "checking",
                        CURRENCY,
                        f"owner-{n}",
                        f"Owner {n}",
                        0,
                        None,
                        _OPENED,
                    )
                )
                for n, account in enumerate(accounts, 1)
            ]
        )
        today = datetime.now(UTC).date()
        self.execute(
            [submission(Deposit(new_id(TRANSACTION), account, EACH_HAS, CURRENCY, today)) for account in accounts]
        )
        return accounts


def transfers(accounts: Sequence[str], number: int, random: Random, *, zipf: float = 0.0) -> list[Submission]:
    """Transfers between random accounts. One account of each is drawn with this Zipf exponent, the other uniformly.

    With exponent 0 all accounts are equally likely. With an infinite exponent the first one is always drawn.
    """
    weights = list(accumulate(rank**-zipf for rank in range(1, len(accounts) + 1)))
    made = []
    for drawn in random.choices(accounts, cum_weights=weights, k=number):
        other = drawn
        while other == drawn:
            other = random.choice(accounts)
        source, target = (drawn, other) if random.random() < 0.5 else (other, drawn)
        made.append(transfer(source, target, random))
    return made


def transfer(source: str, target: str, random: Random) -> Submission:
    """A transfer of a random amount."""
    today = datetime.now(UTC).date()
    amount = random.randint(1, 10_000)
    return submission(Transfer(new_id(TRANSACTION), source, target, amount, CURRENCY, today))


def codec_of(database: Database, connection: Connection[Any], log_number: int) -> Codec:
    """A codec over the domain's catalogue."""
    return make_codec(database.settings, connection, log_number)


@contextmanager
def write_side(database: Database) -> Iterator[WriteSide]:
    """Run the executor of the API on log `main` of this database."""
    with connect(database.api_url, application_name="bench") as connection:
        connection.execute("SELECT log.create_log(%s)", (LOG,))
    with composition.write_side(database.settings, "bench") as side:
        yield side


@contextmanager
def running_ledger(database: Database) -> Iterator[Ledger]:
    """Run the same executor, and count its answers."""
    with write_side(database) as side:
        yield Ledger(database, side.executor)
