"""A real pgbouncer in front of the database of a test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support.postgres import Database, server_folder
from tests.support.waiting import wait_until
from workers.embedded import SYSTEM_USER

PORT = 6432  # names the socket file


@contextmanager
def pgbouncer(database: Database, mode: Literal["session", "transaction"], *, drops: str = "") -> Iterator[str]:
    """The URL of the database through a pooler in this mode, which ignores the startup parameters in `drops`."""
    target = conninfo_to_dict(database.url)
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "make servers installs pgbouncer"
    with server_folder() as folder:
        (folder / "users.txt").write_text(f'"{target["user"]}" ""\n')
        ini = folder / "pgbouncer.ini"
        ini.write_text(
            f"[databases]\n* = host={target['host']} port={target['port']} user={target['user']}\n[pgbouncer]\n"
            f"listen_addr =\nlisten_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = trust\n"
            f"auth_file = {folder / 'users.txt'}\npool_mode = {mode}\nignore_startup_parameters = {drops}\n"
            f"logfile = {folder / 'pgbouncer.log'}\n"
        )
        user = None if os.geteuid() != 0 else SYSTEM_USER  # pgbouncer refuses to run as root
        if user is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, pwd.getpwnam(user).pw_uid)
        url = f"postgresql://{target['user']}@/{target['dbname']}?host={folder}&port={PORT}"
        with subprocess.Popen([program, "-q", str(ini)], user=user, cwd=folder) as process:
            try:
                wait_until(lambda: _answers(folder, url), "pgbouncer")
                yield url
            finally:
                process.terminate()


def _answers(folder: Path, url: str) -> bool:
    if not (folder / f".s.PGSQL.{PORT}").exists():
        return False
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
