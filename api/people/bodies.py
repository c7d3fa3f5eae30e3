"""Bodies with secrets, and types of members that several routes of people have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from eventstore.credentials.password_rules import LEAST, MOST

MOST_STATED = 1_000
"""Characters of a password that is compared. None that long is anybody's; it is refused like any wrong one."""

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=254), Field(description="The username or the e-mail address")
]
Password = Annotated[str, StringConstraints(min_length=1, max_length=MOST_STATED)]
NewPassword = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MOST_STATED),
    Field(
        description=f"{LEAST} to {MOST} characters, with a capital, a small letter, a digit and a special character; "
        "no common password, and not the username or the address"
    ),
]
Code = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9A-Za-z -]{6,40}$"),
    Field(description="The six digits of the second factor, or a recovery code"),
]
MailToken = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$"), Field(description="The token of the mail")]
RefreshToken = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
ShownBefore = Annotated[
    bool, Field(description="Present in the answer to a retry: what is secret was shown before, and is not shown again")
]


class WithSecret(BaseModel):
    """A body that has a secret. Neither its repr nor a message about a wrong body has any value of it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    def __repr_args__(self) -> Sequence[tuple[str | None, Any]]:
        return ()
