"""A database becomes read-only or unavailable for a time: every process goes on without a restart."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.faults.checker import check
from tests.faults.clients import deposit, open_accounts, opening, post
from tests.faults.world import Process, World
from tests.integration.workers.running import daybook, environment
from tests.support.waiting import wait_until

READER = {"Authorization": "Bearer secret-of-report"}
QUICK_SECONDS = 15.0


def read_only(world: World, on: bool) -> None:
    """Make new sessions read-only, or not."""
    superuser, value = world.superuser(), "on" if on else "off"
    superuser.execute("SET default_transaction_read_only = off")
    superuser.execute(f"ALTER DATABASE {world.database.name} SET default_transaction_read_only = {value}".encode())


def end_sessions(world: World, of: str = "daybook-%") -> None:
    """End sessions, as a failover does."""
    world.superuser().execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE %s",
        (of,),
    )


def seconds_behind(url: str) -> float:
    lag: dict[str, Any] = httpx.get(f"{url}/v1/lag", headers=READER, timeout=10).json()
    return float(max(one["seconds"] for one in lag["projections"]))


def balance(url: str, account: str) -> str | None:
    """The balance of an account; None if the answer is 503."""
    answer = httpx.get(f"{url}/v1/accounts/{account}", headers=READER, timeout=10)
    assert answer.status_code in (200, 503), answer.text
    found: str | None = answer.json().get("balance")
    return found


def is_running(process: Process) -> bool:
    return process.running is not None and process.running.poll() is None


def test_a_read_only_database_is_waited_for(world: World) -> None:
    api, projector = world.api(), world.projector()
    (account,) = open_accounts(api, 1, "50.00")
    world.wait_until_folded()
    read_only(world, True)
    end_sessions(world, "daybook-projector")
    assert deposit(api, account, "before").status_code == 201  # older sessions may write
    wait_until(lambda: "the database cannot be used" in projector.messages(), "a message of the projector")
    wait_until(lambda: seconds_behind(api.url) > 0.5, "a lag that grows")

    end_sessions(world)
    for key, path, body in (
        ("refused", f"/v1/accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"}),
        ("opened", "/v1/accounts", opening("ada")),  # needs an account number and a key for the personal fields
    ):
        for _ in range(2):
            began = time.monotonic()
            answer = post(api, path, body, key)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
            assert answer.headers["Retry-After"]
            assert time.monotonic() - began < QUICK_SECONDS
    # Each pooled connection whose session was ended fails one read. Then reads succeed again.
    wait_until(lambda: balance(api.url, account) == "50.00", "a read")

    read_only(world, False)  # the read-only sessions are not ended
    assert deposit(api, account, "refused").status_code == 201
    assert post(api, "/v1/accounts", opening("ada"), "opened").status_code == 201
    world.wait_until_folded()
    wait_until(lambda: "the database can be used again after" in projector.messages(), "a message of the projector")
    assert is_running(projector)
    assert "Traceback" not in projector.messages() + api.messages()
    check(world)


def test_a_server_that_goes_away_is_waited_for(world: World) -> None:
    """A running projector goes on. A projector that is started meanwhile begins when the server is back."""
    api, projector = world.api(), world.projector()
    (account,) = open_accounts(api, 1, "50.00")
    world.wait_until_folded()
    world.server.postgres.stop()
    try:
        late = world.projector()
        for one in (projector, late):
            wait_until(lambda one=one: "the database cannot be used" in one.messages(), "a message of a projector")  # type: ignore[misc]
    finally:
        world.start_postgres()
    assert deposit(api, account, "after").status_code == 201
    world.wait_until_folded()
    for one in (projector, late):
        wait_until(lambda one=one: "the database can be used again after" in one.messages(), "a message of a projector")  # type: ignore[misc]
        assert is_running(one)
    projector.kill()
    assert deposit(api, account, "taken over").status_code == 201
    world.wait_until_folded()
    check(world)


def test_the_wait_ends_at_its_limit_with_a_message() -> None:
    env = environment(
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
        DAYBOOK_MASTER_KEY="A" * 43 + "=",
        DAYBOOK_DATABASE_WAIT_SECONDS="0.5",
    )
    done = daybook("work", env=env)
    message = done.stderr.replace("\n", " ")
    assert done.returncode == 3
    assert "the database cannot be used for 0 seconds now, and is tried again for 0 in all" in message
    assert "the database was tried for 0.5 seconds and still cannot be used" in message
    assert "DAYBOOK_DATABASE_WAIT_SECONDS" in message
    assert "Traceback" not in message


def test_an_error_that_waiting_cannot_repair_ends_the_process_at_once(world: World) -> None:
    env = environment(world.database) | {"DATABASE_URL": world.database.url.replace(world.database.name, "no_such_one")}
    done = daybook("work", env=env)
    assert done.returncode == 3
    assert 'database "no_such_one" does not exist' in done.stderr.replace("\n", "")
    assert "cannot be used" not in done.stderr
