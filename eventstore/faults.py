"""What is logged of a fault of ours."""

from __future__ import annotations

import traceback


def places(fault: BaseException) -> str:
    """Class and place of a fault and of what caused it. Not what they say: it could quote what a person wrote."""
    told = f"{type(fault).__name__} at\n{''.join(traceback.format_tb(fault.__traceback__))}"
    return told if fault.__cause__ is None else f"{told}caused by {places(fault.__cause__)}"
