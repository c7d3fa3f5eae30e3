"""All test cases of the library pass on the log of Daybook, on every supported server."""

from __future__ import annotations

import unittest

import pytest

from tests.integration.library import cases

TESTS = [(case, name) for case in cases.CASES for name in unittest.TestLoader().getTestCaseNames(case)]


@pytest.mark.parametrize(("case", "name"), TESTS, ids=[f"{case.__name__}-{name}" for case, name in TESTS])
@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("default:'log' is deprecated:DeprecationWarning")  # a case expects this warning
def test_a_case_of_the_library_passes(case: type[unittest.TestCase], name: str) -> None:
    case(name).debug()  # without the reporting of unittest: errors are raised here


def test_no_case_is_without_tests() -> None:
    assert {case for case, _ in TESTS} == set(cases.CASES)
