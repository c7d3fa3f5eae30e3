"""Each forgery of the table is named, and what only a kept or witnessed head reveals holds by itself."""

from __future__ import annotations

import re

import pytest

from tests.support.bundles import TRUSTED, Bundles, verified
from tests.unit.verifier.forgeries import BOTH, FORGERIES, LEDGER, LOG, ROTATED, Forgery

of_table = pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)


@of_table
def test_named(forgery: Forgery) -> None:
    report = verified(forgery.lines, **forgery.trust)
    sentences = [str(finding) for finding in report.findings]
    assert not report.ok
    assert report.malformed is None
    for said in forgery.says:
        assert any(re.search(said, sentence) for sentence in sentences), sentences


@pytest.mark.parametrize(
    "forgery", [one for one in FORGERIES if one.only_kept], ids=lambda forgery: forgery.name
)  # fmt: skip
def test_only_kept_reveals(forgery: Forgery) -> None:
    report = verified(forgery.lines)
    assert [str(finding) for finding in report.findings if "signature" not in finding.what] == []


def test_true_ones_hold() -> None:
    assert verified(LOG, keys=[TRUSTED]).ok
    assert verified(ROTATED.log(), keys=BOTH).ok
    assert verified(LOG, kept=[Bundles(LEDGER).note(size) for size in range(LEDGER.size + 1)]).ok


def test_names_differ() -> None:
    assert len({forgery.name for forgery in FORGERIES}) == len(FORGERIES)
