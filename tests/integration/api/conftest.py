"""One running service for each module of tests, on each supported server or on one."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.support.ledger import assert_sound
from tests.support.postgres import Server
from tests.support.service import Service, service_on


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[Service]:
    """The API with its executor and projections; internal accounts in EUR are open."""
    with server.database() as database, service_on(database) as running:
        yield running


@pytest.fixture(scope="module")
def service18(postgres18: Server) -> Iterator[Service]:
    """The same on 18 only, for hostile requests: whatever came, its log is sound in the end."""
    with postgres18.database() as database, service_on(database) as running:
        yield running
        assert_sound(database)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that is logged, by uvicorn too, whose loggers keep to themselves."""
    server = logging.getLogger("uvicorn")
    server.addHandler(caplog.handler)
    yield caplog
    server.removeHandler(caplog.handler)
