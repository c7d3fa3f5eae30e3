"""Runs the ledger with `SELECT … FOR UPDATE` in a separate process, with accounts that have money, and checks it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from bench.harness import process
from bench.harness.ledger import CURRENCY, EACH_HAS
from bench.harness.oracle import WrongError
from bench.peers.for_update import Account, Base, sqlalchemy_url
from workers.ports import free_port

TRANSFERS = "/transfers"

_OBSERVE = """
WITH moved AS (SELECT account_id AS id, sum(amount) AS amount FROM entries GROUP BY 1),
     transferred AS (SELECT transaction_id AS id, sum(amount) AS total, count(*) AS entries FROM entries GROUP BY 1)
SELECT (SELECT count(*) FROM transactions),
       (SELECT count(*) FROM transactions LEFT JOIN transferred t USING (id)
         WHERE t.total IS DISTINCT FROM 0 OR t.entries <> 2),
       (SELECT count(*) FROM accounts LEFT JOIN moved m USING (id) WHERE balance <> %s + coalesce(m.amount, 0))
"""


@contextmanager
def running_peer(url: str, accounts: Sequence[str]) -> Iterator[str]:
    """Run the ledger on an empty database, with these accounts. Yields its address."""
    engine = create_engine(sqlalchemy_url(url))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Account(id=account, currency=CURRENCY, balance=EACH_HAS) for account in accounts])
        session.commit()
    engine.dispose()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with process.running(
        "bench.peers.for_update",
        environment={"DATABASE_URL": url, "PORT": str(port)},
        ready=lambda: process.answers(f"{address}/accounts/{accounts[0]}"),
    ):
        yield address


def check(url: str, answered: int, unanswered: int) -> list[str]:
    """Check the tables. Returns the names of the checks. Raises `WrongError` if they do not agree with the answers."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_OBSERVE, (EACH_HAS,)).fetchone()
    assert row is not None
    transactions, unbalanced, wrong = row
    if not answered <= transactions <= answered + unanswered or unbalanced or wrong:
        raise WrongError(
            f"the ledger with FOR UPDATE holds {transactions} transactions for {answered} answers, {unbalanced} of "
            f"them unbalanced, and {wrong} accounts whose balance is not the sum of their entries"
        )
    return ["transactions, entries and balances of the FOR UPDATE ledger fit its answers"]
