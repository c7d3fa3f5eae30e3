"""The ledger with `SELECT … FOR UPDATE` is correct: a fair comparison needs a correct peer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from bench.harness.ledger import EACH_HAS
from bench.harness.oracle import WrongError
from bench.peers.process import TRANSFERS, check, running_peer
from tests.support.postgres import Server


@dataclass
class Peer:
    url: str
    http: httpx.Client

    def transfer(self, key: str, source: str, target: str, amount: str = "1.00", currency: str = "EUR") -> int:
        body = {"source": source, "target": target, "amount": amount, "currency": currency}
        return self.http.post(TRANSFERS, json=body, headers={"Idempotency-Key": key}).status_code

    def balance(self, account: str) -> int:
        found: int = self.http.get(f"/accounts/{account}").json()["balance"]
        return found


@pytest.fixture(scope="module")
def peer(postgres18: Server) -> Iterator[Peer]:
    with (
        postgres18.database(migrated=False) as database,
        running_peer(database.url, "abcdefgh") as address,
        httpx.Client(base_url=address, timeout=30) as http,
    ):
        yield Peer(database.url, http)


def test_a_retry_moves_nothing_and_another_request_under_its_key_is_refused(peer: Peer) -> None:
    assert [peer.transfer("once", "a", "b") for _ in range(2)] == [201, 200]
    assert peer.transfer("once", "a", "b", "2.00") == 409
    assert (peer.balance("a"), peer.balance("b")) == (EACH_HAS - 100, EACH_HAS + 100)


@pytest.mark.parametrize(
    ("source", "target", "amount", "currency", "status"),
    [
        ("c", "d", "99999999999.99", "EUR", 422),
        ("c", "c", "1.00", "EUR", 422),
        ("c", "d", "1.00", "USD", 422),
        ("c", "d", "0.001", "EUR", 422),
        ("c", "nobody", "1.00", "EUR", 404),
    ],
)
def test_a_refused_transfer_changes_nothing(
    peer: Peer, source: str, target: str, amount: str, currency: str, status: int
) -> None:
    assert peer.transfer("refused", source, target, amount, currency) == status
    assert (peer.balance("c"), peer.balance("d")) == (EACH_HAS, EACH_HAS)


def test_concurrent_transfers_in_both_directions_do_not_deadlock_or_lose_money(peer: Peer) -> None:
    pairs = [("e", "f"), ("f", "e"), ("f", "g"), ("g", "e")] * 20
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda one: peer.transfer(f"back-{one[0]}", *one[1]), enumerate(pairs)))
    assert set(statuses) == {201}
    assert sum(peer.balance(account) for account in "efg") == 3 * EACH_HAS


def test_the_check_counts_transactions_and_adds_up_entries(peer: Peer) -> None:
    with psycopg.connect(peer.url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM transactions").fetchone()
        assert row is not None
        check(peer.url, row[0], 0)
        with pytest.raises(WrongError, match="transactions"):
            check(peer.url, row[0] + 1, 0)
        connection.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 'h'")
        with pytest.raises(WrongError, match="1 accounts"):
            check(peer.url, row[0], 0)
