"""Executes `docs/howto/tls.md`: a certificate is made as described, and connections check it."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.integration.workers.running import KEY, daybook, environment
from tests.support.postgres import FAST, SMALL, bin_dir, server_folder
from workers.embedded import SYSTEM_USER, EmbeddedPostgres
from workers.ports import free_port

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "tls.md"


@dataclass(frozen=True)
class Secured:
    """A server with a certificate for `localhost`."""

    url: str
    authority: Path


def make_certificate(folder: Path) -> None:
    """Run the commands of the page in this folder."""
    (script,) = re.findall(r"```sh\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.DOTALL)
    subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "SERVER": "localhost"},
        capture_output=True,
        check=True,
    )


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    with server_folder() as folder:
        make_certificate(folder)
        tls = folder / "tls"
        if os.geteuid() == 0:
            os.chown(tls / "server.key", pwd.getpwnam(SYSTEM_USER).pw_uid, -1)
        # The embedded server is built without TLS.
        settings = {"ssl": "on", "ssl_cert_file": str(tls / "server.crt"), "ssl_key_file": str(tls / "server.key")}
        with EmbeddedPostgres(
            folder / "postgres", port=free_port(), bin_dir=bin_dir(15), settings={**SMALL, **FAST, **settings}
        ) as server:
            yield Secured(server.tcp_url.replace("@127.0.0.1:", "@localhost:"), tls / "ca.crt")


def migrate(url: str, **more: str) -> subprocess.CompletedProcess[str]:
    return daybook("migrate", env=environment(DATABASE_URL=url, DAYBOOK_MASTER_KEY=KEY) | more)


def test_a_server_with_a_certificate_of_the_authority_is_used(secured: Secured) -> None:
    url = f"{secured.url}?sslmode=verify-full&sslrootcert={secured.authority}"
    done = migrate(url)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert row == (True,)
    variables = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(secured.authority)}
    assert migrate(secured.url, **variables).returncode == 0, "as in the compose file"


def test_a_server_with_another_certificate_is_refused(secured: Secured, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    url = f"{secured.url}?sslmode=verify-full&sslrootcert={tmp_path / 'tls' / 'ca.crt'}"
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(url)
    done = daybook("restored", env=environment(DATABASE_URL=url, DAYBOOK_MASTER_KEY=KEY))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_server_under_another_name_is_refused(secured: Secured) -> None:
    url = f"{secured.url.replace('@localhost:', '@127.0.0.1:')}?sslmode=verify-full&sslrootcert={secured.authority}"
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        psycopg.connect(url)
