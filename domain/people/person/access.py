"""Who may do something about a person: they themselves, or an administrator. And how a decision gets the person."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar

from domain.kernel import Context, Decision, Forbidden, States, Unknown, found
from domain.people.person.state import Person
from domain.permissions import ADMINISTRATORS, may


class AboutPerson(Protocol):
    """A command about one person."""

    @property
    def person(self) -> str: ...


C = TypeVar("C", bound=AboutPerson)


def about_person(decide: Callable[[C, Person, Context], Decision]) -> Callable[[C, States, Context], Decision]:
    """Make a decision of a function that takes the person. A command about somebody unknown is answered so."""

    @wraps(decide)
    def decided(command: C, states: States, context: Context) -> Decision:
        person = found(states, command.person, Person)
        return Unknown("person", command.person) if person is None else decide(command, person, context)

    return decided


def forbid_other_than_self(person: str, context: Context) -> Forbidden | None:
    """Return that only the person themselves may do this, or None."""
    if context.principal.person == person:
        return None
    return Forbidden(f"Only {person} may do this.")


def forbid_other_than_self_or_administrator(person: str, context: Context) -> Forbidden | None:
    """Return that only the person themselves or an administrator may do this, or None."""
    if context.principal.person == person or may(context.principal, ADMINISTRATORS, context.decided_at):
        return None
    return Forbidden(f"Only {person} or an administrator may do this.")
