"""Reads the page of metrics as Prometheus does."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

import httpx
from prometheus_client.parser import text_string_to_metric_families

from workers.ports import free_port


def free_ports(count: int) -> int:
    """The first of so many free TCP ports in a row."""
    for _ in range(100):
        first = free_port()
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(closing(socket.create_server(("127.0.0.1", port))))
            except OSError:
                continue
            return first
    raise RuntimeError(f"no {count} ports in a row are free: 100 places were tried")


class Scraped(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """The series of a page: the value by name and labels."""

    def of(self, series: str, **labels: str) -> float:
        """The value of one series. Raises `KeyError` if the page does not have it."""
        return self[series, frozenset(labels.items())]

    def total(self, series: str, **labels: str) -> float:
        """The sum of the series of this name that have these labels, and maybe others."""
        wanted = frozenset(labels.items())
        return sum(value for (name, having), value in self.items() if name == series and wanted <= having)

    def names(self) -> set[str]:
        """The names of the series."""
        return {name for name, _ in self}


def parsed(page: str) -> Scraped:
    """The series of a page."""
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    series = Scraped({(one.name, frozenset(one.labels.items())): one.value for one in samples})
    assert len(series) == len(samples), "a series is there twice"
    return series


def scrape(port: int) -> Scraped:
    """The metrics on a port of this machine."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60)
    assert answer.status_code == 200, answer.text
    return parsed(answer.text)


def is_served(port: int) -> bool:
    """Whether metrics are served on the port."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).status_code == 200
    except httpx.TransportError:
        return False
