"""Executes commands: turns intents into submissions and answers into responses, in the same way for every command."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_type_hints
from urllib.parse import parse_qs

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.commands.answer_codes import VERSION_STALE, answer_codes
from api.commands.answers import DRY_RUN, answers_of_command
from api.commands.routes import Build, Caller, CommandRoute, Intent, Run, validator_of
from api.gateway.failed_attempts import network_of
from api.gateway.persons import VISITOR, Known
from api.gateway.problems import Problem, ProblemResponse, forbidden, newer_event, problem, refusal
from api.gateway.request_heads import is_repeated
from api.gateway.request_traces import times_of
from api.gateway.routes import declare
from api.queries.positions import token
from api.services import CommandServices, People, Services, services
from domain.kernel import Context, Principal
from domain.permissions import COMMANDERS, may
from domain.registry import PERMISSIONS, SYSTEM, forbid, name_of, unwrapped
from domain.together import Together
from eventstore.credentials import scopes
from eventstore.credentials.scopes import Scope
from eventstore.executor.asynchronous import ActorBusyError
from eventstore.executor.decided_commands import CommandTimes, Submission
from eventstore.executor.reply_sinks import (
    ExecutorError,
    FaultError,
    NewerEventError,
    QueueFullError,
    RejectedError,
)
from eventstore.log.answers import ACCEPTED, Answer, Outcome, find_answers
from eventstore.log.metadata import encoded_actor, metadata

B = TypeVar("B", bound=Build)

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_ETAG = re.compile(r'"(\d{1,18})"', re.ASCII)
MOST_ORIGIN = 300
ACCOUNT = "acct_"
"""The beginning of the streams that the scope of an API key may be limited to."""
MOST_ACTORS = 1_024
"""Principals whose JSON is kept."""
DryRun = Annotated[bool, Query(description="Give the answer that the command would get now, and record nothing")]


def command(
    router: APIRouter,
    path: str,
    *,
    makes: type[Any],
    answer: Any,
    status: int = 201,
    run: Run | None = None,
    secret: bool = False,
) -> Callable[[B], B]:
    """Declare the route of a command. `build(caller, [names of the path,] body)` returns its intent; `run` executes it.

    `makes`: the class of the command. Who may send it may use the route (`domain.registry.PERMISSIONS`). `answer`: the
    type of the answer to an accepted command, for the OpenAPI description. `status`: the status of that answer.
    `secret`: whether its body or its answer has a secret (`CommandRoute`).
    """
    carry_out = run or (_run_with_secret if secret else _run)

    def decorate(build: B) -> B:
        hints = get_type_hints(build, include_extras=True)
        validate = validator_of(hints["body"])
        route = CommandRoute(
            may=PERMISSIONS[makes],
            makes=makes,
            build=build,
            run=carry_out,
            validate=validate,
            status=status,
            secret=secret,
        )

        async def endpoint(request: Request, body: BaseModel, dry_run: bool = False, **names: str) -> Response:
            return await carry_out(request, route, body, names)

        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            for name in inspect.signature(build).parameters
            if name != "caller"
        ]
        request = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        if not secret:
            dry_run = inspect.Parameter("dry_run", inspect.Parameter.KEYWORD_ONLY, annotation=DryRun, default=False)
            parameters.append(dry_run)
        endpoint.__signature__ = inspect.Signature([request, *parameters])  # type: ignore[attr-defined]
        endpoint.__name__, endpoint.__doc__ = build.__name__, build.__doc__
        declare(endpoint, route)
        router.post(path, status_code=status, responses=answers_of_command(answer))(endpoint)
        return build

    return decorate


async def _run(request: Request, route: CommandRoute, body: BaseModel, names: Mapping[str, str]) -> Response:
    """Execute the command of this request."""
    state = request.scope["state"]
    headers: dict[bytes, bytes] = state["headers"]
    key = stated_key(state)
    if "," in key:  # also checked here, because a coroutine costs more than the check
        await refuse_doubled(request, key)
    query: bytes = request.scope["query_string"]
    dry_run = bool(query) and is_dry_run(query)
    stated = headers.get(b"if-match")
    if_match = None if stated is None else stated.decode("latin-1")
    caller = caller_of(request)
    built = route.build(caller, body=body, **names)
    intent = built if isinstance(built, Intent) else await built
    submission = submission_of(
        caller,
        intent,
        key=key,
        digest=request_hash(request.scope["path"], if_match, state["body"]),
        recorded=metadata_of(caller, intent.command, key),
        expected=expected_of(intent, body, if_match),
        status=route.status,
        if_match=if_match is not None,
        origin=origin(request),
        dry_run=dry_run,
        times=times_of(state, intent.command),
    )
    try:
        answer = await caller.services.commands.execute(submission)
    except ExecutorError as error:
        raise problem_of(error) from error
    if intent.then is None or dry_run or answer.outcome is not ACCEPTED:
        return render(caller, answer, stream_of(intent, answer), dry_run=dry_run)
    return render(caller, answer, stream_of(intent, answer), more=await intent.then(answer))


LEAST_VISITOR_KEY = 16
"""All visitors are one actor, so their keys have to be long enough that two of them never choose the same."""


async def _run_with_secret(
    request: Request, route: CommandRoute, body: BaseModel, names: Mapping[str, str]
) -> Response:
    """Execute a command whose body or answer has a secret. The log keeps a keyed digest of the request.

    If the key has an accepted answer to this very request, the client has proved that it knows the secret: nothing is
    decided again, and the rows beside the log are written if a crash prevented that.
    """
    state = request.scope["state"]
    key = stated_key(state)
    served, people = services(request), people_of(request)
    if_match = state["headers"].get(b"if-match", b"").decode("latin-1") or None
    caller = caller_of(request)
    if caller.principal.roles == VISITOR.roles and len(key) < LEAST_VISITOR_KEY:
        raise Problem(
            "key_missing",
            f"Without a token the Idempotency-Key has at least {LEAST_VISITOR_KEY} characters, such as a UUID has.",
            least=LEAST_VISITOR_KEY,
        )
    message = request_message(request.scope["path"], if_match, state["body"])
    digest = await run_in_threadpool(people.hashes.digest, "request", message)
    recorded = await run_in_threadpool(_recorded, served, caller.principal.id, key, digest)
    caller = replace(caller, key=key, address=network_of(request.client.host if request.client else "-"))
    caller = replace(caller, recorded=recorded)
    built = route.build(caller, body=body, **names)
    intent = built if isinstance(built, Intent) else await built
    submission = submission_of(
        caller,
        intent,
        key=key,
        digest=digest,
        recorded=metadata_of(caller, intent.command, key),
        expected=expected_of(intent, body, if_match),
        status=route.status,
        if_match=if_match is not None,
        origin=origin(request),
    )
    try:
        answer = await served.commands.execute(submission)
    except ExecutorError as error:
        raise problem_of(error) from error
    more = {} if intent.then is None or answer.outcome is not ACCEPTED else await intent.then(answer)
    return render(caller, answer, stream_of(intent, answer), more=more)


def _recorded(served: Services, actor: str, key: str, digest: bytes) -> Answer | None:
    """The answer to the same request before, if it was accepted."""
    with served.reads() as connection:
        found = find_answers(connection, served.log_number, [(actor, key)]).get((actor, key))
    same = found is not None and found.request_hash == digest and found.answer.outcome is ACCEPTED
    return found.answer if found is not None and same else None


def people_of(request: Request) -> People:
    """The services of people who sign in. Raises `Problem` if this process has none."""
    people = services(request).people
    if people is None:
        raise Problem("no_route", "Nobody can sign in here: authentication is off, or this is a replica.")
    return people


def is_dry_run(query: bytes) -> bool:
    """Whether the query of a command asks for a dry run. Raises `Problem` for a value that is not true or false.

    The request guard has refused other parameters, and a parameter that comes twice.
    """
    value = parse_qs(query.decode("latin-1"), keep_blank_values=True)["dry_run"][0]
    if value not in ("true", "false"):
        raise Problem("malformed", f"dry_run is {value[:40]!r}; it is true or false.", parameter="dry_run")
    return value == "true"


def caller_of(request: Request) -> Caller:
    """The caller of a request. The time of the decision is now."""
    served = services(request)
    principal: Principal = request.scope["state"]["principal"]
    known: Known | None = request.scope["state"].get("known")
    return Caller(served, principal, Context(served.clock(), served.log, principal), known)


def submission_of(
    caller: Caller,
    intent: Intent,
    *,
    key: str,
    digest: bytes,
    recorded: bytes,
    expected: Mapping[str, int],
    status: int,
    if_match: bool,
    origin: str,
    dry_run: bool = False,
    times: CommandTimes | None = None,
) -> Submission:
    """The submission of an intent. `recorded` is its metadata, and `status` the status if it is accepted.

    `times` gets the times of its steps. Raises `Problem` if the principal may not send the command.
    """
    refused = forbid(caller.principal, intent.command, caller.context.decided_at)
    if refused is not None:
        raise forbidden(caller.principal, refused.why)
    if caller.known is not None and caller.known.scope is not None:
        _refuse_beyond(caller, caller.known.scope, intent.command)
    if expected:
        _refuse_expected(caller, intent.command, expected)
    return Submission(
        command=intent.command,
        actor=caller.principal.id,
        key=key,
        request_hash=digest,
        metadata=recorded,
        context=caller.context,
        expected=expected,
        codes=answer_codes(status, if_match=if_match),
        origin=origin,
        dry_run=dry_run,
        times=times,
    )


def _refuse_beyond(caller: Caller, scope: Scope, command: Any) -> None:
    """Raise `Problem` if a command is beyond the scope of the API key that sends it."""
    for one in command.commands if isinstance(command, Together) else (command,):
        _, *folders, _ = type(unwrapped(one)).__module__.split(".")
        area = folders[0] if folders else SYSTEM
        accounts = [stream for stream in one.streams if stream.startswith(ACCOUNT)]
        if not scopes.may(scope, area, "command", accounts):
            raise forbidden(caller.principal, f"The scope of this API key does not include {name_of(one)}.")


def _refuse_expected(caller: Caller, command: Any, expected: Mapping[str, int]) -> None:
    """Raise `Problem` if a customer expects a version of another account than the one that the command takes from.

    The answer to a wrong expectation has the actual version, which would tell whether a foreign account exists. The
    decision answers first that it does not know the account it takes from, unless it is the customer's.
    """
    if may(caller.principal, COMMANDERS, caller.context.decided_at):
        return
    own = () if isinstance(command, Together) else command.streams[:1]
    if foreign := sorted(expected.keys() - set(own)):
        detail = f"A customer states the version of the account that a single command takes from, not of {foreign[0]}."
        raise forbidden(caller.principal, detail)


def stated_key(state: Mapping[str, Any]) -> str:
    """The idempotency key of a request, from the headers in its state. Raises `Problem` if it is not valid."""
    headers: dict[bytes, bytes] = state["headers"]
    return checked_key(headers.get(b"idempotency-key", b"").decode("latin-1"))


async def refuse_doubled(request: Request, key: str) -> None:
    """Raise `Problem` for a key that looks like two joined headers with the same key.

    Earlier versions accepted such keys. If the key has a record, a retry still gets its answer.
    """
    if "," in key and is_repeated(key):
        principal = request.scope["state"]["principal"]
        await run_in_threadpool(_must_be_recorded, services(request), principal.id, key)


def _must_be_recorded(served: Services, actor: str, key: str) -> None:
    with served.reads() as connection:
        if not find_answers(connection, served.log_number, [(actor, key)]):
            once = key.split(",")[0].strip()
            detail = f"The Idempotency-Key {key[:100]!r} is the same text more than once; send {once[:100]!r} once."
            raise Problem("malformed", detail, header="Idempotency-Key")


def checked_key(key: object) -> str:
    """Return the idempotency key. Raises `Problem` if it is not valid."""
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise Problem("key_missing", "Send an Idempotency-Key: 1 to 255 printable ASCII characters, yours to choose.")
    return key


def expected_of(intent: Intent, body: BaseModel, if_match: str | None) -> Mapping[str, int]:
    """The versions that the client expects, from the body and `If-Match`. Raises `Problem`."""
    stated: dict[str, int] = body.expected_versions  # type: ignore[attr-defined]
    if if_match is None:
        return stated
    stream, version = _stream_of_if_match(intent.stream), _version(if_match)
    if stated.get(stream, version) != version:
        raise Problem(
            "malformed",
            f"If-Match names version {version} of {stream}, expected_versions {stated[stream]}; send only one of them.",
            stream=stream,
            if_match=version,
            expected=stated[stream],
        )
    return {**stated, stream: version}


@lru_cache(maxsize=MOST_ACTORS)
def actor_of(principal: Principal) -> bytes:
    """The principal as it is recorded with events."""
    return encoded_actor(principal.recorded)


def metadata_of(caller: Caller, command: Any, key: str) -> bytes:
    """The metadata that is recorded with the events of a single command. The items of a batch have another function."""
    context = caller.context
    return metadata(
        actor=actor_of(caller.principal),
        command=name_of(command),
        decided_at=context.decided_at,
        rules=context.rules,
        key=key,
    )


def request_hash(path: str, if_match: str | None, body: Any) -> bytes:
    """The digest that identifies a request. A retry has the same one.

    It covers the parsed body before defaults, so spacing and the order of members do not matter.
    """
    return hashlib.sha256(request_message(path, if_match, body)).digest()


def request_message(path: str, if_match: str | None, body: Any) -> bytes:
    """The bytes that a digest of a request is made of."""
    return f"POST\n{path}\n{if_match or ''}\n".encode() + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def origin(request: Request) -> str:
    """The network address and user agent of a request. They are kept for a limited time."""
    headers: dict[bytes, bytes] = request.scope["state"]["headers"]
    address = request.client.host if request.client else "-"
    agent = headers.get(b"user-agent", b"-").decode("latin-1").replace("\0", "")
    return f"{address} {agent}"[:MOST_ORIGIN]


def stream_of(intent: Intent, answer: Answer) -> str | None:
    """The stream whose version is the ETag of the answer."""
    if intent.created is None:
        return intent.stream
    created = answer.result.get(intent.created)
    return created if isinstance(created, str) else None


def accepted_body(answer: Answer, position: bytes) -> bytes:
    """The body of the answer to an accepted command. Its result is as recorded: the same bytes on every retry.

    `position` is the token from `position_of`.
    """
    assert answer.outcome is ACCEPTED
    return b'{"outcome":"accepted","position":"%b",%b' % (position, answer.stored[1:])


class _Accepted(Response):
    """The response to an accepted command. It avoids the copies and encodings of headers that starlette makes."""

    def __init__(self, body: bytes, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.body, self.status_code, self.background = body, status, None
        length = (b"content-length", b"%d" % len(body))
        self.raw_headers = [length, (b"content-type", b"application/json"), *headers]


def problem_body(answer: Answer) -> dict[str, Any]:
    """The problem document of a command that was not accepted."""
    if answer.outcome is Outcome.REFUSED:
        assert answer.rule is not None
        return refusal(answer.rule, answer.result)
    if answer.outcome is Outcome.EXPECTATION_FAILED:
        expected, actual = answer.result["expected"], answer.result["actual"]
        wrong = sorted(s for s in expected if expected[s] != actual[s])  # the order in the answer to a retry
        detail = "; ".join(f"{s} is at version {actual[s]}, not {expected[s]}" for s in wrong)
        code = "version_stale" if answer.code == VERSION_STALE else "versions_stale"
        return problem(code, f"{detail}. Read it again and decide anew, with a new key.", answer.result)
    if answer.outcome is Outcome.UNKNOWN:
        kind, id = answer.result["kind"], answer.result["id"]
        return problem("unknown", f"There is no {kind} {id}.", answer.result)
    if answer.outcome is Outcome.FORBIDDEN:
        return problem("forbidden", answer.result["why"])
    return problem("key_reused", "This key came with another request before; choose a new one.")


def position_of(served: CommandServices, answer: Answer) -> str:
    """The token of the position from which on reads include everything that the answer is based on."""
    position = answer.decided_position if answer.last_position is None else answer.last_position
    return token(served.log, answer.epoch, position)


def version_of(answer: Answer, stream: str | None) -> int | None:
    """The version of the stream in the answer to an accepted command; None if the answer does not have it."""
    version: int | None = None if stream is None else answer.result["versions"].get(stream)
    return version


def render(
    caller: Caller,
    answer: Answer,
    stream: str | None = None,
    *,
    dry_run: bool = False,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Response:
    """The response to an answer. Headers mark a replay and a dry run. Raises `Problem` for a forbidden command."""
    if answer.outcome is Outcome.FORBIDDEN:
        raise forbidden(caller.principal, answer.result["why"])
    return respond(caller.services, answer, stream, dry_run=dry_run, more=more)


def respond(
    served: CommandServices,
    answer: Answer,
    stream: str | None = None,
    *,
    dry_run: bool = False,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Response:
    """The response to an answer of a command that was not forbidden. `more` has members that are recorded nowhere."""
    position = position_of(served, answer)
    if answer.outcome is not ACCEPTED:
        marks = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        marks |= {DRY_RUN: "true"} if dry_run else {}
        return ProblemResponse(problem_body(answer), {"Daybook-Position": position} | marks)
    encoded = position.encode()
    headers = [(b"daybook-position", encoded)]
    if answer.replayed:
        headers.append((b"idempotency-replayed", b"true"))
    if dry_run:
        headers.append((DRY_RUN.lower().encode(), b"true"))
    version = version_of(answer, stream)
    if version is not None:
        headers.append((b"etag", b'"%d"' % version))
    body = accepted_body(answer, encoded)
    if more:
        body = body[:-1] + b"," + orjson.dumps(dict(more), option=orjson.OPT_SORT_KEYS)[1:]
    return _Accepted(body, answer.code, headers)


def problem_of(error: ExecutorError) -> Problem:
    """The problem for a command that the executor did not answer."""
    if isinstance(error, ActorBusyError):
        return Problem("too_many", f"{error}.", most=error.most)
    if isinstance(error, QueueFullError):
        return Problem("busy", f"{error}.")
    if isinstance(error, RejectedError):
        return Problem("malformed", f"{error}.")
    if isinstance(error, NewerEventError):
        return newer_event(f"{error}.", error.stream, error.type)
    if isinstance(error, FaultError):
        return Problem("internal", f"{error}.")
    return Problem("unavailable", f"{error}.")


def _stream_of_if_match(stream: str | None) -> str:
    if stream is None:
        raise Problem("malformed", "If-Match is for routes that name one stream; use expected_versions in the body.")
    return stream


def _version(if_match: str) -> int:
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise Problem("malformed", f'If-Match is {if_match[:40]!r}; it should be an ETag such as "7".')
    return int(match[1])
