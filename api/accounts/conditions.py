"""The members of a body that ask for conditions and for a unique reference, and the command that they make."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.commands.bodies import ACCOUNT_A, Body, Currency, Id, SignedAmount
from domain import money
from domain.accounts.transaction.conditions import (
    MOST_CONDITIONS,
    Comparison,
    Condition,
    Conditioned,
    Posting,
    Scope,
    What,
)
from domain.kernel import Command


class ConditionBody(BaseModel):
    """What an account must have before the command changes anything."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"account": ACCOUNT_A, "what": "balance", "is": "gte", "currency": "EUR", "amount": "100.00"}]
        },
    )

    account: Id
    what: Annotated[What, Field(description="The booked balance, or the balance less what is reserved")]
    comparison: Annotated[Comparison, Field(alias="is")]
    currency: Currency
    amount: SignedAmount


class Conditional(Body):
    """The body of a command that posts a transaction. Its route passes the command through `conditioned`."""

    conditions: Annotated[
        list[ConditionBody] | None,
        Field(max_length=MOST_CONDITIONS, description="All of them must hold, or the command is refused"),
    ] = None
    unique_reference: Annotated[
        Scope | None,
        Field(
            description="Refuse the command if its reference was used as a unique one before: for the account that is "
            "debited (for a deposit the credited one), or in the whole log"
        ),
    ] = None


def conditioned(command: Posting, body: Conditional) -> Command:
    """Return the command with what the body asks for beside it, or as it is if the body asks for nothing."""
    if not body.conditions and body.unique_reference is None:
        return command
    conditions = tuple(
        Condition(
            account=one.account,
            what=one.what,
            comparison=one.comparison,
            amount=money.parse(one.amount, one.currency),
            currency=one.currency,
        )
        for one in body.conditions or ()
    )
    return Conditioned(command, conditions, body.unique_reference)
