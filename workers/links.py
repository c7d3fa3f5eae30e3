"""Variables that Kubernetes and Docker put into the environment for each service beside this process.

A service `daybook` makes `DAYBOOK_PORT=tcp://10.0.0.1:8100`, which has the name of a setting, and
`DAYBOOK_SERVICE_HOST`, which has the prefix of settings. A variable is ignored only if its value and the variables
beside it show that a link made it. So a misspelt setting is still found.

Sources: kubernetes.io/docs/tutorials/services/connect-applications-service (environment variables),
docs.docker.com/engine/network/links (legacy container links).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://\S+:\d{1,5}")
_CONTAINER = re.compile(r"/[^/\s]+/[^/\s]+")
_OF_A_PORT = re.compile(r"(.+_PORT_\d+_(?:TCP|UDP|SCTP))(?:_PROTO|_ADDR|_PORT|(?:_PORT)?_(?:START|END))?")
_OF_A_SERVICE = re.compile(r"(.+)_SERVICE_(?:HOST|PORT|PORT_[A-Z0-9_]+)")


def injected(environment: Mapping[str, str], prefix: str) -> list[str]:
    """The names with this prefix that come from links, in order."""
    return sorted(name for name in environment if name.startswith(prefix) and _is_injected(name, environment))


def _is_injected(name: str, environment: Mapping[str, str]) -> bool:
    if name.endswith("_PORT") and _ADDRESS.fullmatch(environment[name]):
        return True
    if port := _OF_A_PORT.fullmatch(name):
        return _ADDRESS.fullmatch(environment.get(port[1], "")) is not None
    if service := _OF_A_SERVICE.fullmatch(name):
        host, number = (environment.get(f"{service[1]}_SERVICE_{part}", "") for part in ("HOST", "PORT"))
        return _is_ip(host) and number.isdecimal()
    return any(_CONTAINER.fullmatch(environment.get(link, "")) for link in _links_of(name))


def _links_of(name: str) -> list[str]:
    """The variables that would name the container whose link made this one: `X_NAME` made itself and `X_ENV_…`."""
    names = [name] if name.endswith("_NAME") else []
    return names + [f"{name[: found.start()]}_NAME" for found in re.finditer("(?=_ENV_.)", name)]


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
