"""Any batch gets an answer for each item, in order, or one refusal that changes nothing.

The items are made from the samples of all command routes, so a new route is tested too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.gateway.problems import PROBLEMS
from domain.registry import RULES
from tests.integration.api.test_batches import JSON, NDJSON, send
from tests.samples.registry import ROUTES
from tests.support.service import LogDigest, Service, leaves_a_record

UNKNOWN = "acct_01h455vb4pex5vsknk084sn02q"
_numbers = count(1)


@pytest.fixture(scope="module")
def account(service18: Service) -> str:
    """The account of the deposits in sound items. Nothing else uses it."""
    return service18.account("1000.00")


@dataclass(frozen=True)
class Route:
    """A path of a command with existing ids, and a valid body."""

    path: str
    body: dict[str, Any]
    names: tuple[str, ...]  # of the members that a body may have

    def item(self) -> dict[str, Any]:
        return {"key": f"fuzz-{next(_numbers)}", "path": self.path, "body": self.body}


def routes_to_try(service: Service) -> list[Route]:
    """All command routes, each with its sample and the described members of its body."""
    schemas = service.http.get("/v1/openapi.json").json()
    found = []
    for route, make in ROUTES.items():
        request = make(service)
        taken = schemas["paths"][route]["post"]["requestBody"]["content"][JSON]["schema"]["$ref"].rsplit("/", 1)[1]
        members = tuple(schemas["components"]["schemas"][taken]["properties"])
        found.append(Route(request.path(route), dict(request.body), members))
    return found


# ---------------------------------------------------------------------- errors of an item

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", "\0", "1.00", "-1.00", "EUR", "/v1/transfers", "/v1/batches", "../v1/posts", UNKNOWN, '"7"']),
    st.sampled_from(["9999-12-31", "2026-02-30", "1e3", "cash", "x" * 100_001, "\ud800"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
GONE = object()
Place = tuple[str | int, ...]


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """The path of every member within a value, at any depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inner:
        yield (*here, name)
        yield from places(member, (*here, name))


def changed(value: Any, place: Place, what: Any) -> Any:
    """The value with another member at a path, or without it."""
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    name, *deeper = place
    if deeper:
        copy[name] = changed(copy[name], tuple(deeper), what)
    elif what is GONE:
        del copy[name]
    else:
        copy[name] = what
    return copy


def mutants(route: Route) -> st.SearchStrategy[Any]:
    """An item of the route with one or two errors, or another value instead of an item."""
    whole = {"key": "k", "path": route.path, "body": route.body}
    there = st.sampled_from([*places(whole)])
    new = st.sampled_from([("if_match",), ("x",), *(("body", name) for name in (*route.names, "x"))])
    change = st.tuples(there, VALUES | st.just(GONE)) | st.tuples(new, VALUES)
    return st.lists(change, max_size=2).map(tuple) | VALUES.map(lambda value: [value])


def mutated(route: Route, how: Any) -> Any:
    """The item to send; `how` is drawn from `mutants`."""
    if isinstance(how, list):
        return how[0]
    item: Any = route.item()
    for place, what in how:
        try:
            item = changed(item, place, what)
        except (KeyError, IndexError, TypeError, ValueError):
            continue  # the first change has removed the path of the second
    return item


def as_json(value: Any) -> bytes:
    """Encode also what orjson refuses: large numbers and surrogates."""
    return json.dumps(value).encode()


def has_lone_surrogate(value: Any) -> bool:
    """Whether any text in the value has no form in UTF-8. An array with such a text is refused as a whole.

    The bytes do not show it: U+10000 is escaped as a pair that starts with the same six characters, and the text of
    these six characters contains them too.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


# ---------------------------------------------------------------------- answers


def assert_problem(message: dict[str, Any], status: int) -> None:
    """The answer is a documented problem with a sentence."""
    documented, title = PROBLEMS["refused" if message["code"] in RULES else message["code"]]
    assert 400 <= status < 500, message
    assert (message["status"], message["type"]) == (status, f"urn:daybook:problem:{message['code']}"), message
    assert (documented, title) == (status, message["title"]), message
    assert message["detail"], message


def assert_left(service: Service, before: LogDigest, answers: Sequence[dict[str, Any]]) -> None:
    """The log has the accepted commands and the records of recorded refusals, and nothing else."""
    after = service.log_digest()
    new = [a for a in answers if not a.get("replayed")]
    accepted = [a for a in new if a["status"] < 300]
    refused = [a for a in new if a["status"] >= 300 and leaves_a_record(a["body"]["code"])]
    assert after.recorded - before.recorded == len(accepted) + len(refused)
    if not accepted:
        assert after.events == before.events
        if not refused:
            assert after == before


def assert_answered(service: Service, response: httpx.Response, before: LogDigest) -> list[dict[str, Any]]:
    """Every answer is documented, and the log matches. There are no answers if the whole batch is refused."""
    if response.status_code != 200:
        assert_problem(response.json(), response.status_code)
        assert service.log_digest() == before
        return []
    assert b"\0" not in response.content
    ndjson = response.headers["Content-Type"].startswith(NDJSON)
    answers = [orjson.loads(line) for line in response.content.splitlines()] if ndjson else response.json()
    for answer in answers:
        if answer["status"] not in (200, 201):
            assert_problem(answer["body"], answer["status"])
    assert_left(service, before, answers)
    return list(answers)


def assert_all_or_nothing(service: Service, response: httpx.Response, before: LogDigest) -> None:
    if response.status_code == 201:
        return
    assert_problem(response.json(), response.status_code)
    answered = {"status": response.status_code, "body": response.json()}
    assert_left(service, before, [answered])


# ---------------------------------------------------------------------- items


def test_items_of_every_route(service18: Service, account: str) -> None:
    for route in routes_to_try(service18):
        _try(service18, route, account)


def _try(service: Service, route: Route, account: str) -> None:
    """Sound items before and after arbitrary items are accepted."""
    sound = Route(f"/v1/accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"}, ())

    @settings(max_examples=5, database=None)
    @given(hows=st.lists(mutants(route), min_size=1, max_size=6), form=st.sampled_from([JSON, NDJSON, "atomic"]))
    def run(hows: list[Any], form: str) -> None:
        items = [sound.item(), *(mutated(route, how) for how in hows), sound.item()]
        before = service.log_digest()
        if form == "atomic":
            keyless = [{k: v for k, v in i.items() if k != "key"} if isinstance(i, dict) else i for i in items]
            headers = {"Idempotency-Key": f"fuzz-{next(_numbers)}"}
            response = send(service, as_json(keyless), params={"atomic": "true"}, headers=headers)
            assert_all_or_nothing(service, response, before)
            return
        content = as_json(items) if form == JSON else b"\n".join(map(as_json, items))
        response = send(service, content, form)
        assert response.status_code == (400 if form == JSON and has_lone_surrogate(items) else 200), response.text
        answers = assert_answered(service, response, before)
        assert len(answers) == (len(items) if response.status_code == 200 else 0)
        if answers:
            for item, answer in ((items[0], answers[0]), (items[-1], answers[-1])):
                assert (answer["key"], answer["status"]) == (item["key"], 201), answer

    run()


@pytest.mark.parametrize(
    ("text", "status"),
    [("\ud800", 400), ("\U00010000", 200), ("\\ud800", 200)],
    ids=["lone", "pair", "its six characters"],
)
def test_a_lone_surrogate_is_distinguished_from_similar_bytes(
    service18: Service, account: str, text: str, status: int
) -> None:
    sound = Route(f"/v1/accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"}, ())
    items = [sound.item(), {**sound.item(), "x": text}]
    content = as_json(items)
    assert b"\\ud800" in content
    assert has_lone_surrogate(items) == (status == 400)
    assert send(service18, content, JSON).status_code == status


# ---------------------------------------------------------------------- lines

NOT_TEXT = [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\0", b"\\u0000", b"\\ud800"]
GZIP = b"\x1f\x8b"
"""A body that begins with these bytes is refused as compressed. Hypothesis tries them: they are in our source."""
NO_JSON = [b"\r", b"\n", b"\r\n", b"\x0b", b"\x1b", b'"', b"{", b"[" * 40, b",", b"\xe2\x80\xa8", b"9" * 400]
REPEATED = [b'"key":"k",', b'"path":"/v1/posts",', b'"body":{"amount":"1.00","amount":"2.00"},']
DAMAGES = st.one_of(
    st.just(("sound", 0, b"")),
    st.tuples(st.just("put in"), st.integers(0, 200), st.sampled_from(NOT_TEXT + NO_JSON)),
    st.tuples(st.just("put in"), st.just(0), st.sampled_from(NOT_TEXT + NO_JSON)),
    st.tuples(st.just("put in"), st.just(1), st.sampled_from(REPEATED)),
    st.tuples(st.just("put in"), st.integers(0, 200), st.binary(max_size=10)),
    st.tuples(st.just("cut"), st.integers(1, 60), st.just(b"")),
    st.tuples(st.just("instead"), st.just(0), st.binary(max_size=40) | st.sampled_from([b"", b" ", b"\r", b"\t\r"])),
    st.tuples(st.just("spaces"), st.sampled_from([1_000, 1024 * 1024, 1024 * 1024 + 1]), st.just(b"")),
)
"""The kind of damage to a line, its place, and its bytes."""


def damaged(line: bytes, damage: tuple[str, int, bytes]) -> bytes:
    kind, where, what = damage
    if kind == "put in":
        return line[:where] + what + line[where:]
    if kind == "cut":
        return line[:-where]
    if kind == "spaces":
        return line.ljust(where)
    return what if kind == "instead" else line


def parsed(line: bytes) -> Any:
    """The value of a line as another JSON parser reads it; None if it is not JSON or has a member twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        return json.loads(line.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None


@given(
    damages=st.lists(DAMAGES, max_size=8), end=st.sampled_from([b"\n", b"\r\n", b"\n \n", b"\n\n"]), last=st.booleans()
)
@example(damages=[("put in", 0, b"\xef\xbb\xbf"), ("sound", 0, b"")], end=b"\r\n", last=True)
@example(damages=[("put in", at, what) for at in (12, 40) for what in NOT_TEXT], end=b"\n", last=False)
@example(damages=[("put in", 1, what) for what in REPEATED], end=b"\n", last=False)
@example(damages=[("sound", 0, b""), ("cut", 1, b"")], end=b"\n", last=False)
@example(damages=[("put in", 0, GZIP), ("sound", 0, b"")], end=b"\n", last=False)
@example(damages=[("sound", 0, b""), ("put in", 0, GZIP)], end=b"\n", last=False)
@settings(max_examples=50)
def test_each_line_is_answered_independently(
    service18: Service, account: str, damages: list[tuple[str, int, bytes]], end: bytes, last: bool
) -> None:
    route = Route(f"/v1/accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"}, ())
    sent = [route.item() for _ in damages]
    content = end.join(damaged(orjson.dumps(item), how) for item, how in zip(sent, damages, strict=True))
    content += end if last else b""
    before = service18.log_digest()
    response = send(service18, content, NDJSON)
    lines = [line for line in content.split(b"\n") if line.strip()]
    refusal = 415 if content.startswith(GZIP) else 413 if any(len(line) > 1024 * 1024 for line in lines) else None
    assert response.status_code == (refusal or 200), response.text
    answers = assert_answered(service18, response, before)
    if response.status_code != 200:
        return
    assert len(answers) == len(lines), "each line has an answer"
    for line, answer in zip(lines, answers, strict=True):
        message = parsed(line)
        if message is None:
            assert (answer["key"], answer["status"], answer["body"]["code"]) == (None, 400, "malformed"), line
        elif message in sent:
            assert (answer["key"], answer["status"]) == (message["key"], 201), line
    carried_out = [answer["body"]["position"] for answer in answers if answer["status"] == 201]
    positions = [int(position.rsplit(".", 1)[1]) for position in carried_out]
    assert positions == sorted(set(positions)), "in the order of the lines"


@given(content=st.binary(max_size=200), kind=st.sampled_from([JSON, NDJSON, "text/plain"]))
@settings(max_examples=30)
def test_any_bytes_change_nothing(service18: Service, content: bytes, kind: str) -> None:
    before = service18.log_digest()
    assert_answered(service18, send(service18, content, kind), before)
    assert service18.log_digest() == before
