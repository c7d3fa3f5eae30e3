"""From a request to a command's answer and back: the same for every command."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from api.positions import token
from api.problems import Problem, problem_response, refusal_response
from api.services import Services, services
from domain.kernel import Context
from eventstore.answers import Answer, Outcome
from eventstore.asynchronous import ActorBusyError
from eventstore.executor import ExecutorError, QueueFullError, RejectedError, Submission

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_ETAG = re.compile(r'"(\d{1,18})"')
MOST_ORIGIN = 300


async def execute(
    request: Request,
    command: Any,
    *,
    stream: str | None = None,
    created: str | None = None,
    expected: Mapping[str, int] | None = None,
    status: int = 201,
) -> Response:
    """Execute the command of this request.

    `stream`: the one the route names, for `If-Match` and `ETag`; `created`: the member of the answer that names the one
    it makes, for `ETag` (a retry draws another id, which its first answer knows nothing of).
    """
    served = services(request)
    state = request.scope["state"]
    headers: dict[bytes, bytes] = state["headers"]
    key = headers.get(b"idempotency-key", b"").decode("latin-1")
    if _KEY.fullmatch(key) is None:
        raise Problem("key_missing", "Send an Idempotency-Key: 1 to 255 printable ASCII characters, yours to choose.")
    if_match = headers.get(b"if-match", b"").decode("latin-1")
    versions = dict(expected or {})
    if if_match:
        versions[_stream_of_if_match(stream)] = _version(if_match)
    now = served.clock()
    principal = state["principal"]
    submission = Submission(
        command,
        principal.name,
        key,
        _request_hash(request.method, request.scope["path"], if_match, state["body"]),
        orjson.dumps(
            {
                "actor": {"how": principal.how, "id": principal.name},
                "causation": None,
                "command": type(command).__name__,
                "correlation": key,
                "decided_at": now,
            },
            option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z,
        ),
        Context(now, served.log),
        versions,
        accepted_status=status,
        expectation_status=412 if if_match else 409,
        origin=_origin(request, headers),
    )
    try:
        answer = await served.commands.execute(submission)
    except ActorBusyError as error:
        raise Problem("too_many", f"{error}.", most=error.most) from error
    except QueueFullError as error:
        raise Problem("busy", f"{error}.") from error
    except RejectedError as error:
        raise Problem("malformed", f"{error}.") from error
    except ExecutorError as error:
        raise Problem("unavailable", f"{error}.") from error
    return render(served, answer, stream if created is None else answer.result.get(created))


def render(served: Services, answer: Answer, stream: str | None = None) -> Response:
    """The response to an answer: the same the first time and on every retry, but for the mark of a replay."""
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    if answer.outcome is Outcome.ACCEPTED:
        assert answer.last_position is not None
        position = token(served.log, answer.epoch, answer.last_position)
        headers["Daybook-Position"] = position
        version = answer.result["versions"].get(stream)
        if version is not None:
            headers["ETag"] = f'"{version}"'
        body = {"outcome": "accepted", "position": position, **answer.result}
        # Sorted, as the answer of a retry comes back from its record: the same bytes.
        return Response(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), answer.status, headers, "application/json")
    headers["Daybook-Position"] = token(served.log, answer.epoch, answer.decided_position)
    if answer.outcome is Outcome.REFUSED:
        assert answer.rule is not None
        return refusal_response(answer.rule, answer.result, headers)
    if answer.outcome is Outcome.EXPECTATION_FAILED:
        expected, actual = answer.result["expected"], answer.result["actual"]
        wrong = [s for s in expected if expected[s] != actual[s]]
        detail = "; ".join(f"{s} is at version {actual[s]}, not {expected[s]}" for s in wrong)
        code = "version_stale" if answer.status == 412 else "versions_stale"
        advice = "Read it again and decide anew, with a new key."
        return problem_response(code, f"{detail}. {advice}", answer.result, headers)
    if answer.outcome is Outcome.UNKNOWN:
        kind, id = answer.result["kind"], answer.result["id"]
        return problem_response("unknown", f"There is no {kind} {id}.", answer.result, headers)
    return problem_response("key_reused", "This key came with another request before; choose a new one.", None, headers)


def _stream_of_if_match(stream: str | None) -> str:
    if stream is None:
        raise Problem("malformed", "If-Match is for routes that name one stream; use expected_versions in the body.")
    return stream


def _version(if_match: str) -> int:
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise Problem("malformed", f'If-Match is {if_match[:40]!r}; it should be an ETag such as "7".')
    return int(match[1])


def _request_hash(method: str, path: str, if_match: str, body: Any) -> bytes:
    """What makes a retry the same request: the parsed body before defaults, so that spacing and order do not matter."""
    hashed = hashlib.sha256(f"{method}\n{path}\n{if_match}\n".encode())
    hashed.update(orjson.dumps(body, option=orjson.OPT_SORT_KEYS))
    return hashed.digest()


def _origin(request: Request, headers: dict[bytes, bytes]) -> str:
    address = request.client.host if request.client else "-"
    agent = headers.get(b"user-agent", b"-").decode("latin-1").replace("\0", "")
    return f"{address} {agent}"[:MOST_ORIGIN]
