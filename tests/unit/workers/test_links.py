"""Variables of service links are ignored, and a misspelt setting among them is still found."""

from __future__ import annotations

import pytest

from workers.links import injected
from workers.settings import SettingsError, ignored_variables, load

PREFIX = "DAYBOOK_"


def kubernetes(service: str, address: str = "10.0.0.1", port: int = 8100, name: str = "HTTP") -> dict[str, str]:
    """The variables of a pod for a service, as in the documentation."""
    at = f"{service}_PORT_{port}_TCP"
    host = f"[{address}]" if ":" in address else address
    return {
        f"{service}_SERVICE_HOST": address,
        f"{service}_SERVICE_PORT": str(port),
        f"{service}_SERVICE_PORT_{name}": str(port),
        f"{service}_PORT": f"tcp://{host}:{port}",
        at: f"tcp://{host}:{port}",
        f"{at}_PROTO": "tcp",
        f"{at}_PORT": str(port),
        f"{at}_ADDR": address,
    }


def docker(link: str, port: int = 8100) -> dict[str, str]:
    """The variables of a container for a legacy link, with a range of ports and those of the linked container."""
    at = f"{link}_PORT_{port}_TCP"
    return {
        f"{link}_NAME": "/web/daybook",
        f"{link}_PORT": f"tcp://172.17.0.5:{port}",
        at: f"tcp://172.17.0.5:{port}",
        f"{at}_PROTO": "tcp",
        f"{at}_PORT": str(port),
        f"{at}_ADDR": "172.17.0.5",
        f"{at}_START": f"tcp://172.17.0.5:{port}",
        f"{at}_END": f"tcp://172.17.0.5:{port + 1}",
        f"{at}_PORT_START": str(port),
        f"{at}_PORT_END": str(port + 1),
        f"{link}_ENV_DAYBOOK_WORKERS": "2",
        f"{link}_ENV_MY_ENV_PATH": "/bin",
    }


LINKS = {
    "kubernetes": kubernetes("DAYBOOK"),
    "kubernetes-api": kubernetes("DAYBOOK_API"),
    "kubernetes-postgres": kubernetes("DAYBOOK_POSTGRES", port=5432, name="POSTGRESQL"),
    "kubernetes-service": kubernetes("DAYBOOK_SERVICE"),
    "kubernetes-ipv6": kubernetes("DAYBOOK", "fd00::1"),
    "docker": docker("DAYBOOK"),
    "docker-env": docker("DAYBOOK_ENV_DB"),
    "docker-without-ports": {"DAYBOOK_NAME": "/web/daybook", "DAYBOOK_ENV_PATH": "/bin"},
}


@pytest.mark.parametrize("environment", LINKS.values(), ids=LINKS)
def test_every_variable_of_a_link_is_ignored(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ignored_variables() == sorted(environment)
    settings = load()
    assert (settings.port, settings.postgres_port) == (8100, None)


def test_a_setting_is_read_beside_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**kubernetes("DAYBOOK", port=80), "DAYBOOK_PORT": "8200"}.items():
        monkeypatch.setenv(name, value)
    assert load().port == 8200
    assert "DAYBOOK_PORT" not in ignored_variables()


@pytest.mark.parametrize(
    "environment",
    [
        {"DAYBOOK_PROT": "8100"},
        {"DAYBOOK_SERVICE_PORT": "8100"},  # alone it is a misspelt setting
        {"DAYBOOK_SERVICE_HOST": "10.0.0.1"},
        {"DAYBOOK_SERVICE_HOST": "ledger", "DAYBOOK_SERVICE_PORT": "8100"},
        {"DAYBOOK_PORT_8100_TCP_ADDR": "10.0.0.1"},
        {"DAYBOOK_NAME": "ledger"},
        {"DAYBOOK_ENV_WORKERS": "2"},
    ],
    ids=str,
)
def test_variables_that_only_resemble_a_link_are_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="is not a setting of Daybook"):
        load()


def test_a_misspelt_setting_is_refused_beside_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**kubernetes("DAYBOOK"), "DAYBOOK_WORKER": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="did you mean DAYBOOK_WORKERS"):
        load()


def test_a_port_that_is_no_number_and_no_link_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK_PORT", "tcp:8100")
    with pytest.raises(SettingsError, match="DAYBOOK_PORT is 'tcp:8100'"):
        load()


def test_variables_with_other_prefixes_are_ignored() -> None:
    assert injected(kubernetes("REDIS"), PREFIX) == []
