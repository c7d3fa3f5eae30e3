"""The declaration of a query's route: who may use it, which projections it reads, whether it returns personal data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from api.gateway.documented import READ
from api.gateway.principals import Right
from api.gateway.routes import Declaration, area_of, declare
from api.queries.reading import visible

E = TypeVar("E", bound=Callable[..., Any])


def query(
    router: APIRouter,
    path: str,
    *,
    may: frozenset[Right],
    personal: bool,
    response: Any,
    projections: Sequence[str] = (),
    answers: Mapping[int | str, dict[str, Any]] = READ,
    response_class: type[Response] = JSONResponse,
    tags: Sequence[str] = (),
) -> Callable[[E], E]:
    """Declare a query's route.

    `may`: who may use it. `personal`: whether it returns personal data. `projections`: the read models that it reads;
    with `min_position` it waits for them. `response` and `answers` are only for the OpenAPI description: the type of
    the answer (None for a stream), and the other answers. The function returns a `Response`, which FastAPI sends
    unchanged.
    """

    def decorate(endpoint: E) -> E:
        reads = tuple(projections)
        declare(endpoint, Declaration(may=may, personal=personal, area=area_of(endpoint), projections=reads))
        route = router.get(
            path,
            response_model=response,
            response_description="Found",
            responses=dict(answers),
            response_class=response_class,
            dependencies=[Depends(visible)] if projections else [],
            tags=list(tags),
        )
        return route(endpoint)

    return decorate
