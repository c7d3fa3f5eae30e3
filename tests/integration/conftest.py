"""One running service for each test module."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.samples.accounts.periods import closed
from tests.samples.registry import ROUTES, SAMPLES
from tests.support.ledger import assert_sound
from tests.support.postgres import Server
from tests.support.service import Service, service_on


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    """The API with its executor and projections, and with open internal accounts in EUR.

    What it asks of a server is tried on each supported one by the tests of the store and of the projections.
    """
    with postgres18.database() as database, service_on(database) as running:
        yield running


@pytest.fixture(scope="module")
def service18(postgres18: Server) -> Iterator[Service]:
    """The same, for hostile requests. Its log must be sound at the end."""
    with postgres18.database() as database, service_on(database) as running:
        yield running
        assert_sound(database)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All log records, also those of uvicorn, whose loggers do not propagate."""
    server = logging.getLogger("uvicorn")
    server.addHandler(caplog.handler)
    yield caplog
    server.removeHandler(caplog.handler)


@pytest.fixture(scope="module")
def known(service18: Service) -> dict[str, str]:
    """Existing ids by their names in the paths of routes, so that requests reach more than a 404."""
    named = {name: id for make in ROUTES.values() for name, id in make(service18).names.items()}
    ones = {name: samples.one(service18) for name, samples in SAMPLES.items()}
    account = service18.account("100.00")
    eur = {"amount": "1.00", "currency": "EUR"}
    assert service18.post(f"accounts/{account}/deposits", eur, role="operator", key="known").status_code == 201
    held = service18.post(f"accounts/{account}/holds", eur).json()["hold"]
    period = closed(service18)
    of_paths = {
        "account": account,
        "hold": held,
        "stream": account,
        "key": "known",
        "number": "1",
        "part": "1",
        "path": "000",
        "position": "1",
        "period": period,
    }
    return {**named, **ones, "template": named["template"], **of_paths}
