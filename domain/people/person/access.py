"""Who may do something about a person: they themselves, or an administrator."""

from __future__ import annotations

from domain.kernel import Context, Forbidden


def forbid_other_than_self(person: str, context: Context) -> Forbidden | None:
    """Return that only the person themselves may do this, or None."""
    if context.principal.person == person:
        return None
    return Forbidden(f"Only {person} may do this.")


def forbid_other_than_self_or_administrator(person: str, context: Context) -> Forbidden | None:
    """Return that only the person themselves or an administrator may do this, or None."""
    principal = context.principal
    if principal.person == person or "administrator" in principal.roles:
        return None
    return Forbidden(f"Only {person} or an administrator may do this.")
