"""All routers and routes. A module in a folder of `api` that has a `router` is served without being listed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from fastapi import APIRouter
from starlette.routing import BaseRoute

from api.gateway.routes import RouteTable


def _routers(folder: Path) -> list[APIRouter]:
    """The routers of the modules in the folders of this folder, in order of their names."""
    modules = [import_module(f"api.{file.parent.name}.{file.stem}") for file in sorted(folder.glob("*/[!_]*.py"))]
    return [module.router for module in modules if isinstance(getattr(module, "router", None), APIRouter)]


ROUTERS: tuple[APIRouter, ...] = tuple(_routers(Path(__file__).parent))


def routes() -> list[BaseRoute]:
    """The routes of all routers."""
    return [route for router in ROUTERS for route in router.routes]


RouteTable(routes())  # a route that does not declare who may use it is an error at import
