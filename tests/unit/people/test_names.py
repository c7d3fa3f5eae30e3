"""Usernames, addresses and names: each odd but valid form, and what hides or turns text."""

# ruff: noqa: RUF001 - letters that look alike are what is tried

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.people.names import (
    MOST_MARKS,
    email_form,
    refuse_email,
    refuse_name,
    refuse_username,
    username_form,
)


@pytest.mark.parametrize("name", ["ada", "a-b", "a_b", "0day", "x" * 50])
def test_a_username_that_can_be_used(name: str) -> None:
    assert refuse_username(name) is None


@pytest.mark.parametrize(
    "name", ["", "ad", "x" * 51, "Ada", "-ada", "_ada", "ada b", "ádá", "ada\n", "аda", "ad\u200da"]
)
def test_a_username_that_cannot_be_used(name: str) -> None:
    """Capital letters are no second name, and a Cyrillic letter that looks like a Latin one is none."""
    assert refuse_username(name) is not None


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.com",
        "ada+tag@example.com",
        "o'hara@example.co.uk",
        "a.b-c_d!#$%&*/=?^`{|}~@example.com",
        "ada@xn--bcher-kva.example",
        "ádá@example.com",
        "a@b.co",
        f"{'a' * 64}@example.com",
    ],
)
def test_an_address_that_mail_can_be_sent_to(email: str) -> None:
    assert refuse_email(email) is None


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@example.c",
        "ada@exa mple.com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@example..com",
        "ada@@example.com",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "ada@example.com\n",
        "ada\u202e@example.com",
        "ada\u200b@example.com",
        "ad\u200da@example.com",
        "<ada@example.com>",
        '"ada lovelace"@example.com',
        "ada@[127.0.0.1]",
        f"{'a' * 65}@example.com",
    ],
)
def test_an_address_that_is_refused(email: str) -> None:
    """A quoted local part and an address of a host are valid by RFC 5321, and nobody has one."""
    assert refuse_email(email) is not None


@pytest.mark.parametrize(
    "name",
    [
        "A",
        "Ada Lovelace",
        "Иван Петров",
        "山田太郎",
        "José María",
        "Nguyễn Thị Ánh",
        "میلاد می\u200cخواهم",
        "O’Hara",
        "Ада Lovelace",
    ],
)
def test_a_name_in_any_script(name: str) -> None:
    assert refuse_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        " Ada",
        "Ada ",
        "Ada\u202eecalevoL",
        "Ada\u2066x",
        "Ada\u200bLovelace",
        "Ada\tLovelace",
        "Ada\x00",
        "\u200dAda",
        "Ada\u200d",
        "A\u200d\u200dda",
        "A" + "\u0301" * (MOST_MARKS + 1),
        "x" * 101,
        "\ud800",
    ],
)
def test_a_name_that_hides_or_turns_text(name: str) -> None:
    assert refuse_name(name) is not None


def test_as_many_marks_as_are_allowed() -> None:
    assert refuse_name("A" + "\u0323" * MOST_MARKS) is None


def test_one_spelling_for_one_name() -> None:
    assert username_form("Ａda") == username_form("ADA") == "ada"
    assert email_form("Ada@Example.COM") == "ada@example.com"
    assert email_form("a\u0301da@example.com") == email_form("áda@example.com")


@given(st.text(max_size=120))
def test_a_form_is_a_fixed_point_of_what_can_be_used(text: str) -> None:
    """Whoever registers with the form that is shown meets the same claim."""
    for refuse, form in ((refuse_username, username_form), (refuse_email, email_form)):
        if refuse(text) is None:
            assert form(form(text)) == form(text)
