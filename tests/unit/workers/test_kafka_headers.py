"""Numbers in headers, which anyone may have written. kafka-python sends no header without a value, others do."""

from __future__ import annotations

import pytest

from workers.kafka.headers import number_in


@pytest.mark.parametrize(
    ("header", "found"),
    [(b"0", 0), (b"42", 42), (b"9" * 18, 10**18 - 1)]
    + [(other, None) for other in (None, b"", b"x", b"-1", b" 1", b"1_0", "¹".encode(), b"9" * 19, b"9" * 5_000)],
)
def test_a_header_has_a_number_or_none(header: bytes | None, found: int | None) -> None:
    assert number_in(header) == found
