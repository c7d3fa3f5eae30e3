"""Projector processes with different lists of projections."""

from __future__ import annotations

import base64

import psycopg

from projections.engine.lag import lag
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, MASTER_KEY, Filler, a_life
from tests.integration.workers.running import daybook, environment, read_until, started
from tests.support.postgres import Database
from tests.support.waiting import wait_until

KEY = base64.b64encode(MASTER_KEY).decode()


def test_two_projectors_with_different_lists_fold_everything_together(database18: Database) -> None:
    filler = Filler(database18)
    filler.begin()
    head = filler.write(*a_life(filler, seed=50, units=200))
    env = environment(database18, DAYBOOK_MASTER_KEY=KEY)

    def behind() -> set[str]:
        with psycopg.connect(database18.url) as connection:
            found = lag(connection, LOG, PROJECTIONS)
        return {one.projection for one in found.projections if one.position < head}

    of_accounts = [each.name for each in PROJECTIONS if each.area == "accounts"]
    others = {each.name: each.area for each in PROJECTIONS if each.area != "accounts"}
    assert {"movements", "entries"} <= set(of_accounts)
    assert {"orders", "mails"} <= set(others)
    with started("work", "--projections", "accounts", env=env) as first:
        read_until(first, f"read tables of {', '.join(of_accounts)}")
        wait_until(lambda: behind() == set(others), "the head, for the area accounts")
        with started("work", env=env | {"DAYBOOK_PROJECTIONS": ", ".join(sorted(set(others.values())))}):
            wait_until(lambda: not behind(), "the head, for the other areas")
    assert filler.verify().ok
    filler.close()


def test_a_projector_refuses_a_projection_that_it_does_not_know(database18: Database) -> None:
    refused = daybook("work", "--projections", "orders,poems", env=environment(database18))
    assert refused.returncode == 3
    assert "there is no projection and no area poems; the areas are accounts, orders, posts" in refused.stderr
