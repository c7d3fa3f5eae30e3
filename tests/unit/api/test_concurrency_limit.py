"""A concurrency limit admits at most its number, and each principal at most its share."""

from __future__ import annotations

import pytest

from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.problems import Problem


def test_the_limit_admits_its_number_and_each_place_is_given_back() -> None:
    limit = ConcurrencyLimit(2, 2, "clients follow the log")
    with limit.one("ada"):
        with pytest.raises(ZeroDivisionError), limit.one("ada"):
            raise ZeroDivisionError
        with (
            limit.one("grace"),
            pytest.raises(Problem, match=r"2 clients follow the log, the most allowed\.") as refused,
            limit.one("ada"),
        ):
            raise AssertionError("a third request was admitted")
        assert refused.value.code == "busy"
        with limit.one("ada"):
            pass


def test_a_principal_has_a_share_and_leaves_the_rest_to_others() -> None:
    limit = ConcurrencyLimit(3, 2, "batches are under way")
    with limit.one("ada"), limit.one("ada"):
        with (
            pytest.raises(
                Problem, match=r"2 batches are under way for ada, the most allowed for one principal\."
            ) as own,
            limit.one("ada"),
        ):
            raise AssertionError("more than its share")
        assert (own.value.code, own.value.figures) == ("too_many", {"most": 2})
        with limit.one("grace"):
            pass
    with limit.one("ada"):
        pass
