"""So many at once, and not one more; and no principal has more than its share."""

from __future__ import annotations

import pytest

from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.problems import Problem


def test_there_are_as_many_places_as_were_said_and_each_is_given_back() -> None:
    places = ConcurrencyLimit(2, 2, "clients follow the log")
    with places.one("ada"):
        with pytest.raises(ZeroDivisionError), places.one("ada"):
            raise ZeroDivisionError
        with (
            places.one("grace"),
            pytest.raises(Problem, match=r"2 clients follow the log, the most allowed\.") as refused,
            places.one("ada"),
        ):
            raise AssertionError("a third place")
        assert refused.value.code == "busy"
        with places.one("ada"):
            pass


def test_a_principal_has_a_share_and_leaves_the_rest_to_others() -> None:
    places = ConcurrencyLimit(3, 2, "batches are under way")
    with places.one("ada"), places.one("ada"):
        with (
            pytest.raises(
                Problem, match=r"2 batches are under way for ada, the most allowed for one principal\."
            ) as own,
            places.one("ada"),
        ):
            raise AssertionError("more than its share")
        assert (own.value.code, own.value.figures) == ("too_many", {"most": 2})
        with places.one("grace"):
            pass
    with places.one("ada"):
        pass
