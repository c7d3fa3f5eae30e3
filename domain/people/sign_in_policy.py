"""The sign-in policy: the roles that a person has only in a session with a second factor.

It decides who may do what, so it is on the log and not in a setting. A log without its stream has `INITIAL`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import Accepted, Context, Decision, Event, Refused, State, States, Value
from domain.people.person.events import PersonRole
from domain.permissions import ADMINISTRATORS

SIGN_IN_POLICY = "policy:sign-in"
"""The name of its stream. Each log has one."""


class SignInPolicyChanged(Event, frozen=True):
    """The policy was changed. The event has the whole policy."""

    second_factor_roles: tuple[PersonRole, ...]


class SignInPolicy(Value, frozen=True):
    """The policy at a version of its stream."""

    version: int
    second_factor_roles: tuple[PersonRole, ...]


INITIAL = SignInPolicy(version=0, second_factor_roles=("administrator",))
"""The policy of a log until it is changed. Whoever makes others administrators needs more than a password."""

RULES: dict[str, str] = {"sign_in_policy_unchanged": "The sign-in policy already is what it would be changed to."}


def evolve(state: SignInPolicy | None, event: SignInPolicyChanged) -> SignInPolicy:
    """Return the policy after the event."""
    return SignInPolicy(event.originator_version, event.second_factor_roles)


def sign_in_policy(state: State | None) -> SignInPolicy:
    """Return the policy in force, from the state of its stream."""
    return state if isinstance(state, SignInPolicy) else INITIAL


class ChangeSignInPolicy(Value, frozen=True):
    """Change the policy. It counts from the next request of each person on."""

    second_factor_roles: tuple[PersonRole, ...]

    @property
    def streams(self) -> tuple[str, ...]:
        return (SIGN_IN_POLICY,)


def change(command: ChangeSignInPolicy, states: States, context: Context) -> Decision:
    policy, roles = sign_in_policy(states[SIGN_IN_POLICY]), _in_order(command.second_factor_roles)
    if roles == policy.second_factor_roles:
        return Refused("sign_in_policy_unchanged", {})
    event = SignInPolicyChanged(SIGN_IN_POLICY, policy.version + 1, roles)
    return Accepted((event,), {"policy": SIGN_IN_POLICY, "second_factor_roles": list(roles)})


def _in_order(roles: Sequence[PersonRole]) -> tuple[PersonRole, ...]:
    """Each role once, so that two texts of the same policy are equal."""
    return tuple(sorted(set(roles)))


def check(before: SignInPolicy | None, events: Sequence[SignInPolicyChanged], decided: Decided) -> Iterator[Broken]:
    """Find a change to what the policy was."""
    policy = sign_in_policy(before)
    for event in events:
        if event.second_factor_roles == policy.second_factor_roles:
            yield Broken(event, f"{SIGN_IN_POLICY} is changed to what it was")
        policy = evolve(policy, event)


AGGREGATE = Aggregate(
    name="sign_in_policy",
    prefix=SIGN_IN_POLICY,
    events=(EventType("sign_in_policy.changed.v1", SignInPolicyChanged),),
    evolve=evolve,
    decisions={ChangeSignInPolicy: change},
    rules=RULES,
    may={ChangeSignInPolicy: ADMINISTRATORS},
    check=check,
)
