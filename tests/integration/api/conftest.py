"""One running service for each module of tests, on each supported server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import Server
from tests.support.service import Service, service_on


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[Service]:
    """The API with its executor and projections; internal accounts in EUR are open."""
    with server.database() as database, service_on(database) as running:
        yield running
