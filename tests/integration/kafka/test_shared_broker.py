"""A run of the tests shares one broker, which ends with it, also when the run is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.kafka import PREFIX, kafka_alone
from tests.support.waiting import wait_until

ROOT: Final = Path(__file__).parents[3]
TESTS: Final = """
import os, time
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(2))
def test_it(kafka, number):
    Path(f"{number}.new").write_text(f"{os.getpid()} {kafka.address}")
    Path(f"{number}.new").rename(f"{number}.address")
    while len(list(Path().glob("*.address"))) < 2 or Path("go-on").exists():
        time.sleep(0.01)
"""
"""Each test waits for the other, so they run in two processes."""


def brokers_in(folder: str) -> list[int]:
    """The processes whose command line names a folder: Java, and the keeper that started it."""
    named = re.compile(re.escape(folder.encode()) + rb"(?!\d)")  # the number of another run may begin like this one's
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found.extend([int(entry.name)] if named.search(line) else [])
    return found


@pytest.mark.parametrize("end", [None, signal.SIGKILL], ids=["ends", "killed"])
def test_the_processes_of_a_run_share_one_broker_that_ends_with_the_run(
    tmp_path: Path, end: signal.Signals | None
) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    if end is not None:
        (tmp_path / "go-on").touch()
    options = ["-q", "-p", "xdist", "-p", "tests.conftest", "-p", "no:cacheprovider", "-n", "2", "--dist", "load"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    with kafka_alone():
        run = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "pytest", *options, str(tmp_path)],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        try:
            folder = f"{PREFIX}{run.pid}"
            wait_until(lambda: len(list(tmp_path.glob("*.address"))) == 2, "two tests with a broker")
            one, another = [(tmp_path / f"{number}.address").read_text().split() for number in range(2)]
            assert one[0] != another[0], "they run in two processes"
            assert one[1] == another[1]
            if end is not None:
                assert len(brokers_in(folder)) == 2
                run.send_signal(end)
            run.wait(60)
        finally:
            run.kill()
            run.wait()
        assert end is not None or run.returncode == 0
        assert end is not None or brokers_in(folder) == [], "the run waits for the end of the broker"
        wait_until(lambda: brokers_in(folder) == [], "the end of the broker")
