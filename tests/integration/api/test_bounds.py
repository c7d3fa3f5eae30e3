"""Every declared bound: the value at it is accepted, and one past it is refused with the figure and changes nothing."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
import orjson
import pytest

from api.commands.batches import LEAST_BYTES_A_VALUE
from api.commands.bodies import MOST_EXPECTED, MOST_VERSION
from api.gateway.connections import ConnectionLimits
from api.gateway.request_guard import MOST_DEPTH
from api.services import Limits
from domain.accounts.account.holds import MOST_HOLDS
from domain.accounts.posting import LEAST_ENTRIES, MOST_ENTRIES
from domain.accounts.transaction.conditions import MOST_CONDITIONS
from domain.codes import MOST_CODE, MOST_METADATA_KEY, MOST_PAIRS
from domain.money import MAX_AMOUNT, show
from domain.orders.order import LEAST_LINES, MOST_LINES
from domain.posts.post import MOST_SLUG_CHARACTERS
from eventstore.log.append import MOST_EVENTS_PER_UNIT
from tests.integration.api.test_batches import JSON, NDJSON, item, send, together
from tests.integration.api.test_batches_fuzz import Place, changed
from tests.samples.registry import OF_PEOPLE, ROUTES
from tests.support.people import administrators
from tests.support.service import TOKENS, Service, leaves_a_record

LIMITS = Limits()
CONNECTION = ConnectionLimits()
TWO_BYTES = "\u00e9"
"""Texts are counted in characters, not in the bytes they take."""

Answered = tuple[int, dict[str, Any]]
Ask = Callable[[], Answered]
"""Sends a prepared request and returns status and body of its answer."""


class Things(dict[str, str]):
    """The things that requests name. Each is made at its first use."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.service = service

    def __missing__(self, name: str) -> str:
        if name in ("account", "other"):
            made = self.service.account(minimum=None)
        elif name == "post":
            made = self.service.post("posts", DRAFT).json()["post"]
        else:
            made = self.service.post("orders", order(1)).json()["order"]
        self[name] = made
        return made


Of = Callable[[Things, int], Ask]


LONG_CURSOR = urlsafe_b64encode(b"1".ljust(375)).decode()
"""A cursor of 500 characters: the key 1 and blanks after it."""


@dataclass(frozen=True)
class Bound:
    """`of` makes a request of a size. The answer at the bound has `status`; past it `refusal` with `text`."""

    what: str
    at: int
    of: Of
    text: str
    refusal: tuple[int, str] = (400, "malformed")
    status: int = 201
    down: bool = False  # a minimum, not a maximum

    @property
    def past(self) -> int:
        return self.at - 1 if self.down else self.at + 1

    @property
    def name(self) -> str:
        """The described name of the bounded member or parameter."""
        return re.sub(r" at (least|all)$", "", self.what).split()[-1]


def message(response: httpx.Response) -> Answered:
    """Status and body of an answer. The answers of a batch are not needed."""
    answered = {} if response.headers["Content-Type"].startswith(NDJSON) else response.json()
    return response.status_code, answered if isinstance(answered, dict) else {}


# ---------------------------------------------------------------------- requests

DEPOSIT = {"amount": "1.00", "currency": "EUR"}
DRAFT = {"author": "author-1", "title": "On ledgers", "body": "Facts."}
OPENING = {"type": "checking", "currency": "EUR", "owner": "customer-1", "name": "Ada Lovelace"}
MOVED = "accounts/{account}/deposits"


def line(**more: Any) -> dict[str, Any]:
    return {"sku": "s", "name": "n", "quantity": 1, "unit_price": "1.00", **more}


def order(lines: int = 1, **more: Any) -> dict[str, Any]:
    return {"customer": "customer-1", "currency": "EUR", "lines": [line(**more)] * lines}


def body(path: str, of: Callable[[int], dict[str, Any]]) -> Of:
    """A command whose body depends on the size."""

    def ask(things: Things, size: int) -> Ask:
        where = path.format_map(things)
        return lambda: message(things.service.post(where, of(size)))

    return ask


def field(path: str, name: str, sound: dict[str, Any], character: str = "x") -> Of:
    """A command with a text of this many characters in one field."""
    return body(path, lambda size: {**sound, name: character * size})


def deposit_if(things: Things, size: int) -> Ask:
    """A deposit with so many conditions."""
    account = things["account"]
    one = {"account": account, "what": "balance", "is": "gt", "currency": "EUR", "amount": "-1.00"}
    return body(MOVED, lambda size: {**DEPOSIT, "conditions": [one] * size})(things, size)


def raw(of: Callable[[int], bytes], *, in_parts: bool = False, **headers: str) -> Of:
    """A deposit of these bytes, with a declared length or in chunks."""

    def ask(things: Things, size: int) -> Ask:
        where = f"/v1/{MOVED}".format_map(things)
        content = of(size)
        sent = {"Authorization": f"Bearer {TOKENS['command']}", "Idempotency-Key": f"raw-{things['account']}"}
        sent |= {"Content-Type": JSON}

        def parts() -> Iterator[bytes]:
            for start in range(0, len(content), 100_000):
                yield content[start : start + 100_000]

        return lambda: message(things.service.http.post(where, content=parts() if in_parts else content, headers=sent))

    return ask


def header(name: str, of: Callable[[int], str]) -> Of:
    """A deposit with a header of this size."""

    def ask(things: Things, size: int) -> Ask:
        where = MOVED.format_map(things)
        return lambda: message(things.service.post(where, DEPOSIT, **{name: of(size)}))

    return ask


def head(of: Callable[[httpx.Request, int], httpx.Request]) -> Of:
    """A read with a larger head."""

    def ask(things: Things, size: int) -> Ask:
        http = things.service.http
        return lambda: message(http.send(of(http.build_request("GET", "/v1/health/live"), size)))

    return ask


def with_target(request: httpx.Request, size: int) -> httpx.Request:
    path = f"{request.url.path}?"
    return httpx.Request("GET", request.url.join(path.ljust(size, "x")), headers=request.headers)


def with_headers(request: httpx.Request, count: int) -> httpx.Request:
    more = {f"x-{number}": "x" for number in range(count - len(request.headers.raw))}
    return httpx.Request("GET", request.url, headers={**request.headers, **more})


def with_head(request: httpx.Request, size: int) -> httpx.Request:
    lines = [f"GET {request.url.path} HTTP/1.1", *[f"{name}: {value}" for name, value in request.headers.items()]]
    before = sum(len(line) + 2 for line in (*lines, "x: ", ""))
    return httpx.Request("GET", request.url, headers={**request.headers, "x": "x" * (size - before)})


def get(path: str, name: str, of: Callable[[int], Any]) -> Of:
    """A read with a parameter of this size."""

    def ask(things: Things, size: int) -> Ask:
        where = path.format_map(things)
        return lambda: message(things.service.get(where, role="audit", **{name: of(size)}))

    return ask


def follow_from(of: Callable[[int], str]) -> Of:
    """A request to follow the log from a last event id."""

    def ask(things: Things, size: int) -> Ask:
        sent = {"Authorization": f"Bearer {TOKENS['audit']}", "Last-Event-ID": of(size)}
        return lambda: message(things.service.http.get("/v1/log/follow", headers=sent))

    return ask


def batch(kind: str, of: Callable[[int], bytes]) -> Of:
    """A batch of these bytes."""
    return lambda things, size: lambda: message(send(things.service, of(size), kind))


Sized = Callable[[dict[str, Any], int], bytes]
"""The bytes of an item of this size, made from a sound one."""


def one_item(of: Sized, kind: str = NDJSON) -> Of:
    """A batch of one item. The answer is that of the item, or the refusal of the whole batch."""

    def ask(things: Things, size: int) -> Ask:
        content = of(item(MOVED.format_map(things), DEPOSIT), size)

        def answer() -> Answered:
            response = send(things.service, b"[" + content + b"]" if kind == JSON else content, kind)
            if response.status_code != 200:
                return message(response)
            (answered,) = map(orjson.loads, response.content.splitlines()) if kind == NDJSON else response.json()
            return answered["status"], answered["body"]

        return answer

    return ask


def having(name: str, of: Callable[[int], str]) -> Sized:
    return lambda sound, size: orjson.dumps(sound | {name: of(size)})


def padded(sound: dict[str, Any], size: int) -> bytes:
    return orjson.dumps(sound)[:-1].ljust(size - 1) + b"}"


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def entries(things: Things, size: int) -> Ask:
    """A transaction of this many entries, which balances if the number is even."""
    sides = ((things["account"], "debit"), (things["other"], "credit"))
    made = [{"account": sides[n % 2][0], "side": sides[n % 2][1], **DEPOSIT} for n in range(size)]
    return lambda: message(things.service.post("transactions", {"entries": made}))


def line_amount(minor: int) -> dict[str, Any]:
    quantity = next(number for number in range(2, 10) if minor % number == 0)
    return order(quantity=quantity, unit_price=show(minor // quantity, "EUR"))


def order_total(minor: int) -> dict[str, Any]:
    return {**order(), "lines": [line(unit_price=show(amount, "EUR")) for amount in (minor - 1, 1)]}


def hold(amount: int) -> dict[str, Any]:
    return {"amount": show(amount, "EUR"), "currency": "EUR"}


def with_metadata(of: Callable[[int], dict[str, str]]) -> Of:
    return body("orders", lambda size: {**order(), "metadata": of(size)})


def expecting(of: Callable[[int], dict[str, int]]) -> Of:
    return body(MOVED, lambda size: {**DEPOSIT, "expected_versions": of(size)})


# ---------------------------------------------------------------------- bounds


DEEPER = f"deeper than {MOST_DEPTH} levels"
SEPARATORS = LIMITS.batch_bytes // LEAST_BYTES_A_VALUE
TOO_LARGE = (413, "too_large")
OVER = f"over the largest amount, {show(MAX_AMOUNT, 'EUR')}"
LINES = f"{LEAST_LINES} to {MOST_LINES} lines"
ENTRIES = f"{LEAST_ENTRIES} to {MOST_ENTRIES} entries"

BOUNDS = [
    # bytes
    Bound("body bytes", LIMITS.body_bytes, raw(lambda n: orjson.dumps(DEPOSIT).ljust(n)), "1048576", TOO_LARGE),
    Bound(
        "body bytes in parts", LIMITS.body_bytes,
        raw(lambda n: orjson.dumps(DEPOSIT).ljust(n), in_parts=True), "1048576", TOO_LARGE,
    ),
    Bound("batch bytes", LIMITS.batch_bytes, batch(JSON, b"[]".ljust), "16777216", TOO_LARGE, 200),
    Bound("batch bytes of lines", LIMITS.batch_bytes, batch(NDJSON, b"\n".ljust), "16777216", TOO_LARGE, 200),
    Bound("item bytes", LIMITS.body_bytes, one_item(padded, JSON), "1048576", TOO_LARGE),
    Bound("line bytes", LIMITS.body_bytes, one_item(padded), "1048576", TOO_LARGE),
    # counts of a batch
    Bound(
        "batch items", LIMITS.batch_items, batch(JSON, lambda n: orjson.dumps([0] * n)), "10000 items", TOO_LARGE, 200
    ),
    Bound("batch lines", LIMITS.batch_items, batch(NDJSON, lambda n: b"0\n" * n), "10000 items", TOO_LARGE, 200),
    Bound(
        "commas", SEPARATORS, batch(JSON, lambda n: b"[" + b"0," * n + b"0]"), "more than 2097152 commas", TOO_LARGE,
        status=413,
    ),
    Bound("line ends", SEPARATORS, batch(NDJSON, lambda n: b"\n" * n), "more than 2097152 line ends", TOO_LARGE, 200),
    # depth
    Bound("depth of a body", MOST_DEPTH, raw(nested), DEEPER, status=400),
    Bound("depth of an item", MOST_DEPTH, one_item(lambda _, n: nested(n), JSON), DEEPER, status=400),
    Bound("depth of a line", MOST_DEPTH, one_item(lambda _, n: nested(n)), DEEPER, status=400),
    # heads
    Bound(
        "target bytes", CONNECTION.target_bytes, head(with_target), "8193 bytes; 8192", (414, "target_too_long"), 400
    ),
    Bound("headers", CONNECTION.headers, head(with_headers), "101 headers; 100 are", (431, "head_too_large"), 200),
    Bound("head bytes", CONNECTION.head_bytes, head(with_head), "more than 32768 bytes", (431, "head_too_large"), 200),
    Bound("Idempotency-Key", 255, header("Idempotency_Key", lambda n: "k" * n), "1 to 255", (400, "key_missing")),
    Bound(
        "Idempotency-Key at least", 1, header("Idempotency_Key", lambda n: "k" * n), "1 to 255", (400, "key_missing"),
        down=True,
    ),
    Bound("If-Match", 18, header("If_Match", lambda n: f'"{"9" * n}"'), "If-Match is", status=412),
    Bound("If-Match at least", 1, header("If_Match", lambda n: f'"{"9" * n}"'), "If-Match is", status=412, down=True),
    Bound("Last-Event-ID", 200, follow_from(lambda n: "x" * n), "at most 200 characters", status=400),
    # items
    Bound("item key", 255, one_item(having("key", lambda n: "i" * n)), "at most 255 characters"),
    Bound("item path", 500, one_item(having("path", lambda n: "/" * n)), "at most 500 characters", status=404),
    Bound("item if_match", 30, one_item(having("if_match", '"1"'.ljust)), "at most 30 characters"),
    # members of every body, and of those that post a transaction
    Bound("conditions", MOST_CONDITIONS, deposit_if, f"at most {MOST_CONDITIONS} items"),
    Bound(
        "expected_versions", MOST_EXPECTED, expecting(lambda n: {f"x_{i}": 0 for i in range(n)}), "at most 20 items"
    ),
    Bound("expected_versions stream", 200, expecting(lambda n: {"x" * n: 0}), "{1,200}$'"),
    Bound("expected_versions stream at least", 1, expecting(lambda n: {"x" * n: 0}), "{1,200}$'", down=True),
    Bound(
        "expected_versions version", MOST_VERSION, expecting(lambda n: {"x_1": n}), f"or equal to {2**53}", status=409
    ),
    Bound("expected_versions version at least", 0, expecting(lambda n: {"x_1": n}), "or equal to 0", down=True),
    # codes: the domain has the alphabet, and the body the length
    Bound("owner", MOST_CODE, field("accounts", "owner", OPENING), "{1,100}$'"),
    Bound("owner at least", 1, field("accounts", "owner", OPENING), "{1,100}$'", down=True),
    Bound("customer", MOST_CODE, field("orders", "customer", order()), "{1,100}$'"),
    Bound("author", MOST_CODE, field("posts", "author", DRAFT), "{1,100}$'"),
    Bound("reference", MOST_CODE, field(MOVED, "reference", DEPOSIT), "{1,100}$'"),
    Bound("metadata", MOST_PAIRS, with_metadata(lambda n: {f"k{i}": "v" for i in range(n)}), "at most 20 items"),
    Bound("metadata key", MOST_METADATA_KEY, with_metadata(lambda n: {"k" * n: "v"}), "at most 40 characters"),
    Bound("metadata value", MOST_CODE, with_metadata(lambda n: {"k": "v" * n}), "at most 100 characters"),
    Bound(
        "metadata key at least", 1, with_metadata(lambda n: {"k" * n: "v"}), "1 to 40 characters",
        (422, "not_a_code"), down=True,
    ),
    # rules of the domain
    Bound(
        "slug", MOST_SLUG_CHARACTERS, field("posts/{post}/publish", "slug", {}), "at most 120 characters",
        (422, "slug_malformed"), 200,
    ),
    Bound("entries", MOST_ENTRIES, entries, ENTRIES, (422, "entry_count")),
    Bound("entries at least", LEAST_ENTRIES, entries, ENTRIES, (422, "entry_count"), down=True),
    Bound("lines", MOST_LINES, body("orders", order), LINES, (422, "order_line_count")),
    Bound("lines at least", LEAST_LINES, body("orders", order), LINES, (422, "order_line_count"), down=True),
    # figures
    Bound(
        "line amount", MAX_AMOUNT, body("orders", line_amount), "0.01 to 9999999999999.99", (422, "order_line_amount")
    ),
    Bound("order total", MAX_AMOUNT, body("orders", order_total), "the most is 9999999999999.99", (422, "order_total")),
    Bound("amount", MAX_AMOUNT, body(MOVED, hold), OVER),
    Bound("amount at least", 1, body(MOVED, hold), "'0.00' is not more than zero", down=True),
    Bound("held amount", MAX_AMOUNT, body("accounts/{account}/holds", hold), OVER),
    Bound("maximum", MAX_AMOUNT, body("accounts", lambda n: {**OPENING, "maximum": show(n, "EUR")}), OVER),
    Bound("minimum", -MAX_AMOUNT, body("accounts", lambda n: {**OPENING, "minimum": show(n, "EUR")}), OVER, down=True),
    # positions
    Bound(
        "cursor", 500, get("accounts", "cursor", lambda n: LONG_CURSOR.ljust(n, "A")), "at most 500 characters",
        status=200,
    ),
    *(
        bound
        for path in ("accounts", "transactions", "orders", "posts")
        for bound in (
            Bound(f"{path} after", 2**63 - 1, get(path, "after", int), f"less than {2**63}", status=200),
            Bound(f"{path} after at least", 0, get(path, "after", int), "or equal to 0", status=200, down=True),
        )
    ),
    Bound("log after", 200, get("log", "after", lambda n: "x" * n), "at most 200 characters", status=400),
    Bound("followed after", 200, get("log/follow", "after", lambda n: "x" * n), "at most 200 characters", status=400),
    Bound(
        "digits of a position", 18, get("log", "after", lambda n: f"main.1.{'9' * n}"), "is not a position",
        (400, "position"), 400,
    ),
]  # fmt: skip


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.what)
def test_the_bound_is_accepted_and_one_past_it_is_refused(service18: Service, bound: Bound) -> None:
    things = Things(service18)
    over, at = bound.of(things, bound.past), bound.of(things, bound.at)
    before = service18.log_digest()
    status, problem = over()
    assert (status, problem["code"]) == bound.refusal, problem
    assert bound.text in problem["detail"], problem
    if leaves_a_record(problem["code"]):
        assert service18.log_digest().events == before.events, "only its record remains"
    else:
        assert service18.log_digest() == before
    status, taken = at()
    assert status == bound.status, taken
    assert bound.text not in taken.get("detail", "")


# ---------------------------------------------------------------------- bounds in the description


class Described(NamedTuple):
    """A bound in the description: its place, whether it is a minimum, and values of any size."""

    place: Place
    least: bool
    figure: int
    value: Callable[[int], Any]
    text: str

    @property
    def past(self) -> int:
        return self.figure - 1 if self.least else self.figure + 1

    @property
    def name(self) -> str:
        return next(str(part).lower() for part in reversed(self.place) if isinstance(part, str))


FIGURES = {
    "maxLength": "at most {} character", "maxItems": "at most {} item", "maximum": "or equal to {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} character", "minItems": "at least {} item", "minimum": "or equal to {}",
    "exclusiveMinimum": "greater than {}",
}  # fmt: skip
"""The members of a schema that are bounds, and the text of the refusal past each of them."""
ONE_CLASS = re.compile(r'\^"?\[[^\]]+\](\{(\d+),(\d+)\})"?\$')
"""A pattern that bounds the length. Other patterns describe the form of an id or amount."""
BY_HAND = {"expected_versions", "conditions", "idempotency-key", "if-match", "last-event-id"}
"""The members and headers of many commands are tested in `BOUNDS`."""


def described(schema: Any, value: Any, schemas: dict[str, Any], place: Place = ()) -> Iterator[Described]:
    """Every bound within a schema, with values made from a valid one."""
    schema = plain(schema, schemas)
    for word, text in FIGURES.items():
        if isinstance(schema.get(word), int | float):
            figure, sized = int(schema[word]), sizing(schema, value)
            least, exclusive = word.lower().endswith(("minlength", "minitems", "minimum")), "exclusive" in word
            yield Described(place, least, figure + (exclusive and (1 if least else -1)), sized, text.format(figure))
    found = ONE_CLASS.fullmatch(schema.get("pattern", ""))
    if found is not None:
        for least, length in ((True, found[2]), (False, found[3])):
            yield Described(place, least, int(length), lambda size: "x" * size, found[1])
    for member, inner in schema.get("properties", {}).items():
        if member not in BY_HAND:
            yield from described(inner, (value or {}).get(member), schemas, (*place, member))
    if "items" in schema and value:
        yield from described(schema["items"], value[0], schemas, (*place, 0))


def plain(schema: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema without a reference or the alternative null."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return plain(one, schemas)
    if "$ref" in schema:
        return plain(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    found: dict[str, Any] = schema
    return found


def sizing(schema: dict[str, Any], value: Any) -> Callable[[int], Any]:
    """Makes values of this type of any size. Texts are counted in characters."""
    if schema["type"] == "array":
        return lambda size: [value[0] if value else "x"] * size
    return int if schema["type"] in ("integer", "number") else lambda size: TWO_BYTES * size


def parameters(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[tuple[str, Described]]:
    """The bounds of query and path parameters, each with "query" or "path"."""
    for parameter in operation.get("parameters", ()):
        if parameter["name"].lower() not in BY_HAND:
            for bound in described(parameter["schema"], None, schemas, (parameter["name"],)):
                yield parameter["in"], bound


def assert_past(response: httpx.Response, bound: Described) -> None:
    answered = response.json()
    assert (response.status_code, answered["code"]) == (400, "malformed"), (bound, answered)
    assert bound.text in answered["detail"], (bound, answered)


@pytest.fixture(scope="module")
def document(service18: Service) -> dict[str, Any]:
    """The description of the API."""
    found: dict[str, Any] = service18.http.get("/v1/openapi.json").json()
    return found


@pytest.mark.parametrize("route", [*ROUTES, *OF_PEOPLE])
def test_the_described_bounds_of_a_command(service18: Service, document: dict[str, Any], route: str) -> None:
    """The bounds of its body and its path. A request past a bound changes nothing."""
    operation, schemas = document["paths"][route]["post"], document["components"]["schemas"]
    request = (ROUTES[route] if route in ROUTES else OF_PEOPLE[route])(service18)
    schema = operation["requestBody"]["content"][JSON]["schema"]
    in_body = list(described(schema, request.body, schemas))
    in_path = [bound for kind, bound in parameters(operation, schemas) if kind == "path"]

    def post(names: Mapping[str, str], sent: Mapping[str, Any]) -> httpx.Response:
        path = route.format_map({**request.names, **names}).removeprefix("/v1/")
        answer: httpx.Response = service18.post(path, sent, role="operator", token=request.token)
        return answer

    before = service18.log_digest()
    for bound in in_body:
        assert_past(post({}, changed(request.body, bound.place, bound.value(bound.past))), bound)
    for bound in in_path:
        assert_past(post({bound.name: "x" * bound.past}, request.body), bound)
    assert service18.log_digest() == before
    at = [post({}, changed(request.body, bound.place, bound.value(bound.figure))) for bound in in_body]
    at += [post({bound.name: "x" * bound.figure}, request.body) for bound in in_path]
    for bound, response in zip((*in_body, *in_path), at, strict=True):
        assert bound.text not in response.json().get("detail", ""), (bound, response.text)


OF_PERSONS = ("/v1/people/{person}/sessions", "/v1/people/{person}/api-keys", "/v1/mails", "/v1/mails/{mail}")
"""Reads that an auditor may not use."""


def test_the_described_bounds_of_all_reads(service18: Service, known: dict[str, str], document: dict[str, Any]) -> None:
    tried = 0
    for path, operations in document["paths"].items():
        for kind, bound in parameters(operations.get("get", {}), document["components"]["schemas"]):
            over, at = (
                service18.get(
                    path.removeprefix("/v1/").format_map({**known, bound.name: value} if kind == "path" else known),
                    role="audit",
                    token=administrators(service18)[0].access if path in OF_PERSONS else None,
                    fresh=False,
                    **({str(bound.place[0]): value} if kind == "query" else {}),
                )
                for value in map(bound.value, (bound.past, bound.figure))
            )
            assert_past(over, bound)
            assert at.status_code == 200 or bound.text not in at.json()["detail"], (path, bound, at.text)
            tried += 1
    assert tried > 20


def test_the_bounds_in_the_list_are_those_in_the_description(document: dict[str, Any]) -> None:
    """The bounds of every command: expected versions and headers."""
    schemas, found = document["components"]["schemas"], set()
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"].lower() in BY_HAND:
                    bounds = described(parameter["schema"], None, schemas, (parameter["name"],))
                    found |= {(bound.name, bound.least, bound.figure) for bound in bounds}
    tried = {(bound.name.lower(), bound.down, bound.at) for bound in BOUNDS}
    assert len(found) >= 3
    assert found - tried == set()


def test_holds_of_an_account(service18: Service) -> None:
    account = service18.account("100.00")
    holds = [item(f"accounts/{account}/holds", hold(1)) for _ in range(MOST_HOLDS)]
    assert together(service18, holds, "holds").status_code == 201
    before = service18.log_digest()
    over = service18.post(f"accounts/{account}/holds", hold(1))
    assert (over.status_code, over.json()["code"]) == (422, "hold_count")
    assert f"has {MOST_HOLDS} open holds" in over.json()["detail"]
    assert service18.log_digest().events == before.events


def test_events_of_a_unit(service18: Service) -> None:
    """A draft is one event. An opening is two events, because of the account number."""
    drafts = [item("posts", DRAFT) for _ in range(MOST_EVENTS_PER_UNIT - 1)]
    account = item("accounts", OPENING)
    before = service18.log_digest()
    over = together(service18, [*drafts, account], "unit-past")
    assert (over.status_code, over.json()["code"]) == (400, "malformed"), over.text[:500]
    assert f"{MOST_EVENTS_PER_UNIT + 1} events; a unit has at most {MOST_EVENTS_PER_UNIT}" in over.json()["detail"]
    assert service18.log_digest() == before
    at = together(service18, [*drafts[:-1], account], "unit-at")
    assert at.status_code == 201, at.text[:500]
    assert len(at.json()["results"]) == MOST_EVENTS_PER_UNIT - 1
