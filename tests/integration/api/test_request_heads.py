"""The head of a request has one meaning: one value for each header, one spelling of each path, every method."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.gateway.routes import RouteTable
from tests.integration.api.test_batches import batch
from tests.support.service import TOKENS, Service

ONE = {"amount": "1.00", "currency": "EUR"}
DRAFT = {"author": "a", "title": "t", "body": "b"}


def asked(
    service: Service, method: str, target: str, *more: tuple[str, str], role: str = "operator", body: Any = None
) -> tuple[int, dict[str, str], bytes]:
    """Send a request without the changes that a client makes to target and headers. Return the answer."""
    url = service.http.base_url
    connection = HTTPConnection(url.host, url.port, timeout=30)
    names = {name.lower() for name, _ in more}
    sound = {"Host": url.netloc.decode(), "Authorization": f"Bearer {TOKENS[role]}"}
    if body is not None:
        sound |= {"Content-Type": "application/json", "Content-Length": str(len(orjson.dumps(body)))}
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in (*[one for one in sound.items() if one[0].lower() not in names], *more):
        connection.putheader(name, value)
    connection.endheaders(None if body is None else orjson.dumps(body))
    response = connection.getresponse()
    answer = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return answer


def refused(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str, str]:
    status, _, content = answer
    problem = orjson.loads(content)
    return status, problem["code"], problem["detail"]


# ---------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Idempotency-Key", ("first", "second")),
        ("Idempotency-Key", ("same", "same")),
        ("If-Match", ('"1"', '"2"')),
        ("Authorization", (f"Bearer {TOKENS['operator']}", f"Bearer {TOKENS['command']}")),
        ("Content-Type", ("application/json", "text/plain")),
        ("Host", ("127.0.0.1", "127.0.0.1")),
        ("User-Agent", ("one", "two")),
        ("Last-Event-ID", ("main.1.1", "main.1.2")),
    ],
)
def test_a_singleton_header_sent_twice_is_refused(service18: Service, name: str, values: tuple[str, str]) -> None:
    account = service18.account()
    more = [(name, value) for value in values]
    if name != "Idempotency-Key":
        more.append(("Idempotency-Key", f"twice-{name}"))
    before = service18.log_digest()
    status, code, detail = refused(asked(service18, "POST", f"/v1/accounts/{account}/deposits", *more, body=ONE))
    assert (status, code) == (400, "malformed"), detail
    assert f"{name} came 2 times" in detail
    assert service18.log_digest() == before


def test_a_length_sent_twice_is_refused(service18: Service) -> None:
    """The parser refuses it, before any code of Daybook."""
    for values in (("12", "13"), ("43", "43")):
        more = [("Content-Length", value) for value in values]
        status, code, detail = refused(asked(service18, "POST", "/v1/posts", *more, body=DRAFT))
        assert (status, code) == (400, "malformed")
        assert "Duplicate Content-Length" in detail


def test_lists_may_come_in_several_lines(service18: Service) -> None:
    more = [("Accept", "text/html"), ("Accept", "application/json"), ("X-Forwarded-For", "a"), ("X-Forwarded-For", "b")]
    assert asked(service18, "GET", "/v1/accounts", *more)[0] == 200


@pytest.mark.parametrize("joined", ["{0}, {0}", "{0},{0}", "{0}, {0}, {0}"])
def test_a_key_that_a_proxy_joined_executes_nothing(service18: Service, joined: str) -> None:
    account, key = service18.account(), f"joined-{len(joined)}"
    path = f"/v1/accounts/{account}/deposits"
    first = asked(service18, "POST", path, ("Idempotency-Key", key), body=ONE)
    assert first[0] == 201
    before = service18.log_digest()
    again = asked(service18, "POST", path, ("Idempotency-Key", joined.format(key)), body=ONE)
    status, code, detail = refused(again)
    assert (status, code) == (400, "malformed")
    assert f"send {key!r} once" in detail
    together = asked(service18, "POST", "/v1/batches?atomic=true", ("Idempotency-Key", "K, K"), body=[])
    assert refused(together)[:2] == (400, "malformed")
    assert "'K' once" in refused(together)[2]
    assert service18.log_digest() == before
    assert asked(service18, "POST", path, ("Idempotency-Key", key), body=ONE)[2] == first[2], "the first answer"


def test_a_key_with_a_comma_is_a_key(service18: Service) -> None:
    assert service18.post("posts", DRAFT, key="invoice 7, line 2").status_code == 201
    assert service18.get("commands/invoice%207,%20line%202", role="command").status_code == 200


def test_a_joined_key_of_an_old_version_still_gets_its_answer(service18: Service) -> None:
    """Old versions accepted such a key. An item of a batch can still name it, because no proxy joins its key."""
    path = f"accounts/{service18.account()}/deposits"
    [first] = batch(service18, [{"key": "old, old", "path": f"/v1/{path}", "body": ONE}])
    assert first["status"] == 201
    before = service18.log_digest()
    again = service18.post(path, ONE, key="old, old")
    assert (again.status_code, again.json()) == (201, first["body"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert service18.post(path, {**ONE, "amount": "2.00"}, key="old, old").json()["code"] == "key_reused"
    assert service18.get("commands/old,%20old", role="command").json()["answer"] == first["body"]
    assert service18.log_digest() == before


@pytest.mark.parametrize("target", ["/v1/accounts?owner=a&limit=1&owner=b", "/v1/log?after=main.1.1&after=main.1.0"])
def test_a_parameter_sent_twice_is_refused(service18: Service, target: str) -> None:
    status, code, detail = refused(asked(service18, "GET", target))
    assert (status, code) == (400, "malformed")
    assert "2 times; say it once" in detail


def test_the_value_of_atomic_is_true_or_false(service18: Service) -> None:
    before = service18.log_digest()
    item = {"path": "/v1/posts", "body": DRAFT}
    target = "/v1/batches?atomic=true&atomic=false"
    status, code, _ = refused(asked(service18, "POST", target, ("Idempotency-Key", "both"), body=[item]))
    assert (status, code) == (400, "malformed")
    assert service18.log_digest() == before


# ---------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("spelt", "code"),
    [
        ("/v1/accounts/{}/deposits%0A", "malformed"),
        ("/v1/accounts/{}/deposits%0D", "malformed"),
        ("/v1/accounts/{}/deposits%00", "malformed"),
        ("/v1/accounts/{}/deposit%73", "malformed"),
        ("/v1/accounts/{}%2Fdeposits", "malformed"),
        ("/v1/accounts/{}/deposits%250A", "malformed"),
        ("/v1/accounts/{}/deposits/", "no_route"),
        ("/v1/accounts/{}//deposits", "no_route"),
        ("//v1/accounts/{}/deposits", "no_route"),
        ("/V1/accounts/{}/deposits", "no_route"),
        ("/v1/accounts/{}/Deposits", "no_route"),
        ("/v1/x/../accounts/{}/deposits", "no_route"),
        ("/v1/./accounts/{}/deposits", "no_route"),
        ("/v1/accounts/{}/deposits;a=1", "no_route"),
        ("/v1/accounts/{};a=1/deposits", "unknown"),
    ],
)
def test_a_command_has_one_spelling(service18: Service, spelt: str, code: str) -> None:
    """Another spelling is refused, alone and as an item. It never counts as another request with the same key."""
    account = service18.account()
    path = spelt.format(account)
    before = service18.log_digest()
    alone = asked(service18, "POST", path, ("Idempotency-Key", f"spelt-{spelt[-20:]}"), body=ONE)
    assert refused(alone)[1] == code, alone
    [item] = batch(service18, [{"key": f"spelt-{spelt[-20:]}", "path": path, "body": ONE}])
    assert item["body"]["code"] == code
    assert service18.log_digest() == before


@pytest.mark.parametrize("ending", ["\n", "\r", "\0", " ", "?a=1", "#a"])
def test_an_item_has_only_a_path(service18: Service, ending: str) -> None:
    before = service18.log_digest()
    [item] = batch(service18, [{"key": "k", "path": f"/v1/posts{ending}", "body": DRAFT}])
    assert item["body"]["code"] == ("malformed" if ending == "\0" else "no_route")
    assert service18.log_digest() == before


def test_a_command_with_a_query_is_refused_and_its_key_stays_free(service18: Service) -> None:
    status, code, detail = refused(
        asked(service18, "POST", "/v1/posts?a=1", ("Idempotency-Key", "no-query"), body=DRAFT)
    )
    assert (status, code) == (400, "malformed")
    assert detail == "POST /v1/posts does not take the query parameter 'a'; it takes dry_run."
    again = asked(service18, "POST", "/v1/posts", ("Idempotency-Key", "no-query"), body=DRAFT)
    assert (again[0], "idempotency-replayed" in again[1]) == (201, False)


@pytest.mark.parametrize("path", ["/v1/accounts%0A", "/v1/accounts/{}%0A", "/v1/accounts/{}%2Fentries", "/v1%2Flog"])
def test_a_read_has_no_hidden_characters(service18: Service, path: str) -> None:
    status, code, _ = refused(asked(service18, "GET", path.format(service18.account())))
    assert (status, code) == (400, "malformed")


# ---------------------------------------------------------------------- methods

READS = [
    "/v1/accounts", "/v1/accounts/{account}", "/v1/accounts/{account}/entries", "/v1/accounts/{account}/movements",
    "/v1/accounts/{account}/balance", "/v1/accounts/{account}/daily-balances", "/v1/accounts/{account}/statement",
    "/v1/account-persons", "/v1/transactions", "/v1/transactions/{transaction}", "/v1/orders", "/v1/orders/{order}",
    "/v1/accounts/{account}/limit-usage", "/v1/holds", "/v1/holds/{hold}", "/v1/posts",
    "/v1/posts/{post}", "/v1/posts/{post}/revisions", "/v1/trial-balance", "/v1/streams/{stream}", "/v1/log",
    "/v1/log/follow", "/v1/commands/{key:path}", "/v1/batches/{batch}", "/v1/batches/{batch}/items",
    "/v1/long-batches", "/v1/long-batches/{long_batch}", "/v1/long-batches/{long_batch}/items",
    "/v1/refusals", "/v1/refusals/{refusal}",
    "/v1/policies/posting", "/v1/policies/posting/versions", "/v1/policies/risk", "/v1/policies/risk/versions",
    "/v1/risk-assessments", "/v1/chart", "/v1/chart/balances",
    "/v1/chart/nodes/{node}", "/v1/chart/nodes/{node}/accounts", "/v1/processes", "/v1/processes/{process}",
    "/v1/periods", "/v1/periods/{period}",
    "/v1/rates", "/v1/quotes/{quote}", "/v1/conversions",
    "/v1/fee-schedules", "/v1/fee-schedules/{schedule}", "/v1/fee-schedules/{schedule}/versions",
    "/v1/templates", "/v1/templates/{template}", "/v1/templates/{template}/versions",
    "/v1/templates/{template}/versions/{number}",
    "/v1/people/{person}/activity", "/v1/people/{person}/reads", "/v1/reads",
    "/v1/people/{person}/sign-ins",
    "/v1/mails", "/v1/mails/{mail}",
    "/v1/health/live", "/v1/health/ready", "/v1/lag", "/v1/approvals",
    "/v1/people", "/v1/people/{person}", "/v1/me", "/v1/policies/sign-in",
    "/v1/policies/calendar", "/v1/policies/calendar/versions",
    "/v1/recurring-payments", "/v1/recurring-payments/{payment}", "/v1/recurring-payments/{payment}/runs",
    "/v1/transfer-orders", "/v1/transfer-orders/{transfer_order}", "/v1/transfer-orders/{transfer_order}/tries",
    "/v1/settlement-agreements", "/v1/settlement-agreements/{account}",
    "/v1/settlements", "/v1/settlements/{settlement}",
    "/v1/interest", "/v1/interest/{account}", "/v1/interest/{account}/credits",
    "/v1/payrolls", "/v1/payrolls/{payroll}", "/v1/payrolls/{payroll}/items",
    "/v1/reconciliations", "/v1/reconciliations/{reconciliation}", "/v1/reconciliations/{reconciliation}/lines",
    "/v1/reconciliations/{reconciliation}/entries", "/v1/reconciliations/{reconciliation}/matches",
    "/v1/reports", "/v1/stuck", "/v1/replay", "/v1/replay/causes", "/v1/replay/refusal",
    "/v1/transactions/{transaction}/history",
    "/v1/webhooks", "/v1/webhooks/{webhook}", "/v1/webhooks/{webhook}/deliveries", "/v1/webhooks/{webhook}/progress",
]  # fmt: skip
READS_OF_PERSONS = ["/v1/people/{person}/sessions", "/v1/people/{person}/api-keys"]
"""Reads that no token of the file may use. `tests/integration/people` has their tests."""
READS_OF_PROOFS = [
    "/v1/proof/checkpoint", "/v1/proof/keys", "/v1/proof/witnesses", "/v1/proof/tile/{path:path}",
    "/v1/proof/tile/entries/{path:path}", "/v1/proof/inclusion", "/v1/proof/consistency", "/v1/proof/head",
    "/v1/proof/bundle/event/{position}", "/v1/proof/bundle/command/{key:path}", "/v1/proof/bundle/stream/{stream}",
    "/v1/proof/bundle/statement/{account}",
]  # fmt: skip
"""Reads of a log that is sealed. `tests/integration/proof` has their tests."""
WITHOUT_TABLE = (
    "/v1/streams", "/v1/log", "/v1/replay", "/v1/commands", "/v1/batches", "/v1/health", "/v1/lag", "/v1/reads",
    "/v1/me", "/v1/policies/sign-in",
)  # fmt: skip
REPORTS = ("/v1/accounts/{account}/daily-balances", "/v1/accounts/{account}/statement")
"""Reads that need a period."""
OF_OTHER_ACCOUNTS = {
    "/v1/settlement-agreements/{account}": "settlement_agreement",
    "/v1/interest/{account}": "interest",
    "/v1/interest/{account}/credits": "interest",
}
"""Reads of accounts for which more was agreed, and the name of its stream."""
CHANGING = ("/v1/lag", "/v1/health/ready", "/v1/reads", "/v1/people/{person}/reads")
"""Reads whose answer grows between two requests; the requests of this test are among the reads that are recorded."""


def application(service: Service) -> FastAPI:
    found: Any = service.app
    while not isinstance(found, FastAPI):
        found = found._app
    return found


def test_every_read_is_listed_here(service18: Service) -> None:
    declared: RouteTable = application(service18).state.routes
    routes = [one.route for one in declared.routes if isinstance(one.route, APIRoute)]
    assert {route.path for route in routes if "GET" in (route.methods or ())} == {
        *READS, *READS_OF_PERSONS, *READS_OF_PROOFS,
    }  # fmt: skip


@pytest.mark.parametrize("path", READS)
def test_head_is_get_without_the_body(service18: Service, known: dict[str, str], path: str) -> None:
    names = (
        known | {"account": known[OF_OTHER_ACCOUNTS[path]].partition(":")[2]} if path in OF_OTHER_ACCOUNTS else known
    )
    target = path.replace("{key:path}", "{key}").format_map(names)
    if not target.startswith(WITHOUT_TABLE):
        target += f"?min_position={service18.last['position']}"
    if path in REPORTS:
        target += "&from=2026-01-01&to=2026-01-31"
    if path == "/v1/reports":
        target += "&names=trial-balance"
    if path == "/v1/replay/causes":
        target += "?position=1"
    if path == "/v1/replay/refusal":
        [refusal] = service18.get(f"streams/{known['refusal']}", role="audit").json()["events"]
        target += f"?position={refusal['position']}"
    status, headers, content = asked(service18, "HEAD", target, role="operator")
    assert (status, content) == (200, b"")
    if path == "/v1/log/follow":
        assert headers["content-type"].startswith("text/event-stream")
        return
    got, expected, body = asked(service18, "GET", target, role="operator")
    assert (got, bool(body)) == (200, True)
    steady = {"content-type", "etag"} | (set() if path in CHANGING else {"content-length"})
    assert {name: headers.get(name) for name in steady} == {name: expected.get(name) for name in steady}


def test_head_ends_for_every_follower(service18: Service) -> None:
    """More requests than the limit: none keeps its place."""
    for _ in range(service18.services.limits.followers + 1):
        assert asked(service18, "HEAD", "/v1/log/follow", role="audit")[0] == 200


def test_head_is_refused_as_get_is(service18: Service) -> None:
    status, headers, content = asked(service18, "HEAD", "/v1/accounts/acct_none")
    assert (status, headers["content-type"], content) == (404, "application/problem+json", b"")
    assert asked(service18, "HEAD", "/v1/log", role="report")[0] == 403


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/accounts", "GET, HEAD, OPTIONS, POST"),
        ("/v1/transfers", "OPTIONS, POST"),
        ("/v1/accounts/acct_x", "GET, HEAD, OPTIONS"),
        ("/v1/posts/post_x/revisions", "GET, HEAD, OPTIONS, POST"),
        ("/v1/health/live", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_and_an_unsupported_method_name_the_supported_ones(service18: Service, path: str, allow: str) -> None:
    status, headers, content = asked(service18, "OPTIONS", path, role="report")
    assert (status, headers["allow"], content) == (204, allow, b"")
    status, headers, content = asked(service18, "DELETE", path)
    assert (status, headers["allow"], orjson.loads(content)["code"]) == (405, allow, "method")
    assert allow in orjson.loads(content)["detail"]
    assert asked(service18, "OPTIONS", "/v1/nothing")[0] == 404
