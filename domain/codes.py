"""Codes: short texts without blanks that name things and are matched by, such as owners and references.

Codes are stored in clear, and claims, keys and filters are made of them. So their alphabet has no blank and no ``@``:
neither a sentence nor an e-mail address fits. Free text belongs into a description or a name, which are sealed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from domain.kernel import Refused

MOST_CODE = 100
"""Most characters of a code."""
MOST_METADATA_KEY = 40
"""Most characters of a key of metadata. A value is a code."""
MOST_PAIRS = 20
"""Most pairs of metadata of one thing."""

Metadata: TypeAlias = Mapping[str, str]
"""Pairs that a client keeps with a thing: codes by codes. They are stored in clear, as a JSON object."""


def pattern(most: int) -> str:
    """Return the pattern of codes with this many characters at most: the same in Python, JSON Schema and PostgreSQL."""
    return rf"^[A-Za-z0-9][A-Za-z0-9._:/#+-]{{0,{most - 1}}}$"


CODE, METADATA_KEY = pattern(MOST_CODE), pattern(MOST_METADATA_KEY)
_CODE, _METADATA_KEY = re.compile(CODE), re.compile(METADATA_KEY)

RULES: dict[str, str] = {
    "not_a_code": (
        "The {field} is not a code. A code has 1 to {most} characters, which are A-Z, a-z, 0-9 and . _ : / # + -, and "
        "begins with a letter or a digit. Free text belongs where it is sealed, such as a description."
    ),
}
"""The rule of everything that has a code. The sentence does not quote the text: it may be about a person."""
METADATA_RULES: dict[str, str] = {**RULES, "metadata_pairs": "The metadata has {pairs} pairs; the most is {most}."}
"""The rules of everything that has metadata."""


def refuse_other_than_code(field: str, text: str | None) -> Refused | None:
    """Return the refusal of a text that is not a code, or None. `field` names it in the sentence."""
    if text is None or _CODE.fullmatch(text) is not None:
        return None
    return Refused("not_a_code", {"field": field, "most": MOST_CODE})


def refuse_metadata(metadata: Metadata) -> Refused | None:
    """Return the refusal of metadata with too many pairs, or with a key or value that is not a code, or None."""
    if len(metadata) > MOST_PAIRS:
        return Refused("metadata_pairs", {"pairs": len(metadata), "most": MOST_PAIRS})
    for key, value in metadata.items():
        if _METADATA_KEY.fullmatch(key) is None:
            return Refused("not_a_code", {"field": "key of metadata", "most": MOST_METADATA_KEY})
        refusal = refuse_other_than_code("value of metadata", value)
        if refusal is not None:
            return refusal
    return None
