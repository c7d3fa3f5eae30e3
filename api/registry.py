"""Every router there is. Each area declares its own; `api.app` serves them all."""

from __future__ import annotations

from fastapi import APIRouter

from api.accounts import accounts, transactions
from api.commands import batches
from api.orders import orders
from api.posts import posts
from api.system import health, log

ROUTERS: tuple[APIRouter, ...] = tuple(
    module.router for module in (transactions, accounts, orders, posts, batches, log, health)
)
