"""Sending through real mail servers: TLS, signing in, what is refused, and what the settings say."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from email.headerregistry import Address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr

from tests.support.mail import SENDER, mail_server, smtp
from tests.support.memory_ledger import NOW
from tests.support.secure_kafka import Authority
from workers.mail.composing import Recipient, compose
from workers.mail.failure import MailError
from workers.mail.running import delivery_of, sender_of
from workers.mail.sending import Folder, Server, Smtp, server_of
from workers.settings import Settings, SettingsError

MESSAGE = compose("mail_1", "suspended", SENDER, Recipient("ada@example.com", "Ada"), None, NOW)
USER, PASSWORD = "daybook", "p:ss/w@rd"


def send(way: Smtp) -> None:
    way.send("mail_1", MESSAGE, "ada@example.com")


def failed(way: Smtp) -> tuple[str, int | None]:
    with pytest.raises(MailError) as error:
        send(way)
    assert "example.com" not in str(error.value)
    return error.value.cause, error.value.reply


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's side of TLS, with a certificate that this machine trusts."""
    authority = Authority(tmp_path / "trusted")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    return with_certificate(authority)


def with_certificate(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.sign("server"))
    return context


def test_starttls_and_a_password(trusted: ssl.SSLContext) -> None:
    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=data.password == b"no answer")

    with mail_server(tls=trusted, require_starttls=True, auth_required=True, authenticator=authenticate) as (
        inbox,
        port,
    ):
        send(smtp(port, "starttls", user=USER, password=PASSWORD))
        assert failed(smtp(port, "starttls", user=USER, password="wrong")) == ("sign_in", 535)
        assert failed(smtp(port, "starttls", user=USER, password="no answer")) == ("sign_in", None)
        assert failed(smtp(port, "starttls")) == ("refused", 530)
        assert failed(smtp(port)) == ("refused", 530), "nothing is sent without TLS"
    assert len(inbox.received) == 1


def test_tls_from_the_beginning(trusted: ssl.SSLContext) -> None:
    with mail_server(ssl_context=trusted) as (inbox, port):
        send(smtp(port, "tls"))
    assert len(inbox.received) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_vouches_for_is_not_trusted(security: Any, tmp_path: Path) -> None:
    unknown = with_certificate(Authority(tmp_path / "unknown"))
    named: dict[str, Any] = {"ssl_context": unknown} if security == "tls" else {"tls": unknown}
    with mail_server(**named) as (inbox, port):
        assert failed(smtp(port, security)) == ("tls", None)
    assert inbox.received == []


def test_a_server_without_starttls_gets_nothing() -> None:
    with mail_server() as (inbox, port):
        assert failed(smtp(port, "starttls", user=USER, password=PASSWORD)) == ("tls", None)
    assert inbox.received == []


@pytest.mark.parametrize(("answer", "cause"), [("450 later", "refused_for_now"), ("554 never", "refused")])
def test_an_answer_to_the_message(answer: str, cause: str) -> None:
    with mail_server() as (inbox, port):
        inbox.answers = [answer]
        assert failed(smtp(port)) == (cause, int(answer[:3]))


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        way = Smtp(Server("127.0.0.1", silent.getsockname()[1], "none"), "daybook.example", timeout_seconds=0.2)
        assert failed(way) == ("unreachable", None)


def test_a_message_that_the_server_took_is_sent_whatever_its_goodbye_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(self: smtplib.SMTP) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(smtplib.SMTP, "quit", lost)
    with mail_server() as (inbox, port):
        send(smtp(port))
    assert len(inbox.received) == 1


def test_no_log_line_has_the_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with mail_server() as (inbox, port):
        inbox.answers = ["550 ada@example.com unknown"]
        failed(smtp(port))
    ours = [record for record in caplog.records if not record.name.startswith(("mail.", "asyncio"))]
    assert not any("ada@" in record.getMessage() for record in ours)


# Settings


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", Server("mail.example", 25, "none")),
        ("smtp+starttls://u:p%3As%2Fs@mail.example", Server("mail.example", 587, "starttls", "u", "p:s/s")),
        ("smtps://u:p@mail.example:4650/", Server("mail.example", 4650, "tls", "u", "p")),
        ("smtp://u:p@localhost:1025", Server("localhost", 1025, "none", "u", "p")),
        ("smtp://[::1]:1025", Server("::1", 1025, "none")),
    ],
)
def test_a_url_of_a_server(url: str, server: Server) -> None:
    assert server_of(url) == server


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("smtp://u:s3cret@mail.example", "because it has a password"),
        ("smtps://u@mail.example", "a user and a password, or neither"),
        ("http://u:s3cret@mail.example", "it should look like"),
        ("smtps://u:s3cret@", "it should look like"),
        ("smtps://u:s3cret@mail.example/path", "it should look like"),
        ("smtps://u:s3cret@mail.example:99999", "a port from 1 to 65535"),
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        server_of(url)
    assert "s3cret" not in str(refused.value)
    with pytest.raises(ValueError, match=sentence) as refused:
        Settings(smtp_url=SecretStr(url))
    assert "s3cret" not in str(refused.value)


def test_no_password_is_in_a_repr() -> None:
    url = f"smtps://{USER}:s3cret@mail.example"
    assert "s3cret" not in repr(server_of(url)) + repr(Settings(smtp_url=SecretStr(url)))


def test_where_mails_go(tmp_path: Path) -> None:
    url, sender, link = SecretStr("smtp://localhost"), "Daybook <no-reply@example.com>", "https://app.example/people"
    assert isinstance(delivery_of(Settings(mail_folder=tmp_path)), Folder)
    ready = Settings(smtp_url=url, mail_from=sender, mail_link=link)
    assert isinstance(delivery_of(ready), Smtp)
    assert sender_of(ready).address == Address("Daybook", addr_spec="no-reply@example.com")
    for wrong, name in (
        (Settings(), "DAYBOOK_SMTP_URL"),
        (Settings(smtp_url=url, mail_folder=tmp_path), "DAYBOOK_MAIL_FOLDER"),
        (Settings(smtp_url=url, mail_link=link), "DAYBOOK_MAIL_FROM"),
        (Settings(smtp_url=url, mail_from=sender), "DAYBOOK_MAIL_LINK"),
    ):
        with pytest.raises(SettingsError, match=name):
            delivery_of(wrong)


@pytest.mark.parametrize(
    "link", ["http://app.example", "https://app.example?a=b", "https://app.example#a", "app.example"]
)
def test_a_link_is_an_address_of_a_page(link: str) -> None:
    with pytest.raises(ValueError, match="mail_link"):
        Settings(mail_link=link)


@pytest.mark.parametrize("sender", ["Daybook", "a@b\nBcc: c@d", "Jörg <jörg@example.com>", "a@b, c@d"])
def test_a_sender_is_one_address(sender: str) -> None:
    with pytest.raises(ValueError, match="mail_from"):
        Settings(mail_from=sender)
