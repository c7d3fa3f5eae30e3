"""The files of Prometheus and their page match the code: metrics, labels, ports and services."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.unit.test_compose import COMMANDS, environment, services
from workers.metrics.catalogue import METRICS
from workers.metrics.sources import REFUSALS
from workers.settings import load
from workers.up import port_of_metrics

ROOT: Final = Path(__file__).parents[2]
SERIES: Final = {
    one.name + ending: one
    for one in METRICS
    for ending in (("_bucket", "_sum", "_count") if one.kind == "histogram" else ("",))
}
WITHOUT_METRICS: Final = {"migrate", "publisher", "mail", "verify", "rebuild"}
MEASURED: Final = tuple(service for service in COMMANDS if service not in WITHOUT_METRICS)
"""The services that serve metrics: all others."""
UP: Final = {COMMANDS[service]: service for service in MEASURED if service not in {"topics", "witnesses"}}
"""The processes that `daybook up` always runs and that serve metrics, and the names of their services."""
NAME: Final = re.compile(r"\bdaybook_\w+")


def parsed(name: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / name).read_text(encoding="utf-8"))


def targets(name: str) -> dict[str, list[str]]:
    """The targets of each job. Those that are found by name are `host:port`, as those that are listed."""
    return {job["job_name"]: _targets(job) for job in parsed(name)["scrape_configs"]}


def _targets(job: dict[str, Any]) -> list[str]:
    if "static_configs" in job:
        (listed,) = job["static_configs"]
        return list(listed["targets"])
    (found,) = job["dns_sd_configs"]
    assert found["type"] == "A"
    return [f"{name}:{found['port']}" for name in found["names"]]


@pytest.mark.parametrize(
    "page", ["deploy/prometheus-rules.yml", "docs/howto/observe.md", "docs/adr/0030-figures-and-traces.md"]
)
def test_each_metric_that_is_named_exists(page: str) -> None:
    named = set(NAME.findall((ROOT / page).read_text(encoding="utf-8")))
    assert named
    assert named <= SERIES.keys()


@pytest.mark.parametrize("page", ["deploy/prometheus-rules.yml", "docs/howto/observe.md"])
def test_each_label_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    selected = re.findall(r"(daybook_\w+)\{(\w+)=~?\"", text)
    grouped = re.findall(r"by \((\w+)\) \(+(?:\w+\()*(daybook_\w+)", text)
    assert len(grouped) >= 3
    for name, label in [*selected, *((name, label) for label, name in grouped)]:
        assert label in {*SERIES[name].labels, "le"}, f"{name} has no label {label}"


@pytest.mark.parametrize("page", ["deploy/prometheus-rules.yml", "docs/howto/observe.md"])
def test_each_code_that_is_selected_is_counted(page: str) -> None:
    codes = re.findall(r'\{code="(\w+)"\}', (ROOT / page).read_text(encoding="utf-8"))
    assert codes
    assert set(codes) <= set(REFUSALS)


def test_prometheus_reaches_each_process_of_up() -> None:
    first = 8110
    ports = {command: port_of_metrics(load().model_copy(update={"metrics_port": first}), command) for command in UP}
    assert targets("prometheus.yml") == {f"daybook-{UP[command]}": [f"127.0.0.1:{ports[command]}"] for command in UP}
    assert ports["serve"] == first


def test_prometheus_reaches_every_process_of_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    more = parsed("observe.yml")["services"]
    assert set(more) == {*MEASURED, "prometheus"}
    wanted = {}
    for name in MEASURED:
        with monkeypatch.context() as of_service:
            for key, value in (environment(name) | more[name]["environment"]).items():
                of_service.setenv(key, str(value))
            loaded = load()
        assert loaded.metrics_host == "0.0.0.0"  # noqa: S104 - within the network of the compose file
        assert loaded.metrics_port is not None
        processes = loaded.workers if name == "api" else 1
        wanted[f"daybook-{name}"] = [f"{name}:{loaded.metrics_port + number}" for number in range(processes)]
        assert not any(str(loaded.metrics_port) in port for port in services()[name].get("ports", []))
    assert targets("prometheus-compose.yml") == wanted
    assert re.fullmatch(r"prom/prometheus:v\d+\.\d+\.\d+", more["prometheus"]["image"])
    assert all(port.startswith("127.0.0.1:") for port in more["prometheus"]["ports"])


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-compose.yml"])
def test_the_rules_are_loaded(name: str) -> None:
    assert parsed(name)["rule_files"] == ["prometheus-rules.yml"]
    alerts = [rule["alert"] for group in parsed("prometheus-rules.yml")["groups"] for rule in group["rules"]]
    assert len(set(alerts)) == len(alerts) > 3
