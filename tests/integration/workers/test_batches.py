"""`daybook batches` as a process: what it says, and that it carries out what comes while it runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from api.gateway.principals import digest
from tests.integration.workers.running import PATIENCE_SECONDS, daybook, environment, read_until, started
from tests.support.long_batches import deposit, outcomes, sent, shown, wait_for_head
from tests.support.postgres import Server
from tests.support.service import TOKENS, service_on
from tests.support.waiting import wait_until


def test_a_long_batch_is_carried_out_by_the_process(postgres18: Server, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.touch(mode=0o600)
    holders = [{"sha256": digest(TOKENS["command"]).hex(), "principal": "the-command", "role": "command"}]
    tokens.write_text(json.dumps(holders))
    with postgres18.database() as database, service_on(database, clock=lambda: datetime.now(UTC)) as service:
        env = environment(database, DAYBOOK_TOKENS_FILE=str(tokens))
        account = service.account()
        before = sent(service, [deposit(account)], 1)
        with started("batches", env=env) as process:
            read_until(process, "carrying out the long batches of log main")
            after = sent(service, [deposit(account) for _ in range(3)], 2)
            for batch in (before, after):
                wait_until(lambda: shown(service, batch)["status"] == "finished", "the end", PATIENCE_SECONDS)  # noqa: B023
        assert outcomes(service, after) == {"accepted": 3}
        wait_for_head(service)
        assert service.get(f"accounts/{account}/balance").json()["balance"] == "0.04"
        done = daybook("verify", env=env)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_needs_the_file_of_tokens(postgres18: Server, tmp_path: Path) -> None:
    with postgres18.database() as database, service_on(database):
        done = daybook("batches", env=environment(database, DAYBOOK_TOKENS_FILE=str(tmp_path / "none.json")))
    assert done.returncode == 3
    assert "none.json" in done.stderr
