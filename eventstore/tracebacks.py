"""How errors in Daybook are logged."""

from __future__ import annotations

import traceback


def traceback_of(fault: BaseException) -> str:
    """The class and traceback of an error and of its causes, without messages: these could quote personal data."""
    answered = f"{type(fault).__name__} at\n{''.join(traceback.format_tb(fault.__traceback__))}"
    return answered if fault.__cause__ is None else f"{answered}caused by {traceback_of(fault.__cause__)}"
