"""The compose file matches the code: settings, commands, ports and health checks.

The tests run without a container engine, so they check what the file alone shows.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import typer
import yaml

from eventstore.proof.notes import COSIGNATURE, Signer
from workers.cli import app
from workers.databases import LOGINS
from workers.kafka.broker import ALONE
from workers.settings import Settings, load, variable

ROOT: Final = Path(__file__).parents[2]
COMMANDS: Final = {
    "migrate": "migrate",
    "api": "serve",
    "projector": "work",
    "processes": "work --processes",
    "publisher": "publish",
    "topics": "execute-from-kafka",
    "mail": "mail",
    "webhooks": "webhooks",
    "batches": "batches",
    "sealer": "seal",
    "witnesses": "ask-witnesses",
    "verify": "verify",
    "rebuild": "rebuild",
}
PROCESSES: Final = tuple(COMMANDS)
WITH_KAFKA: Final = {"kafka": ["kafka", "topics"], "publisher": ["kafka"], "topics": ["topics"]}
"""Services that use Kafka, and the profiles that start them."""
"""Services of the profile `kafka`."""
TOOLS: Final = ("verify", "rebuild")
"""Services that are run on demand. `docker compose up` does not start them."""
NEEDS: Final = {
    "migrate": {"DATABASE_URL": "daybook", "DAYBOOK_READ_OWNER_DATABASE_URL": "read_owner"},
    "api": {
        "DAYBOOK_API_DATABASE_URL": "api",
        "DAYBOOK_QUERY_DATABASE_URL": "query",
        "DAYBOOK_CREDENTIALS_DATABASE_URL": "credentials",
    },
    "projector": {"DAYBOOK_PROJECTOR_DATABASE_URL": "projector"},
    "processes": {"DAYBOOK_API_DATABASE_URL": "api", "DAYBOOK_QUERY_DATABASE_URL": "query"},
    "publisher": {"DAYBOOK_PUBLISHER_DATABASE_URL": "publisher"},
    "topics": {"DAYBOOK_API_DATABASE_URL": "api"},
    "mail": {
        "DAYBOOK_API_DATABASE_URL": "api",
        "DAYBOOK_QUERY_DATABASE_URL": "query",
        "DAYBOOK_CREDENTIALS_DATABASE_URL": "credentials",
    },
    "webhooks": {"DAYBOOK_API_DATABASE_URL": "api", "DAYBOOK_QUERY_DATABASE_URL": "query"},
    "batches": {"DAYBOOK_API_DATABASE_URL": "api", "DAYBOOK_QUERY_DATABASE_URL": "query"},
    "sealer": {"DAYBOOK_SEALER_DATABASE_URL": "sealer"},
    "witnesses": {"DAYBOOK_SEALER_DATABASE_URL": "sealer"},
    "verify": {"DAYBOOK_AUDIT_DATABASE_URL": "audit"},
    "rebuild": {"DAYBOOK_READ_OWNER_DATABASE_URL": "read_owner", "DAYBOOK_PROJECTOR_DATABASE_URL": "projector"},
}
"""The connections of each process: the variable, and the login in its URL."""
SECRETS: Final = {
    "POSTGRES_PASSWORD": "owner1",
    "API_PASSWORD": "api1",
    "QUERY_PASSWORD": "query1",
    "PROJECTOR_PASSWORD": "projector1",
    "READ_OWNER_PASSWORD": "owner2",
    "AUDIT_PASSWORD": "audit1",
    "READER_PASSWORD": "reader1",
    "PUBLISHER_PASSWORD": "publisher1",
    "REPLICA_PASSWORD": "replica1",
    "CREDENTIALS_PASSWORD": "credentials1",
    "SEALER_PASSWORD": "sealer1",
    "DAYBOOK_MASTER_KEY": base64.b64encode(bytes(32)).decode(),
    "TOKENS_FILE": "./tokens.json",
}
OPTIONAL: Final = {
    "DAYBOOK_PREVIOUS_MASTER_KEY": base64.b64encode(b"p" * 32).decode(),
    "DAYBOOK_REPLICA_MASTER_KEY": base64.b64encode(b"r" * 32).decode(),
    "DAYBOOK_PROOF_KEY": base64.b64encode(b"s" * 32).decode(),
    "DAYBOOK_PREVIOUS_PROOF_KEY": base64.b64encode(b"t" * 32).decode(),
    "PROOF_WITNESSES": f"https://auditor.example {Signer('auditor.example', bytes(32), COSIGNATURE).verifier}",
    "PROOF_ORIGIN": "daybook.example.com/v1/proof",
    "KAFKA_PRINCIPALS": "importer,payouts",
    "SMTP_URL": "smtps://daybook:secret@mail.example.com",
    "MAIL_FROM": "Daybook <no-reply@example.com>",
    "MAIL_LINK": "https://app.example.com",
}
"""Secrets and names that are empty if they are not set."""
REFERENCE: Final = re.compile(r"\$\{(\w+)(:[?-])?[^}]*\}")

Service = dict[str, Any]


def services() -> dict[str, Service]:
    parsed = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert isinstance(parsed, dict)
    return parsed


def environment(name: str) -> dict[str, str]:
    """The environment of a service, with test values for the secrets."""
    given = services()[name].get("environment", {})
    return {
        key: REFERENCE.sub(lambda found: (SECRETS | OPTIONAL)[found[1]], str(value)) for key, value in given.items()
    }


def settings(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for key, value in environment(name).items():
        monkeypatch.setenv(key, value)
    return load()  # refuses unknown settings


def commands() -> set[str]:
    """The commands of `daybook`."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return set(group.commands)


def test_the_services_of_production_exist() -> None:
    assert set(services()) == {"postgres", "kafka", *PROCESSES}
    assert services()["postgres"]["image"].startswith("postgres:18.")
    assert services()["kafka"]["image"].startswith("apache/kafka:")


@pytest.mark.parametrize("name", PROCESSES)
def test_each_variable_is_a_setting_with_a_good_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(environment(name)) <= {"PGSSLMODE", *(variable(field) for field in Settings.model_fields)}
    loaded = settings(name, monkeypatch)
    assert not loaded.embedded


@pytest.mark.parametrize("name", PROCESSES)
def test_each_command_is_one_of_daybook(name: str) -> None:
    command = COMMANDS[name].split()
    assert services()[name]["command"] == command
    assert command[0] in commands()
    assert 'ENTRYPOINT ["daybook"]' in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_each_process_has_the_connections_it_needs_and_no_other() -> None:
    urls = {
        name: {key: value for key, value in environment(name).items() if key.endswith("DATABASE_URL")}
        for name in PROCESSES
    }
    assert {name: {key: urlsplit(url).username for key, url in of.items()} for name, of in urls.items()} == NEEDS
    for of in urls.values():
        for url in of.values():
            login = urlsplit(url).username
            password = "POSTGRES_PASSWORD" if login == "daybook" else f"{str(login).upper()}_PASSWORD"
            assert urlsplit(url).password == SECRETS[password]
    mounted = [volume.split(":")[:2] for volume in services()["postgres"]["volumes"]]
    made, passwords = [(ROOT / here).read_text(encoding="utf-8") for here, there in mounted if "initdb.d" in there]
    for login in LOGINS:
        assert f"'{login}'" in made
        assert f'set_password {login} "${login.upper()}_PASSWORD"' in passwords
        assert f"{login.upper()}_PASSWORD" in services()["postgres"]["environment"]


def test_only_processes_that_open_personal_data_get_the_master_key() -> None:
    for key in ("DAYBOOK_MASTER_KEY", "DAYBOOK_PREVIOUS_MASTER_KEY"):
        assert [name for name in PROCESSES if key in environment(name)] == [
            "api",
            "projector",
            "processes",
            "publisher",
            "topics",
            "mail",
            "webhooks",
            "batches",
            "verify",
            "rebuild",
        ]


def test_kafka_is_started_only_when_it_is_asked_for_and_nothing_else_needs_it() -> None:
    profiles = {name: services()[name].get("profiles") for name in WITH_KAFKA}
    assert profiles == WITH_KAFKA
    for name, service in services().items():
        if name not in WITH_KAFKA:
            assert "kafka" not in service.get("depends_on", {}), f"{name} would wait for Kafka"
            assert not any("KAFKA" in key for key in service.get("environment", {})), name


def test_kafka_has_what_one_broker_needs() -> None:
    """The image takes a property from the variable of its name; the broker of `daybook up --kafka` has the same."""
    given = services()["kafka"]["environment"]
    for name, value in ALONE.items():
        assert str(given[f"KAFKA_{name.replace('.', '_').upper()}"]) == value, name


def test_tools_are_run_on_demand_and_end() -> None:
    on_demand = {name: service["profiles"] for name, service in services().items() if "profiles" in service}
    alone = {name: [name] for name in ("mail", "webhooks", "batches", "sealer", "witnesses")}
    assert on_demand == {**{name: ["tools"] for name in TOOLS}, **WITH_KAFKA, **alone}
    once = [name for name, service in services().items() if service["restart"] == "no"]
    assert once == ["migrate", *TOOLS]
    for name, service in services().items():
        assert name in TOOLS or not set(TOOLS) & set(service.get("depends_on", {})), f"{name} would start them"


def test_secrets_come_from_the_environment_and_a_missing_one_is_an_error() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    references = list(REFERENCE.finditer(text))
    assert {found[1] for found in references} == {*SECRETS, *OPTIONAL}
    for found in references:
        assert found[0] == f"${{{found[1]}{':-' if found[1] in OPTIONAL else ':?'}}}", "no secret has a default"
    for service in services().values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|SECRET", key):
                assert REFERENCE.fullmatch(str(value)), f"{key} has its value in the file"
            assert not re.search(r"://[^/:]*:[^/@]*(?<!\})@", str(value)), f"{key} has a password"


def test_the_api_is_published_where_it_listens_and_on_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    api = settings("api", monkeypatch)
    address, published, inside = services()["api"]["ports"][0].rsplit(":", 2)
    assert (address, int(inside)) == ("127.0.0.1", api.port)
    assert int(published) == Settings().port
    assert api.host == "0.0.0.0"  # noqa: S104 - inside its container
    assert f"EXPOSE {api.port}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert all("ports" not in service for name, service in services().items() if name != "api")


def test_the_health_checks_use_existing_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for name, service in services().items() if "healthcheck" not in service] == ["migrate", *TOOLS]
    api = settings("api", monkeypatch)
    check = services()["api"]["healthcheck"]["test"][-1]
    assert f"http://localhost:{api.port}/v1/health/ready" in check
    assert "localhost" in api.allowed_hosts
    for name in ("api", "projector", "processes"):
        compile(services()[name]["healthcheck"]["test"][-1], name, "exec")
    postgres = services()["postgres"]
    for option, key in (("username", "POSTGRES_USER"), ("dbname", "POSTGRES_DB")):
        assert f"--{option}={postgres['environment'][key]}" in postgres["healthcheck"]["test"]


def test_a_service_waits_only_for_services_with_a_health_check_or_an_end() -> None:
    for name, service in services().items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services()[other], f"{name} waits for the health of {other}"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert services()[other]["restart"] == "no"
    without = {name for name in PROCESSES if "migrate" not in services()[name]["depends_on"]}
    assert without == {"migrate", "verify"}, "a migration would repair what verify must find"


def test_the_commands_that_the_documentation_shows_run_with_what_they_need() -> None:
    """For `docker compose run … SERVICE [COMMAND …]` the service exists and has the connections of the command."""
    page = (ROOT / "docs" / "howto" / "run-commands-with-compose.md").read_text(encoding="utf-8")
    shown = re.findall(r"^docker compose run((?: --\S+)*) ([a-z]+)(?: ([a-z-]+)(?: ([a-z-]+))?)?", page, re.MULTILINE)
    assert {(service, command) for _, service, command, _ in shown} >= {("verify", ""), ("rebuild", "")}
    needed = {
        "events": "DAYBOOK_AUDIT_DATABASE_URL",
        "replay": "DAYBOOK_AUDIT_DATABASE_URL",
        "export": "DAYBOOK_AUDIT_DATABASE_URL",
        "rebuild": "DAYBOOK_READ_OWNER_DATABASE_URL",
        "people first-administrator": "DAYBOOK_API_DATABASE_URL",
    }
    for options, service, command, more in shown:
        assert "--rm" in options.split()
        if command:
            assert command in commands()
            name = f"{command} {more}" if command == "people" else command
            assert needed.get(name, "DATABASE_URL") in environment(service), f"{service} {name}"
            if command == "people":  # it opens what is personal
                given = re.findall(r"--env=(\w+)", options)
                assert "DAYBOOK_MASTER_KEY" in {*environment(service), *given}, f"{service} {name}"


def test_data_is_in_named_volumes() -> None:
    parsed = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for name in ("postgres", "kafka"):
        volume = services()[name]["volumes"][0].partition(":")[0]
        assert volume in parsed["volumes"]


def test_tls_can_be_switched_on_for_every_connection() -> None:
    """`deploy/tls.yml` repeats what it replaces, and has the names of files in `docs/howto/tls.md`."""
    tls = yaml.safe_load((ROOT / "deploy" / "tls.yml").read_text(encoding="utf-8"))["services"]
    assert set(tls) == {"postgres", *PROCESSES}
    command, base = tls["postgres"]["command"], services()["postgres"]["command"]
    assert command[: len(base)] == base
    assert [setting for setting in command[len(base) :] if setting != "-c"] == [
        "ssl=on",
        "ssl_cert_file=/etc/postgresql/tls/server.crt",
        "ssl_key_file=/etc/postgresql/tls/server.key",
    ]
    for name in PROCESSES:
        assert environment(name)["PGSSLMODE"] == "disable", "the mode is set as long as the server has no certificate"
        assert tls[name]["environment"] == {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/daybook/ca.crt"}
        assert tls[name]["volumes"] == ["${TLS_DIR:?}/ca.crt:/etc/daybook/ca.crt:ro"]


def test_the_image_runs_as_an_unprivileged_user() -> None:
    users = re.findall(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert users == ["10001"]
