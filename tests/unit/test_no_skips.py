"""In CI a skipped test fails, also if its whole module is skipped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SKIPS = {
    "by_mark": "import pytest\n@pytest.mark.skip(reason='because')\ndef test_it(): pass\n",
    "by_condition": "import pytest\n@pytest.mark.skipif(True, reason='because')\ndef test_it(): pass\n",
    "by_call": "import pytest\ndef test_it(): pytest.skip('because')\n",
    "by_module": "import pytest\npytest.skip('because', allow_module_level=True)\n",
    "by_import": "import pytest\npytest.importorskip('no_such_module', reason='because')\n",
}
PASSES = {
    "expected_failure": "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_it(): assert False\n",
    "plain": "def test_it(): pass\n",
}


def run(folder: Path, sources: dict[str, str], ci: str) -> subprocess.CompletedProcess[str]:
    for name, source in sources.items():
        (folder / f"test_{name}.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = ["-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_skip_fails_in_ci_with_its_reason(tmp_path: Path) -> None:
    done = run(tmp_path, SKIPS, "true")
    assert done.returncode == 1, done.stdout
    for name in SKIPS:
        assert re.search(rf"^(FAILED|ERROR) test_{name}\.py", done.stdout, re.MULTILINE), name
    assert done.stdout.count("skipped, which CI does not allow") >= len(SKIPS)
    assert done.stdout.count("because") >= len(SKIPS)


def test_a_skip_is_allowed_elsewhere(tmp_path: Path) -> None:
    done = run(tmp_path, {**SKIPS, **PASSES}, "")
    assert done.returncode == 0, done.stdout


def test_a_test_without_a_skip_passes_in_ci(tmp_path: Path) -> None:
    done = run(tmp_path, PASSES, "true")
    assert done.returncode == 0, done.stdout
