"""What routes of people check before a command: names, passwords, codes. All of it blocks, so it runs in threads.

A failed check is counted and answered with a problem. It leaves no event but a lockout.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast

from starlette.concurrency import run_in_threadpool

from api.commands.answer_codes import answer_codes
from api.commands.execution import problem_of
from api.commands.routes import Caller
from api.gateway.problems import Problem
from api.services import People, Services
from domain.claims import Claim
from domain.kernel import Command, Context, Personal, Principal
from domain.people.names import email_claim, email_form, username_claim, username_form
from domain.people.person.events import PersonRegistered
from domain.people.person.signing_in import RecordLockout
from domain.people.person.state import Person
from domain.people.session import Session
from domain.registry import forbid
from eventstore.credentials.argon2_hashing import BusyError
from eventstore.credentials.attempts import Begun, Subject, Waiting
from eventstore.credentials.password_rules import broken_rules
from eventstore.credentials.totp_codes import looks_like_code
from eventstore.executor.decided_commands import Submission
from eventstore.executor.followed_states import FollowedStates
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.metadata import encoded_actor, metadata
from eventstore.log.read import read_stream

SIGN_IN: Final = Principal("system:sign-in", ("operator",), "system")
"""Records what a sign-in or a refresh finds: lockouts, and sessions that end."""
PURPOSES: Final = ("username", "email")
"""What the keyed hashes of names are made for."""
WRONG: Final = "The name, the password or the code is wrong."

P = ParamSpec("P")
R = TypeVar("R")


class Names(NamedTuple):
    """The names of a person, as they were registered."""

    username: str
    email: str


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that blocks. Raises `Problem` if too many passwords are being hashed."""
    try:
        return await run_in_threadpool(function, *args, **kwargs)
    except BusyError as error:
        raise Problem("busy", f"{error}.") from error


def served_by(caller: Caller) -> tuple[Services, People]:
    """The services of a caller over HTTP. Raises `Problem` if nobody can sign in there."""
    served = cast(Services, caller.services)
    people: People | None = getattr(served, "people", None)
    if people is None:
        raise Problem("no_route", "Nobody can sign in here: authentication is off, or this is no API process.")
    return served, people


def refuse_crowd(people: People, address: str) -> None:
    """Raise `Problem` if an address registers, or uses mails, too often."""
    allowance = people.visits.take(address, people.visits_a_minute)
    if not allowance.allowed:
        most, seconds = people.visits_a_minute, allowance.seconds
        detail = f"{most} such requests came from this address within a minute; wait {seconds} s."
        raise Problem("sign_in_waits", detail, retry_after=allowance.seconds)


def name_hashes(hashes: KeyedHashes, username: str, email: str) -> tuple[str, str]:
    """The keyed hashes that make both names unique. Blocks the first time."""
    of_username, of_email = PURPOSES
    return hashes.of(of_username, username_form(username)), hashes.of(of_email, email_form(email))


def person_named(people: People, name: str) -> Person | None:
    """Who has this username or e-mail address, as of now. Blocks."""
    holder = holder_of(people.states, people.hashes, name)
    return None if holder is None else person_now(people, holder)


def holder_of(states: FollowedStates, hashes: KeyedHashes, name: str) -> str | None:
    """The id of whoever has this username or e-mail address now. Blocks."""
    by_username, by_email = name_hashes(hashes, name, name)
    claims = states.load([username_claim(by_username), email_claim(by_email)]).values()
    held = [claim.holder for claim in claims if isinstance(claim, Claim) and claim.holder is not None]
    return held[0] if held else None


def person_now(people: People, id: str) -> Person | None:
    """A person as of now. Blocks."""
    state = people.states.load([id])[id]
    return state if isinstance(state, Person) else None


def names_of(served: Services, person: str) -> Names | None:
    """The names of a person; None if there is no such person, or they were erased. Blocks."""
    with served.reads() as connection:
        rows = read_stream(connection, served.log_number, person, limit=1)
    if not rows:
        return None
    event = served.codec.decode_many([(row.type, row.payload, row.stream, row.version) for row in rows])[0]
    if not isinstance(event, PersonRegistered):
        return None
    username: Personal = event.username
    return Names(username, event.email) if isinstance(username, str) and isinstance(event.email, str) else None


def refuse_password(password: str, names: Names) -> None:
    """Raise `Problem` if a new password breaks rules. Its figures have all of them."""
    broken = broken_rules(password, username=names.username, email=names.email)
    if broken:
        sentences = "; ".join(one.sentence for one in broken)
        raise Problem(
            "password_rules", f"The password cannot be used: {sentences}.", rules=[one.rule for one in broken]
        )


async def begin(people: People, subjects: Sequence[Subject]) -> Begun:
    """Count an attempt. Raises `Problem` if one has to wait."""
    begun = await in_thread(people.attempts.begin, subjects)
    if isinstance(begun, Waiting):
        seconds = math.ceil(begun.seconds)
        raise Problem("sign_in_waits", f"Too many attempts failed; wait {seconds} s.", retry_after=seconds)
    return begun


async def failed(served: Services, begun: Begun, person: str | None) -> Problem:
    """The problem of an attempt that failed. A lockout is recorded."""
    if person is not None and begun.locks_out:
        command = RecordLockout(person, begun.failures)
        await by_system(served, command, f"{person}:{begun.failures}:{served.clock().isoformat()}")
    return Problem("sign_in_failed", WRONG)


async def check_password(caller: Caller, person: Person | None, name: str, password: str) -> int:
    """The version of the event that set the password, if it is right. Raises `Problem`.

    An unknown person costs the same.
    """
    served, people = served_by(caller)
    id = None if person is None else person.id
    subjects = [people.attempts.of_name(id, name), Subject("address", caller.address)]
    begun = await begin(people, subjects)
    version = 0 if person is None else person.password
    try:
        checked = await in_thread(people.passwords.check, id, password, version=version)
    except Problem:  # too many passwords are being hashed
        await in_thread(people.attempts.not_made, subjects)
        raise
    if person is None or not checked.matches or checked.version is None:
        raise await failed(served, begun, id)
    await in_thread(people.attempts.succeeded, subjects)
    return checked.version


async def check_own_password(caller: Caller, person: str, password: str) -> Person:
    """The person themselves, if this is their password. For what a stolen session must not do. Raises `Problem`."""
    _, people = served_by(caller)
    if caller.principal.person != person:
        raise Problem("forbidden", f"Only {person} may do this.")
    known = await in_thread(person_now, people, person)
    await check_password(caller, known, person, password)
    assert known is not None, "nobody's password is never right"
    return known


async def check_for_second_factor(caller: Caller, person: str, password: str) -> None:
    """Let the person themselves change their second factor, with their password. Raises `Problem`.

    Who has one already does it in a session that used it: a password alone must not replace what is there to be more
    than a password.
    """
    known = await check_own_password(caller, person, password)
    _, people = served_by(caller)
    session = None if caller.known is None else caller.known.session
    state = None if session is None else (await in_thread(people.states.load, [session]))[session]
    if known.second_factor and not (isinstance(state, Session) and state.second_factor):
        raise Problem("code_needed", "Sign in with a code, or a recovery code, to change the second factor.")


async def check_code(caller: Caller, person: Person, code: str) -> None:
    """Use up a code of the second factor, or a recovery code. Raises `Problem`."""
    served, people = served_by(caller)
    subjects = [Subject("code", person.id)]
    begun = await begin(people, subjects)
    factor = people.second_factor
    check, version = factor.check, person.second_factor
    if not looks_like_code(code):
        check, version = factor.use_recovery_code, person.recovery_codes
    if not await in_thread(check, person.id, code, version=version):
        raise await failed(served, begun, person.id)
    await in_thread(people.attempts.succeeded, subjects)


async def confirm_code(caller: Caller, person: str, code: str) -> None:
    """Confirm the secret that was begun with a code. Guesses wait, as at a sign-in. Raises `Problem`."""
    _, people = served_by(caller)
    subjects = [Subject("code", person)]
    await begin(people, subjects)
    if not await in_thread(people.second_factor.confirm, person, code):
        raise Problem("sign_in_failed", "This is no code of a secret that was begun within the hour.")
    await in_thread(people.attempts.succeeded, subjects)


async def by_system(served: Services, command: Command, key: str) -> None:
    """Execute a command of the sign-in itself. Its refusal is no error: what it says is so already.

    Raises `Problem` if the executor does not answer.
    """
    try:
        await execute(served, command, SIGN_IN, key)
    except ExecutorError as error:
        raise problem_of(error) from error


async def execute(served: Services, command: Command, principal: Principal, key: str) -> None:
    """Execute a command that no request brings. Raises `ExecutorError`."""
    now = served.clock()
    refused = forbid(principal, command, now)
    assert refused is None, "the principal may send it"
    context = Context(now, served.log, principal)
    kind = type(command).__name__
    recorded = metadata(encoded_actor(principal.recorded), kind, now, context.rules, key)
    submission = Submission(
        command=command,
        actor=principal.id,
        key=key,
        request_hash=hashlib.sha256(f"{kind} {key}".encode()).digest(),
        metadata=recorded,
        context=context,
        codes=answer_codes(201, if_match=False),
    )
    await served.commands.execute(submission)


def shown_before() -> dict[str, Any]:
    """The member of the answer to a retry, which has no secret."""
    return {"shown_before": True}
