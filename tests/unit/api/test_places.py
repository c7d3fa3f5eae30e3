"""So many at once, and not one more."""

from __future__ import annotations

import pytest

from api.places import Places
from api.problems import Problem


def test_there_are_as_many_places_as_were_said_and_each_is_given_back() -> None:
    places = Places(2, "clients follow the log")
    with places.one():
        with pytest.raises(ZeroDivisionError), places.one():
            raise ZeroDivisionError
        with (
            places.one(),
            pytest.raises(Problem, match=r"2 clients follow the log, as many as may\.") as refused,
            places.one(),
        ):
            raise AssertionError("a third place")
        assert refused.value.code == "busy"
        with places.one():
            pass
