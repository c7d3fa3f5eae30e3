"""The rules for a new password, each just kept and just broken, and the list of common ones."""

from __future__ import annotations

import pytest

from eventstore.credentials.password_rules import LEAST, MOST, SPECIAL, broken_rules, common_passwords

GOOD = "Vq7!kzRw"


def broken(password: str, username: str = "ada", email: str = "ada.lovelace@example.org") -> list[str]:
    return [one.rule for one in broken_rules(password, username=username, email=email)]


def test_a_password_that_keeps_every_rule_is_accepted() -> None:
    assert broken(GOOD) == []


@pytest.mark.parametrize(
    ("password", "rules"),
    [
        ("Vq7!kzR", ["length"]),
        (GOOD, []),
        ("Vq7!" + "kzRw" * 24, []),
        ("Vq7!" + "kzRw" * 24 + "x", ["length"]),
        ("vq7!kzrw", ["upper"]),
        ("VQ7!KZRW", ["lower"]),
        ("Vqx!kzRw", ["digit"]),
        ("Vq7xkzRw", ["special"]),
        ("Éq7!kzrw", []),
        ("", ["length", "upper", "lower", "digit", "special"]),
        ("Vq7!kzR\ud800", ["text"]),
    ],
)
def test_each_rule_just_kept_and_just_broken(password: str, rules: list[str]) -> None:
    assert broken(password) == rules


def test_the_bounds_are_counted_after_normalisation() -> None:
    """A letter and its accent are one character, whichever keyboard wrote them."""
    assert LEAST == 8
    assert broken("Vq7!kze\u0301") == ["length"]
    assert broken("Vq7!kzxe\u0301") == []
    assert broken("Vq7!" + "k" * (MOST - 4)) == []


@pytest.mark.parametrize("special", SPECIAL)
def test_every_special_character_counts(special: str) -> None:
    assert broken(f"Vq7{special}kzRw") == []


@pytest.mark.parametrize(
    ("password", "rules"),
    [
        ("Ada_Smith1!", ["username"]),
        ("ada_smith1!A", []),
        ("Ada_Smith12!?", ["username"]),
        ("Ada_Smith123!?", []),
        ("Kq7@Example.Org", ["email"]),
        ("Kq7-Babbage1!", ["email"]),
        ("Kq8-Babbage1!", []),
    ],
)
def test_it_is_neither_the_user_name_nor_the_address(password: str, rules: list[str]) -> None:
    email = "kq7@example.org" if "@" in password else "kq7-babbage@example.org"
    assert broken(password, "ada_smith", email) == rules


@pytest.mark.parametrize(
    "password", ["Password1!", "P@ssw0rd1!", "!!Dragon77", "Qwerty123!", "Letmein!1", "Football1!", "Tr0ub4dor!"]
)
def test_a_common_password_is_refused_also_with_something_around_it(password: str) -> None:
    expected = [] if password == "Tr0ub4dor!" else ["common"]
    assert broken(password) == expected


def test_with_five_characters_around_it_a_word_is_no_longer_common() -> None:
    assert broken("Baseball12!?") == ["common"]
    assert broken("Baseball123!?") == []


def test_the_list_is_long_and_has_what_everybody_tries() -> None:
    assert len(common_passwords()) >= 29_000
    assert {"123456", "password", "qwerty", "letmein"} <= common_passwords()


def test_no_message_contains_the_password() -> None:
    for password in ("Password1!", "short", "Ada_Smith1!", "VQ7KZRW"):
        for one in broken_rules(password, username="ada_smith", email="x@example.org"):
            assert password.casefold() not in one.sentence.casefold()
