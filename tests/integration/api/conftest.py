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


@pytest.fixture(scope="module")
def known(service18: Service) -> dict[str, str]:
    """What there is, by its name in the paths of routes: requests to it get further than to find nothing."""
    eur = {"amount": "1.00", "currency": "EUR"}
    account, line = service18.account("100.00"), {"sku": "s", "name": "n", "quantity": 1, "unit_price": "1.00"}
    made = {
        "hold": service18.post(f"accounts/{account}/holds", eur),
        "transaction": service18.post(f"accounts/{account}/deposits", eur, role="operator", key="known"),
        "order": service18.post("orders", {"customer": "c", "currency": "EUR", "lines": [line]}),
        "post": service18.post("posts", {"author": "a", "title": "t", "body": "b"}),
    }
    return {name: response.json()[name] for name, response in made.items()} | {
        "account": account,
        "stream": account,
        "key": "known",
    }
