"""A projector cut off at every message of its transactions: tables and checkpoint move together or not at all."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from eventstore.connect import connect
from projections.engine import Runner
from projections.rooms import ROOMS
from projections.tables import prepare, reset
from projections.verify import verify_tables
from tests.faults.proxy import Verdict, Way, proxied
from tests.support.ledger import codec_of, ledger_on, transfer
from tests.support.postgres import Server

PAGE = 5


@pytest.mark.parametrize("way", ["to the server", "to the client"])
def test_cut_at_every_message(postgres18: Server, way: Way) -> None:
    """`to the client`: the server has done what it was asked, a commit too, and its word is lost."""
    with postgres18.database() as database:
        with ledger_on(database) as ledger:
            one, two = ledger.account(100), ledger.account()
            for _ in range(2):
                ledger.accepted(transfer(one, two, 10))
        left = -1  # messages until the cut; below zero: none

        def judge(connection: int, direction: Way, kind: bytes, content: bytes) -> Verdict:
            nonlocal left
            if direction == way and left >= 0:
                left -= 1
                if left < 0:
                    return "swallow"
            return "pass"

        socket_file = postgres18.postgres.data_dir / ".s.PGSQL.5432"
        with (
            connect(database.projector_url, application_name="direct") as direct,
            connect(database.projector_url, application_name="keys") as keys,
            proxied(socket_file, judge) as proxy,
        ):
            codec = codec_of(keys, 1)[0]
            prepare(direct, "main", ROOMS)
            cuts = 0
            while True:
                reset(direct, "main", ROOMS)
                prepare(direct, "main", ROOMS)
                with suppress(psycopg.OperationalError), _through(proxy.url(database.name)) as cut:
                    runner = Runner(cut, "main", codec, ROOMS, page=PAGE)
                    left = cuts
                    runner.run_to_head()
                whole = left >= 0
                left = -1
                assert _sound_so_far(direct), f"after {cuts} messages"
                Runner(direct, "main", codec, ROOMS, page=PAGE).run_to_head()  # somebody else goes on from there
                assert verify_tables(direct, "main", codec, ROOMS).ok, f"after {cuts} messages"
                if whole:
                    break
                cuts += 1
        assert cuts > 20, "the run was over before it was cut anywhere"


def _through(url: str) -> Connection[Any]:
    opened = connect(url, application_name="cut")
    opened.execute("SET ROLE daybook_projector")
    return opened


def _sound_so_far(connection: Connection[Any]) -> bool:
    """The trial balance is zero wherever the checkpoint stands: a page is there whole or not."""
    row = connection.execute("SELECT coalesce(sum(balance), 0) = 0 FROM read.accounts").fetchone()
    return row is not None and bool(row[0])
