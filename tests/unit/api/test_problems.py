"""The catalogue of problems."""

from __future__ import annotations

import orjson
import pytest

from api.gateway.problems import PROBLEMS, problem_response, refusal
from domain.registry import RULES


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_code_becomes_a_problem(code: str) -> None:
    response = problem_response(code, "Because.", {"most": 3})
    status, title = PROBLEMS[code]
    assert response.status_code == status
    assert response.media_type == "application/problem+json"
    assert orjson.loads(response.body) == {
        "type": f"urn:daybook:problem:{code}",
        "title": title,
        "status": status,
        "detail": "Because.",
        "code": code,
        "figures": {"most": 3},
    }
    assert ("retry-after" in response.headers) == (status in (429, 503))
    assert ("www-authenticate" in response.headers) == (status == 401)
    assert ("connection" in response.headers) == (status == 408)


def test_no_rule_has_the_code_of_a_problem() -> None:
    assert not PROBLEMS.keys() & RULES.keys()


def test_a_refusal_explains_its_rule_with_its_figures() -> None:
    figures = {"account": "acct_1"}
    body = refusal("account_frozen", figures)
    assert (body["status"], body["code"], body["figures"]) == (422, "account_frozen", figures)
    assert body["detail"] == "Account acct_1 is frozen; unfreeze it first."
