"""Every router and route. Each area declares its own router; `api.app` serves them all."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.routing import BaseRoute

from api.accounts import accounts, transactions
from api.commands import batches
from api.gateway.routes import RouteTable
from api.orders import orders
from api.posts import posts
from api.system import health, log

ROUTERS: tuple[APIRouter, ...] = tuple(
    module.router for module in (transactions, accounts, orders, posts, batches, log, health)
)


def routes() -> list[BaseRoute]:
    """The routes of all routers."""
    return [route for router in ROUTERS for route in router.routes]


RouteTable(routes())  # a route that does not declare who may use it is an error at import
