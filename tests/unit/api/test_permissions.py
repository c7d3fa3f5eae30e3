"""A table of the roles that may use each route, compared with the declarations of the routes."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from api import registry
from api.gateway.routes import RouteTable
from api.system.docs_page import docs_routes
from domain.kernel import Role
from domain.permissions import ROLES

TABLE = RouteTable([*registry.routes(), *docs_routes()])
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
READS = ("GET", "HEAD", "OPTIONS")
OF_CUSTOMERS = (
    "/v1/accounts",
    "/v1/accounts/{account}",
    "/v1/accounts/{account}/balance",
    "/v1/accounts/{account}/daily-balances",
    "/v1/accounts/{account}/entries",
    "/v1/accounts/{account}/limit-usage",
    "/v1/accounts/{account}/movements",
    "/v1/accounts/{account}/statement",
    "/v1/account-persons",
    "/v1/holds",
    "/v1/holds/{hold}",
    "/v1/batches/{batch}",
    "/v1/batches/{batch}/items",
    "/v1/long-batches",
    "/v1/long-batches/{long_batch}",
    "/v1/long-batches/{long_batch}/items",
    "/v1/transactions",
    "/v1/transactions/{transaction}",
    "/v1/transactions/{transaction}/history",
    "/v1/conversions",
    "/v1/quotes/{quote}",
    "/v1/recurring-payments",
    "/v1/recurring-payments/{payment}",
    "/v1/recurring-payments/{payment}/runs",
    "/v1/transfer-orders",
    "/v1/transfer-orders/{transfer_order}",
    "/v1/transfer-orders/{transfer_order}/tries",
    "/v1/interest",
    "/v1/interest/{account}",
    "/v1/interest/{account}/credits",
    "/v1/settlement-agreements",
    "/v1/settlement-agreements/{account}",
    "/v1/settlements",
    "/v1/settlements/{settlement}",
    "/v1/proof/bundle/statement/{account}",
)
"""What shows a customer only what is theirs."""
BY_CUSTOMERS = (
    "/v1/accounts/{account}/limits",
    "/v1/accounts/{account}/holds",
    "/v1/accounts/{account}/holds/{hold}/release",
    "/v1/accounts/{account}/mandates",
    "/v1/accounts/{account}/mandates/withdraw",
    "/v1/accounts/{account}/close",
    "/v1/accounts/{account}/close-when-free",
    "/v1/accounts/{account}/cancel-closing",
    "/v1/accounts/{account}/details",
    "/v1/batches",
    "/v1/long-batches",
    "/v1/long-batches/{long_batch}/parts/{part}",
    "/v1/long-batches/{long_batch}/stop",
    "/v1/transactions/{transaction}/cancel",
    "/v1/transactions/{transaction}/post",
    "/v1/transfers",
    "/v1/transfers/pending",
    "/v1/conversions",
    "/v1/quotes",
    "/v1/recurring-payments",
    "/v1/recurring-payments/{payment}/amount",
    "/v1/recurring-payments/{payment}/cancel",
    "/v1/recurring-payments/{payment}/pause",
    "/v1/recurring-payments/{payment}/resume",
    "/v1/transfer-orders",
    "/v1/transfer-orders/{transfer_order}/cancel",
)
"""What a customer may send about what is theirs."""
OF_OPERATORS = (
    "/v1/accounts/{account}/adjustments",
    "/v1/accounts/{account}/attach",
    "/v1/accounts/{account}/detach",
    "/v1/accounts/{account}/reopen",
    "/v1/chart/nodes",
    "/v1/chart/nodes/{node}/change",
    "/v1/chart/nodes/{node}/move",
    "/v1/chart/nodes/{node}/remove",
    "/v1/interest/{account}/end",
    "/v1/interest/{account}/terms",
    "/v1/payrolls/{payroll}/stop",
    "/v1/payrolls/{payroll}/items/retry",
    "/v1/payrolls/{payroll}/items/give-up",
    "/v1/rates/{pair}/withdraw",
    "/v1/reconciliations/{reconciliation}/abandon",
    "/v1/reconciliations/{reconciliation}/close",
    "/v1/reconciliations/{reconciliation}/matches/{match}/undo",
    "/v1/reconciliations/{reconciliation}/reopen",
    "/v1/settlement-agreements/{account}/end",
    "/v1/settlement-agreements/{account}/pause",
    "/v1/settlement-agreements/{account}/resume",
    "/v1/settlement-agreements/{account}/terms",
    "/v1/transactions/{transaction}/approve",
    "/v1/transactions/{transaction}/reject",
)
"""What only operators send, and nobody reads."""
OF_OPERATORS_AND_READ = (
    "/v1/policies/calendar",
    "/v1/policies/posting",
    "/v1/policies/risk",
    "/v1/periods",
    "/v1/rates",
    "/v1/reconciliations/{reconciliation}/matches",
    "/v1/interest",
    "/v1/settlement-agreements",
)
"""What only operators send, and others read."""
OF_AUDITORS = (
    *("/v1/streams", "/v1/log", "/v1/replay", "/v1/reads", "/v1/approvals"),
    *("/v1/proof/tile/entries", "/v1/proof/head", "/v1/proof/bundle/event", "/v1/proof/bundle/stream"),
)
READ_OF_PEOPLE = ("/v1/me", "/v1/people", "/v1/people/{person}", "/v1/policies/sign-in")
"""What auditors and operators read of people, beside the persons themselves."""
OWN_OR_SUPERVISED = ("/v1/people/{person}/activity", "/v1/people/{person}/reads", "/v1/people/{person}/sign-ins")
"""What every person reads about themselves, whatever their roles. For others the person does not exist."""
OF_WEBHOOKS = ("/change", "/pause", "/remove", "/replay", "/resume", "/rotate-secret")
"""What operators and administrators do with a webhook, whose other paths auditors read."""
WEBHOOKS_READ = tuple(f"/v1/webhooks/{{webhook}}{more}" for more in ("", "/progress", "/deliveries"))
LONG_BATCHES_READ = tuple(f"/v1/long-batches{more}" for more in ("", "/{long_batch}", "/{long_batch}/items"))
ONLY_READ = ("/v1/me", "/v1/people/{person}", "/v1/people/{person}/sessions")
PUBLIC = ("/v1/health/", "/docs")
PATHS = sorted({declared.route.path for declared in TABLE.routes})


def may(role: Role, method: str, path: str) -> bool:
    """The permissions of each role by prefixes of paths, as they were before routes declared them.

    What is about people is for persons. A token of the file reads some of it, and ends a session.
    """
    if path in OWN_OR_SUPERVISED:
        return method in READS or role in ("command", "operator")
    if path in ONLY_READ and method not in READS:
        return role in ("command", "operator")  # they get the answer 405
    if path in READ_OF_PEOPLE and method in READS:
        return role in ("audit", "operator")
    if path == "/v1/sessions/{session}/end":
        return role == "operator"
    if path.startswith(("/v1/people", "/v1/administrators", "/v1/sign-in", "/v1/sessions")) or path in READ_OF_PEOPLE:
        return False
    if role == "customer":
        return (method in READS and path in OF_CUSTOMERS) or (method not in READS and path in BY_CUSTOMERS)
    if path.startswith(("/v1/people/", "/v1/privacy-requests/")):
        return False  # these are for persons: no token of a file has such a role
    if role == "operator":
        return True
    if path.startswith("/v1/periods/") and ("reopenings" in path or path.endswith("/close-year")):
        return False  # two operators reopen one
    if path == "/v1/log/follow-tickets":
        return role == "audit"
    if path.startswith("/v1/webhooks"):
        if path in WEBHOOKS_READ and method not in READS:
            return role == "command"  # they get the answer 405
        return role == "audit" and (method in READS) and not path.endswith(OF_WEBHOOKS)
    if path.startswith("/v1/mails") and (method in READS or path.endswith("/retry")):
        return False
    if path in (*OF_OPERATORS, "/v1/processes/{process}/retry", "/v1/processes/{process}/resolve"):
        return False
    if path in ("/v1/fee-schedules/{schedule}/retire", "/v1/templates/{template}/retire"):
        return False
    if method not in READS:
        return role == "command" and path not in (
            "/v1/policies/calendar",
            "/v1/policies/posting",
            "/v1/policies/risk",
            "/v1/periods",
            "/v1/fee-schedules",
            "/v1/templates",
            "/v1/rates",
            "/v1/rates/{pair}/withdraw",
            "/v1/reconciliations/{reconciliation}/matches",
            "/v1/interest",
            "/v1/settlement-agreements",
        )
    if path.startswith(OF_AUDITORS):
        return role == "audit"
    if path.startswith(("/v1/refusals", "/v1/reports")):
        return role in ("report", "audit")
    if path.startswith(("/v1/commands", "/v1/proof/bundle/command", "/v1/batches/")) or path in LONG_BATCHES_READ:
        return role in ("command", "audit")
    return True


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", PATHS)
def test_each_role_has_the_permissions_of_the_earlier_prefixes(role: Role, path: str) -> None:
    found = TABLE.find(path)
    assert found is not None
    public = path.startswith(PUBLIC)
    for method in METHODS:
        permitted = found.path.rights.of(method)
        assert ("public" in permitted) is public, method
        assert (role in permitted) is (public or may(role, method, path)), method


def test_the_table_has_every_route() -> None:
    assert len(PATHS) > 35
    assert len(TABLE.routes) > 45


def test_a_route_without_declared_permissions_is_refused() -> None:
    router = APIRouter()
    router.get("/v1/things/{thing}")(lambda thing: None)
    with pytest.raises(ValueError, match=r"GET /v1/things/\{thing\} does not declare who may use it"):
        RouteTable(router.routes)
