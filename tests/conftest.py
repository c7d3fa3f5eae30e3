"""What every test can use: real PostgreSQL servers, fresh databases, and the rule that CI skips nothing.

database        a fresh migrated database, the test runs once on PostgreSQL 15 and once on 18
database18      the same on 18 only
empty_database  fresh and not migrated, on both
server          the running server under `database`; postgres15 and postgres18 are each of them
kafka           a broker of Apache Kafka that the whole run shares
own_kafka       a broker of its own behind a proxy, for tests that kill, stop or cut it
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import kafka as kafka_support
from tests.support.kafka import Kafka, OwnKafka, end_shared_broker, shared_broker
from tests.support.postgres import VERSIONS, Database, Server, running_server
from workers import ports

# A developer's own settings must not reach the tests.
for _name in [name for name in os.environ if name.startswith("DAYBOOK_") or name == "DATABASE_URL"]:
    del os.environ[_name]

# Each process of a run takes ports from a part of its own. One that is chosen looks free until a server listens on it.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
ports.PORTS //= _PROCESSES
ports.LOWEST_PORT += _NUMBER * ports.PORTS

TESTS = Path(__file__).parent
SLOW = (
    "faults/", "tampering/", "integration/workers/", "integration/bench/", "integration/library/", "integration/test_",
    "integration/api/test_batches_fuzz", "integration/api/test_bounds", "integration/api/test_clients",
    "integration/api/test_commands_fuzz", "integration/api/test_schema", "integration/eventstore/test_random_histories",
    "integration/eventstore/test_roles", "integration/eventstore/test_snapshots", "integration/projections/test_pages",
    "integration/projections/test_runners", "integration/kafka/", "unit/test_no_skips",
)  # fmt: skip
"""Begin the paths of what `make test-fast` leaves out: real processes and servers, faults, sweeps over every case."""

LONGEST = TESTS / "integration" / "test_contributing.py"
"""Has the longest test. At the end of a run the other processes would wait for it for minutes."""

# A shared machine is slow now and then; a deadline would turn that into a failure.
hypothesis.settings.register_profile(
    "daybook", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("daybook")


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Server]:
    """Debian's PostgreSQL 15, the oldest supported."""
    with running_server(15) as server:
        yield server


@pytest.fixture(scope="session")
def postgres18() -> Iterator[Server]:
    """The embedded PostgreSQL 18."""
    with running_server(18) as server:
        yield server


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"pg{version}")
def server(request: pytest.FixtureRequest) -> Server:
    """Each supported server in turn."""
    found = request.getfixturevalue(f"postgres{request.param}")
    assert isinstance(found, Server)
    return found


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A fresh migrated database, on each supported server in turn."""
    with server.database() as fresh:
        yield fresh


@pytest.fixture
def database18(postgres18: Server) -> Iterator[Database]:
    """A fresh migrated database on PostgreSQL 18."""
    with postgres18.database() as fresh:
        yield fresh


@pytest.fixture
def empty_database(server: Server) -> Iterator[Database]:
    """A fresh database without our schema, on each supported server in turn."""
    with server.database(migrated=False) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def kafka() -> Kafka:
    """The broker that the whole run shares. A test uses topics of its own."""
    return shared_broker()


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[OwnKafka]:
    """A broker of its own, for a test that kills, stops or cuts it. One test of the run at a time has one."""
    with kafka_support.own_kafka(tmp_path) as own:
        yield own


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the shared broker with the run."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        end_shared_broker()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-fast` leaves out, by its path, and begin with the longest test."""
    items.sort(key=lambda item: item.path != LONGEST)
    for item in items:
        if item.path.is_relative_to(TESTS) and str(item.path.relative_to(TESTS)).startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A skipped test proves nothing and looks like success: in CI it is a failure. Expected failures are no skips."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge each test's report."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge each module's report: a module may skip itself while it is collected."""
    report = yield
    _fail_if_skipped(report)
    return report
