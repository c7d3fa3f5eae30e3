"""Whatever is posted as a batch: an answer to each item in its order, or one refusal that changes nothing."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.problems import PROBLEMS
from domain.rules import RULES
from tests.integration.api.test_batches import JSON, NDJSON, send
from tests.support.service import LogDigest, Service

UNKNOWN = "acct_01h455vb4pex5vsknk084sn02q"
_numbers = count(1)


@pytest.fixture(scope="module")
def account(service18: Service) -> str:
    return service18.account("1000.00")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", "\0", "1.00", "-1.00", "EUR", "/v1/transfers", "/v1/batches", "../v1/posts", UNKNOWN, '"7"']),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["key", "path", "body", "if_match", "amount", "currency", "expected_versions", "value_date", "x"]
)
CHANGES = st.dictionaries(NAMES, VALUES, min_size=1, max_size=2)
"""What is put into an item, or into its body, in place of what belongs there."""

LINES = st.one_of(
    st.just("sound"),
    st.tuples(st.just("item"), CHANGES),
    st.tuples(st.just("body"), CHANGES),
    st.tuples(st.just("json"), VALUES),
    st.tuples(st.just("bytes"), st.binary(max_size=40)),
    st.tuples(st.just("cut"), st.integers(1, 60)),
)


def written(line: Any, account: str) -> tuple[bytes, str | None]:
    """The bytes of a line, and its key if it is a sound item."""
    key = f"fuzz-{next(_numbers)}"
    item: dict[str, Any] = {
        "key": key,
        "path": f"/v1/accounts/{account}/deposits",
        "body": {"amount": "1.00", "currency": "EUR"},
    }
    if line == "sound":
        return orjson.dumps(item), key
    kind, what = line
    if kind == "item":
        return as_json(item | what), None
    if kind == "body":
        return as_json(item | {"body": item["body"] | what}), None
    if kind == "json":
        return as_json(what), None
    if kind == "bytes":
        return bytes(what), None
    return orjson.dumps(item)[:-what], None


def as_json(value: Any) -> bytes:
    """Also what orjson would not write: numbers too large, surrogates."""
    return json.dumps(value).encode()


def assert_problem(said: dict[str, Any], status: int) -> None:
    """A documented problem, with its sentence."""
    documented, title = PROBLEMS["refused" if said["code"] in RULES else said["code"]]
    assert 400 <= status < 500, said
    assert (said["status"], said["type"]) == (status, f"urn:daybook:problem:{said['code']}"), said
    assert (documented, title) == (status, said["title"]), said
    assert said["detail"], said


def assert_answered(
    service18: Service, response: httpx.Response, before: LogDigest, keys: list[str | None] | None
) -> None:
    """`keys`: of the items as they were sent, None for those that may be anything; None if it is not known."""
    if response.status_code != 200:
        assert_problem(response.json(), response.status_code)
        assert service18.log_digest() == before
        return
    assert b"\0" not in response.content
    ndjson = response.headers["Content-Type"].startswith(NDJSON)
    answers = [orjson.loads(line) for line in response.content.splitlines()] if ndjson else response.json()
    for answer in answers:
        if answer["status"] not in (200, 201):
            assert_problem(answer["body"], answer["status"])
    if keys is not None:
        assert len(answers) == len(keys)
        for answer, key in zip(answers, keys, strict=True):
            assert key is None or (answer["key"], answer["status"]) == (key, 201), answer
        sound = [answer["body"]["position"] for answer, key in zip(answers, keys, strict=True) if key is not None]
        positions = [int(position.rsplit(".", 1)[1]) for position in sound]
        assert positions == sorted(set(positions)), "in their order, each with its own answer"


@given(lines=st.lists(LINES, max_size=8), end=st.sampled_from([b"\n", b"\r\n", b"\n \n"]))
@example(lines=["sound", ("item", {"path": "/v1/batches"}), "sound"], end=b"\n")
@example(lines=["sound", ("bytes", b"\xff\xfe"), ("bytes", b"\xef\xbb\xbf{}"), ("json", "\ud800"), "sound"], end=b"\n")
@settings(max_examples=60)
def test_lines_are_answered_each_for_itself(service18: Service, account: str, lines: list[Any], end: bytes) -> None:
    items = [written(line, account) for line in lines]
    keys = [key for content, key in items if content.strip()]
    several = any(b"\n" in content for content, _ in items)
    before = service18.log_digest()
    response = send(service18, end.join(content for content, _ in items), NDJSON)
    assert response.status_code == 200, response.text
    assert_answered(service18, response, before, None if several else keys)


@given(lines=st.lists(LINES, max_size=6), atomic=st.booleans())
@settings(max_examples=60)
def test_an_array_is_answered_or_refused_as_a_whole(
    service18: Service, account: str, lines: list[Any], atomic: bool
) -> None:
    items = [written(line, account) for line in lines]
    before = service18.log_digest()
    params = {"atomic": "true"} if atomic else {}
    headers = {"Idempotency-Key": f"fuzz-{next(_numbers)}"} if atomic else {}
    content = b"[" + b",".join(content for content, _ in items) + b"]"
    response = send(service18, content, params=params, headers=headers)
    if atomic:
        assert response.status_code == 201 or 400 <= response.status_code < 500, response.text
        if response.status_code != 201:
            assert_problem(response.json(), response.status_code)
            assert response.status_code == 422 or service18.log_digest() == before, "only a refusal is recorded"
    else:
        assert_answered(service18, response, before, None)


@given(content=st.binary(max_size=200), kind=st.sampled_from([JSON, NDJSON, "text/plain"]))
@settings(max_examples=60)
def test_any_bytes_change_nothing(service18: Service, content: bytes, kind: str) -> None:
    before = service18.log_digest()
    assert_answered(service18, send(service18, content, kind), before, None)
    assert service18.log_digest() == before
