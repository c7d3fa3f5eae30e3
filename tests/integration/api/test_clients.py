"""Clients generated from the description of the running service drive the main flows against it.

The commands and examples are those of `docs/howto/generate-a-client.md`. The flows are in `tests/clients`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.integration.workers.running import PATIENCE_SECONDS
from tests.support.service import TOKENS, Service

ROOT: Final = Path(__file__).parents[3]
CLIENTS: Final = ROOT / "tests" / "clients"
HOWTO: Final = ROOT / "docs" / "howto" / "generate-a-client.md"
ADDRESS: Final = "http://127.0.0.1:8100"
"""The address of the service in the page."""
SHOWN: Final = re.compile(r"(CHK\d{12}) 0\.00 EUR")
"""The output of the examples: the account that they opened."""


def blocks(language: str, url: str) -> list[str]:
    """The code of the page in this language, for the service at this URL."""
    page = HOWTO.read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [code.replace(ADDRESS, url) for code in found]


def run(command: list[str], here: Path, tools: Path) -> str:
    """The output of a program. Programs in the folder `tools` come first."""
    environment = {
        "PATH": os.pathsep.join([str(tools), os.environ["PATH"]]),
        "DAYBOOK_TOKEN": TOKENS["command"],
        "PYTHONPATH": str(here),
        "HOME": str(here),
    }
    program = shutil.which(command[0], path=environment["PATH"])
    assert program is not None, f"{command[0]} is not installed"
    done = subprocess.run(
        [program, *command[1:]], cwd=here, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_a_generated_python_client_drives_the_main_flows(service18: Service, tmp_path: Path) -> None:
    tools = CLIENTS / ".venv" / "bin"
    if not tools.is_dir():
        pytest.skip("the Python client: `make clients` has not been run")
    url = str(service18.http.base_url).rstrip("/")
    generate = next(code for code in blocks("sh", url) if code.startswith("openapi-python-client"))
    (settings,) = blocks("yaml", url)
    (example,) = blocks("python", url)
    # The program waits for the description of the API for 5 seconds, which a busy machine may need to make it.
    (tmp_path / "client.yml").write_text(f"{settings}http_timeout: {PATIENCE_SECONDS:.0f}\n", encoding="utf-8")

    warnings = run(shlex.split(generate), tmp_path, tools)
    assert "arning" not in warnings, warnings

    assert SHOWN.fullmatch(run(["python", "-c", example], tmp_path, tools).strip())
    assert run(["python", str(CLIENTS / "flows.py"), url, TOKENS["command"]], tmp_path, tools) == "done\n"


def test_a_generated_typescript_client_drives_the_main_flows(service18: Service, tmp_path: Path) -> None:
    modules = CLIENTS / "node_modules"
    if shutil.which("node") is None or not modules.is_dir():
        pytest.skip("the TypeScript client: Node is not installed, or `make clients` has not been run")
    url = str(service18.http.base_url).rstrip("/")
    tools = modules / ".bin"
    generate = next(code for code in blocks("sh", url) if code.startswith("npx openapi-typescript"))
    (example,) = blocks("ts", url)
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "howto.ts").write_text(example, encoding="utf-8")
    for name in ("package.json", "tsconfig.json", "flows.ts"):
        shutil.copy(CLIENTS / name, tmp_path)

    run(shlex.split(generate)[1:], tmp_path, tools)
    run(["tsc"], tmp_path, tools)  # checks the types, and writes nothing if they do not match

    assert SHOWN.fullmatch(run(["node", "build/howto.js"], tmp_path, tools).strip())
    assert run(["node", "build/flows.js", url, TOKENS["command"]], tmp_path, tools) == "done\n"
