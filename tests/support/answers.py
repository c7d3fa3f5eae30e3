"""Checks of answers of the API."""

from __future__ import annotations

from typing import Any


def accepted(response: Any, status: int = 201) -> dict[str, Any]:
    """The answer to a command that was accepted."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert body["outcome"] == "accepted"
    assert body["position"] == response.headers["Daybook-Position"]
    return body


def found(response: Any) -> Any:
    """The answer to a read that succeeded."""
    assert response.status_code == 200, response.text
    return response.json()


def eur(amount: str, **more: Any) -> dict[str, Any]:
    """A body with an amount in EUR."""
    return {"amount": amount, "currency": "EUR", **more}
