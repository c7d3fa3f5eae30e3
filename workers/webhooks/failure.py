"""Why an attempt to deliver failed: a code, and the status of the answer. Never a text of the receiver."""

from __future__ import annotations

from domain.webhooks.webhook import Cause


class DeliveryError(Exception):
    """The receiver did not take a message."""

    def __init__(self, cause: Cause, status: int | None = None) -> None:
        super().__init__(cause if status is None else f"{cause} ({status})")
        self.cause: Cause = cause
        self.status = status
