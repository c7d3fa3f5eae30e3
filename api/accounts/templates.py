"""The routes of templates: define and retire them, post by them, and read them and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.answers import Posted
from api.accounts.bodies import ScheduleName
from api.accounts.conditions import Conditional, conditioned
from api.accounts.fee_schedules import FeeShown, FeeTerms, Percentage, PercentageShown, percentage
from api.accounts.views import TransactionEntry
from api.commands.answers import Accepted
from api.commands.bodies import (
    ACCOUNT_A,
    ACCOUNT_B,
    Body,
    Currency,
    Description,
    Id,
    IsoDate,
    Metadata,
    Price,
    Reference,
    example,
)
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.gateway.problems import Problem
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, one, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, one_of, page_of
from domain.accounts.numbers import InternalRole
from domain.accounts.posting import MOST_ENTRIES, Side, TransactionKind
from domain.accounts.template import DefineTemplate, PostByTemplate, RetireTemplate
from domain.accounts.template.checking import (
    MOST_AMOUNTS,
    MOST_INTEGER,
    MOST_PARAMETERS,
    MOST_PARTS,
    MOST_TERMS,
)
from domain.accounts.template.definition import (
    NAME,
    Amount,
    AmountKind,
    Definition,
    Parameter,
    ParameterType,
    Part,
    TemplateEntry,
)
from domain.accounts.template.state import template_stream
from domain.accounts.transaction import TRANSACTION
from domain.codes import MOST_CODE
from domain.money import EXPONENTS, parse
from projections.accounts import templates as queries
from projections.accounts.templates import TemplateDefinitionRow, TemplateRow, TemplateVersionRow

router = APIRouter(prefix="/v1/templates", tags=["templates"])

MOST_VERSIONS = 2**31 - 1
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""The name of a parameter or an amount."""
NameOfCurrency = Annotated[str, StringConstraints(pattern=r"^([A-Z]{3}|[a-z][a-z0-9_]{0,39})$")]
"""A currency, or the name of a parameter."""
Value = (
    Annotated[int, Field(ge=-MOST_INTEGER, le=MOST_INTEGER)]
    | Annotated[str, StringConstraints(pattern=rf"^[ -~]{{1,{MOST_CODE}}}$")]
)
"""A value of a parameter: a text, or an integer for a parameter of that type."""
VersionNumber = Annotated[int, Field(ge=1, le=MOST_VERSIONS)]
_STRICT = ConfigDict(extra="forbid", strict=True)
_NEWEST = "The version that postings use that name none; null if all are retired"
_NUMBER = "The number of the version, from 1"

# Bodies.


class TemplateParameterBody(BaseModel):
    """What a posting gives to the template. Bounds are decimal strings, or integers for the type `integer`."""

    model_config = _STRICT

    name: Name
    type: ParameterType
    currency: Annotated[
        NameOfCurrency | None, Field(description="Of an amount: a currency, or the parameter that has it")
    ] = None
    least: Value | None = None
    most: Value | None = None
    default: Value | None = None

    def parameter(self) -> Parameter:
        """The parameter in the domain. Raises `ValueError`."""
        least, most = (self._figure(bound) for bound in (self.least, self.most))
        default = self.default if self.type in ("account", "currency", "code") else self._figure(self.default)
        return Parameter(self.name, self.type, self.currency, least, most, default)

    def _figure(self, value: int | str | None) -> int | None:
        """A bound as an integer of the smallest unit."""
        if value is None or (self.type == "integer" and isinstance(value, int)):
            return value
        if isinstance(value, str) and self.type == "percentage":
            return percentage(value)
        if isinstance(value, str) and self.type == "amount" and self.currency in EXPONENTS:
            return parse(value, self.currency)
        raise ValueError(f"{self.name} of type {self.type} cannot have this bound or default.")


class TemplatePartBody(BaseModel):
    """A part of a split, which is an amount too."""

    model_config = _STRICT

    name: Name
    weight: Annotated[
        Annotated[int, Field(ge=0, le=MOST_INTEGER)] | Name, Field(description="A number, or the parameter that has it")
    ]


class TemplateAmountBody(BaseModel):
    """An amount that is computed. It has the members of its kind.

    `fixed`: `fixed` and `currency`. `sum`: the amounts in `plus` less those in `minus`. `percentage`: `percentage`, or
    the one in `parameter`, of the amount `of`. `product`: `of` times the integer in `parameter`. `fee`: the fee of `of`
    by the terms `fee`; figures of money in them need `currency`. `split`: `of`, divided into `parts` by their weights.
    """

    model_config = _STRICT

    name: Name
    kind: AmountKind
    fixed: Price | None = None
    currency: Currency | None = None
    plus: Annotated[list[Name], Field(max_length=2 * MOST_TERMS, default_factory=list)]
    minus: Annotated[list[Name], Field(max_length=2 * MOST_TERMS, default_factory=list)]
    of: Name | None = None
    percentage: Percentage | None = None
    parameter: Name | None = None
    fee: FeeTerms | None = None
    parts: Annotated[list[TemplatePartBody], Field(max_length=2 * MOST_PARTS, default_factory=list)]

    def amount(self) -> Amount:
        """The amount in the domain. Raises `ValueError`."""
        fixed = None
        if self.fixed is not None:
            if self.currency is None:
                raise ValueError(f"{self.name}: a fixed amount needs its currency.")
            fixed = parse(self.fixed, self.currency)
        return Amount(
            name=self.name,
            kind=self.kind,
            fixed=fixed,
            currency=self.currency,
            plus=tuple(self.plus),
            minus=tuple(self.minus),
            of=self.of,
            percentage=None if self.percentage is None else percentage(self.percentage),
            parameter=self.parameter,
            fee=None if self.fee is None else self.fee.fee(self.currency),
            parts=tuple(Part(part.name, part.weight) for part in self.parts),
        )


class TemplateEntryBody(BaseModel):
    """An entry. Its account is one of three: that of a parameter, a fixed one, or an internal one."""

    model_config = _STRICT

    side: Side
    amount: Annotated[Name, Field(description="An amount, or a parameter of that type. An entry of zero is left out")]
    parameter: Name | None = None
    account: Id | None = None
    internal: InternalRole | None = None


class TemplateBody(Body):
    """Define a template, or the next version of one."""

    model_config = example(
        name="marketplace-sale",
        kind="payment",
        parameters=[
            {"name": "buyer", "type": "account"},
            {"name": "seller", "type": "account"},
            {"name": "gross", "type": "amount", "currency": "EUR", "least": "0.01"},
        ],
        amounts=[
            {"name": "commission", "kind": "percentage", "of": "gross", "percentage": "2.5"},
            {"name": "net", "kind": "sum", "plus": ["gross"], "minus": ["commission"]},
        ],
        entries=[
            {"side": "debit", "parameter": "buyer", "amount": "gross"},
            {"side": "credit", "parameter": "seller", "amount": "net"},
            {"side": "credit", "internal": "fees", "amount": "commission"},
        ],
    )

    name: ScheduleName
    kind: Literal["transfer", "fee", "interest", "penalty", "payment", "journal"] = "journal"
    parameters: Annotated[list[TemplateParameterBody], Field(max_length=2 * MOST_PARAMETERS)]
    amounts: Annotated[list[TemplateAmountBody], Field(max_length=2 * MOST_AMOUNTS, default_factory=list)]
    entries: Annotated[list[TemplateEntryBody], Field(max_length=2 * MOST_ENTRIES)]

    def definition(self) -> Definition:
        """The definition in the domain. Raises `ValueError`."""
        return Definition(
            self.kind,
            tuple(one.parameter() for one in self.parameters),
            tuple(one.amount() for one in self.amounts),
            tuple(TemplateEntry(*_members(entry)) for entry in self.entries),
        )


class RetireTemplateBody(Body):
    """Retire a version of a template."""

    model_config = example(number=1)

    number: VersionNumber


class TemplatePosting(Conditional):
    """Post a transaction whose entries the template makes of these parameters."""

    model_config = example(parameters={"buyer": ACCOUNT_A, "seller": ACCOUNT_B, "gross": "100.00"})

    parameters: Annotated[
        dict[Name, Value],
        Field(
            max_length=2 * MOST_PARAMETERS,
            description="By name. Amounts and percentages are decimal strings, integers are integers",
        ),
    ]
    number: Annotated[
        VersionNumber | None, Field(description="The version; null for the newest that is not retired")
    ] = None
    value_date: IsoDate | None = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata


# Answers.


class TemplateChanged(Accepted):
    """A template of which a version was defined or retired."""

    template: str
    number: Annotated[int, Field(description=_NUMBER)]
    newest: Annotated[int | None, Field(description=_NEWEST)]


class PostedByTemplate(Posted):
    """A transaction that was posted by a template, with the entries that it made."""

    template: str
    number: Annotated[int, Field(description=_NUMBER)]
    entries: list[TransactionEntry]


class TemplateParameter(TypedDict):
    """What a posting gives to the template."""

    name: str
    type: Annotated[str, one_of(ParameterType)]
    currency: NotRequired[Annotated[str, Field(description="A currency, or the parameter that has it")]]
    least: NotRequired[int | str]
    most: NotRequired[int | str]
    default: NotRequired[int | str]


class TemplatePart(TypedDict):
    """A part of a split, which is an amount too."""

    name: str
    weight: int | str


class TemplateAmount(TypedDict):
    """An amount that is computed. It has the members of its kind."""

    name: str
    kind: Annotated[str, one_of(AmountKind)]
    fixed: NotRequired[Money]
    currency: NotRequired[CurrencyCode]
    plus: NotRequired[list[str]]
    minus: NotRequired[list[str]]
    of: NotRequired[str]
    percentage: NotRequired[PercentageShown]
    parameter: NotRequired[str]
    fee: NotRequired[FeeShown]
    parts: NotRequired[list[TemplatePart]]


class TemplateLine(TypedDict):
    """An entry. Its account is that of a parameter, a fixed one, or an internal one."""

    side: Annotated[str, one_of(Side)]
    amount: str
    parameter: NotRequired[str]
    account: NotRequired[str]
    internal: NotRequired[Annotated[str, one_of(InternalRole)]]


class TemplateDefinition(TypedDict):
    """What a version of a template says, as in the request that defined it.

    Each amount stands after those that it is computed from.
    """

    kind: Annotated[str, one_of(TransactionKind)]
    parameters: list[TemplateParameter]
    amounts: list[TemplateAmount]
    entries: list[TemplateLine]


class Template(TypedDict):
    """A template as it is now."""

    name: str
    newest: Annotated[int | None, Field(description=_NEWEST)]
    last: Annotated[int, Field(description="The number of the last version that was defined")]
    active: Annotated[bool, Field(description="Whether it can be posted")]
    version: StreamVersion
    changed_at: datetime
    position: LogPosition


class TemplateDefined(Template):
    """A template as it is now, with the definition of its newest version, or of the last one if all are retired."""

    definition: TemplateDefinition


class TemplateVersion(TypedDict):
    """One version of a template."""

    number: Annotated[int, Field(description=_NUMBER)]
    kind: Annotated[str, one_of(TransactionKind)]
    active: Annotated[bool, Field(description="Whether it can be posted")]
    recorded_at: datetime
    position: LogPosition


class TemplateVersionDefined(TemplateVersion):
    """One version of a template with its definition."""

    definition: TemplateDefinition


def template_view(row: TemplateRow) -> Template:
    return {
        "name": row.name,
        "newest": row.newest,
        "last": row.last,
        "active": row.newest is not None,
        "version": row.version,
        "changed_at": row.last_at,
        "position": row.position,
    }


def version_view(row: TemplateVersionRow | TemplateDefinitionRow, active: bool) -> TemplateVersion:
    return {
        "number": row.number,
        "kind": row.kind,
        "active": active,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def _definition(row: TemplateDefinitionRow) -> TemplateDefinition:
    shown: Any = row.definition
    definition: TemplateDefinition = shown
    return definition


# Routes.


@command(router, "", makes=DefineTemplate, answer=TemplateChanged)
def define_template(caller: Caller, body: TemplateBody) -> Intent:
    """Define a template, or the next version of one. It is for operators."""
    try:
        definition = body.definition()
    except ValueError as error:
        raise Problem("malformed", f"{error}") from None
    return Intent(DefineTemplate(body.name, definition), template_stream(body.name))


@command(router, "/{template}/retire", makes=RetireTemplate, answer=TemplateChanged, status=200)
def retire_template(caller: Caller, template: PathId, body: RetireTemplateBody) -> Intent:
    """Retire a version of a template. It cannot be posted any more. It is for operators."""
    return Intent(RetireTemplate(template, body.number), template_stream(template))


@command(router, "/{template}/transactions", makes=PostByTemplate, answer=PostedByTemplate)
def post_by_template(caller: Caller, template: PathId, body: TemplatePosting) -> Intent:
    """Post a transaction by a template. A dry run shows the entries that it would have."""
    posting = PostByTemplate(
        transaction=caller.services.new_id(TRANSACTION),
        template=template,
        parameters=body.parameters,
        value_date=body.value_date or caller.today,
        number=body.number,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
    )
    return Intent(conditioned(posting, body), template_stream(template))


@query(router, "", may=READERS, response=page_of(Template), personal=False, projections=("templates",))
def list_templates(
    request: Request,
    active: bool | None = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List templates in the order in which they were first defined."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        return page(queries.templates(connection, active=active, after=after, cursor=key, limit=limit), template_view)


@query(router, "/{template}", may=READERS, response=TemplateDefined, personal=False, projections=("templates",))
def get_template(request: Request, template: PathId) -> Response:
    """Get one template with the definition that postings use."""
    with reading(request) as connection:
        row = queries.template(connection, template)
        version = None if row is None else queries.template_version(connection, row.name, row.newest or row.last)

    def view(row: TemplateRow) -> TemplateDefined:
        assert version is not None
        return {**template_view(row), "definition": _definition(version)}

    return one("template", template, None if version is None else row, view)


@query(
    router,
    "/{template}/versions",
    may=READERS,
    response=page_of(TemplateVersion),
    personal=False,
    projections=("templates",),
)
def list_template_versions(
    request: Request, template: PathId, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List the versions of a template, oldest first. There are none if there is no such template."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.versions(connection, template, after=after, cursor=key, limit=limit)
        numbers = [row.number for row in listed.items]
        retired = queries.retired_versions(connection, template, numbers[0] - 1, limit) if numbers else frozenset()
    return page(listed, lambda row: version_view(row, row.number not in retired))


@query(
    router,
    "/{template}/versions/{number}",
    may=READERS,
    response=TemplateVersionDefined,
    personal=False,
    projections=("templates",),
)
def get_template_version(
    request: Request, template: PathId, number: Annotated[int, Path(ge=1, le=MOST_VERSIONS)]
) -> Response:
    """Get one version of a template."""
    with reading(request) as connection:
        row = queries.template_version(connection, template, number)
        retired = row is not None and queries.is_retired(connection, template, number)

    def view(row: TemplateDefinitionRow) -> TemplateVersionDefined:
        return {**version_view(row, not retired), "definition": _definition(row)}

    return one("template version", str(number), row, view)


def _members(entry: TemplateEntryBody) -> tuple[Any, ...]:
    return entry.side, entry.amount, entry.parameter, entry.account, entry.internal
