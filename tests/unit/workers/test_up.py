"""The address at which `up` connects to the API that it started, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from workers.settings import Settings
from workers.up import _URLS, _environment, _mails, _welcome, base_url


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


def test_it_says_where_mails_are() -> None:
    folder = Path("var/mails")
    said = _welcome(Settings(mail_folder=folder), {})
    assert f"written into {folder.resolve()}, a file each" in said
    assert _mails(Settings(mail_folder=folder)) == {"DAYBOOK_MAIL_FOLDER": str(folder)}
    sent = Settings(smtp_url=SecretStr("smtp://localhost"))
    assert "Mails" not in _welcome(sent, {})
    assert _mails(sent) == {}


def test_only_the_sealer_gets_the_key_of_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK_PROOF_KEY", "the-key")
    settings = Settings(
        database_url="postgresql:///test", proof_key=None, proof_key_file=Path("var/proof.key"), master_key=None
    )
    for command in _URLS:
        given = {name for name in _environment(settings, command) if name.startswith("DAYBOOK_PROOF_KEY")}
        assert given == ({"DAYBOOK_PROOF_KEY", "DAYBOOK_PROOF_KEY_FILE"} if command == "seal" else set()), command
