"""Describes the machine of a result, and measures the cost of a flush there."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import psycopg

from bench.harness.load import Sample, percentiles, thread_callers
from bench.harness.result import Machine, Measurement
from bench.harness.server import FLUSHES, Flush, Server
from bench.harness.settings import Settings

_SETTINGS = (
    "fsync synchronous_commit full_page_writes wal_sync_method shared_buffers max_wal_size data_checksums "
    "huge_pages_status".split()
)


def describe(server: Server, settings: Settings) -> Machine:
    """Describe the machine, and measure the cost of a flush."""
    load_before = os.getloadavg()[0]
    names = ",".join(_SETTINGS)
    rows = server.execute(f"SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY ('{{{names}}}')")
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        processor=_processor(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        file_system=_file_system(server.folder),
        python=_python(),
        postgres=str(server.execute("SHOW server_version")[0][0]),
        settings={str(name): str(value) for name, value in sorted(rows, key=str)},
        load_before=round(load_before, 2),
        commits=_commits(server, settings),
    )


def revision() -> str:
    """The commit that is checked out. It is marked if tracked files of the code differ from it."""
    here = Path(__file__).parent
    head = _git(here, "rev-parse", "--short=12", "HEAD")
    code = ("domain", "eventstore", "projections", "api", "workers", "migrations")
    changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", *(f":/{folder}" for folder in code))
    return f"{head} with changes" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _commits(server: Server, settings: Settings) -> list[Measurement]:
    samples: dict[Flush, list[Sample]] = {flush: [] for flush in FLUSHES}
    with server.database(migrated=False) as database, psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE flushed (id bigserial, filler text)")
        for _ in range(settings.repetitions):
            for flush in FLUSHES:
                server.flush(flush)
                samples[flush].append(
                    thread_callers(
                        lambda: connection.execute("INSERT INTO flushed (filler) VALUES ('x')", prepare=True),
                        1,
                        settings.warm_up,
                        settings.seconds / 2,
                    )
                )
    server.flush("disk")
    return [
        _measurement("8 KiB written and flushed", "disk", _disk(server.folder, settings)),
        *(_measurement("single-row commit", flush, samples[flush]) for flush in FLUSHES),
    ]


def _disk(folder: Path, settings: Settings) -> list[Sample]:
    """Measure flushes of the disk without a database. PostgreSQL flushes its log in the same way."""
    flush = getattr(os, "fdatasync", os.fsync)
    page = bytes(8192)
    with (folder / "flushed").open("wb") as file:
        number = file.fileno()

        def write() -> None:
            os.pwrite(number, page, 0)
            flush(number)

        return [thread_callers(write, 1, settings.warm_up, settings.seconds / 2) for _ in range(settings.repetitions)]


def _measurement(subject: str, flush: Flush, samples: list[Sample]) -> Measurement:
    return Measurement(
        subject,
        {"flush": flush},
        "flushes/s",
        [round(sample.rate, 1) for sample in samples],
        percentiles(sample.latencies_us for sample in samples),
    )


def _python() -> str:
    """The version of Python with its build. A build without profile-guided optimisation takes 10 to 20 % more time."""
    named = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{named}, built {platform.python_build()[1]} by {platform.python_compiler()}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    """The type of the file system of the database. A flush to memory costs nothing, so its figures prove nothing."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    above = [(len(point), kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(above)[1] if above else "unknown"
