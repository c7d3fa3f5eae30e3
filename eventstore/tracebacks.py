"""What is logged of a fault of ours."""

from __future__ import annotations

import traceback


def traceback_of(fault: BaseException) -> str:
    """Class and place of a fault and of what caused it. Not what they say: it could quote what a person wrote."""
    answered = f"{type(fault).__name__} at\n{''.join(traceback.format_tb(fault.__traceback__))}"
    return answered if fault.__cause__ is None else f"{answered}caused by {traceback_of(fault.__cause__)}"
