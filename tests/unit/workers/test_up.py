"""The address at which `up` connects to the API that it started."""

from __future__ import annotations

import pytest

from workers.settings import Settings
from workers.up import base_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8100"),
        ("ledger.example", "http://ledger.example:8100"),
        ("0.0.0.0", "http://127.0.0.1:8100"),  # noqa: S104 - everywhere is what this is about
        ("::", "http://[::1]:8100"),
        ("::1", "http://[::1]:8100"),
    ],
)
def test_an_api_that_listens_everywhere_is_reached_at_the_loopback_address(host: str, url: str) -> None:
    assert base_url(Settings(host=host)) == url
