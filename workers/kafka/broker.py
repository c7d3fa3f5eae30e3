"""A broker of Apache Kafka on this machine, for tests and for `daybook up --kafka`.

Maven copies the broker's jars into a cache once. The broker is one process of plain Java, which is its own controller
(KRaft). It is for one machine; a cluster in production is run by other means (docs/growth.md).

    with Broker(Path("var/kafka"), port=9092) as broker:
        KafkaProducer(bootstrap_servers=broker.address)
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from workers.embedded import stop_with_parent

HERE: Final = Path(__file__).parent
POM: Final = HERE / "pom.xml"
_VERSION: Final = re.compile(r"<artifactId>kafka_[0-9.]+</artifactId>\s*<version>([0-9.]+)</version>")
START_SECONDS: Final = 120.0
"""A broker that was killed recovers first: 13 seconds with 1.4 GB of log."""
STOP_SECONDS: Final = 30.0
JARS_SECONDS: Final = 600.0
"""Maven downloads 44 MB."""
_JAVA: Final = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOG_LIMIT_BYTES: Final = 16 * 1024 * 1024

# Of a cluster with one broker. With the defaults, which want three, transactions and groups wait for ever.
_ALONE: Final = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    # A broker that was killed is let in again after this time.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


class BrokerError(RuntimeError):
    """The broker cannot run. The message says why and what to do."""


class Broker:
    """One broker on one data folder, which is formatted at the first start and kept between runs.

    It listens on 127.0.0.1 without encryption. Start it from a thread that lives as long as the broker: Linux stops the
    broker when the thread that started it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int,
        controller_port: int | None = None,
        advertised: Mapping[str, int] | None = None,
        properties: Mapping[str, str] | None = None,
        node_id: int = 1,
        voters: Sequence[tuple[int, int]] = (),
        cluster_id: str | None = None,
    ) -> None:
        """`advertised` has more listeners by name: clients of one are sent to its port, where a proxy may listen.

        `voters` are (node id, controller port) of all brokers of a cluster; without it this one is alone. `properties`
        override those of the broker.
        """
        self.data_dir = data_dir.absolute()
        self.port = port
        self.listeners = {name: free_port() for name in advertised or {}}
        self._advertised = dict(advertised or {})
        self._controller_port = controller_port or free_port()
        self._voters = list(voters) or [(node_id, self._controller_port)]
        self._node_id = node_id
        self._properties = dict(properties or {})
        self._cluster_id = cluster_id
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id of the running broker, None if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def poll(self) -> int | None:
        """The exit status of a broker that has ended by itself, else None."""
        return None if self._process is None else self._process.poll()

    @property
    def log_file(self) -> Path:
        """The file of the broker's messages."""
        return self.data_dir / "broker.log"

    def start(self, *, wait: bool = True) -> None:
        """Start the broker, and with `wait` return once it answers. Raises `BrokerError` with the reason."""
        if self.pid is not None:
            return
        java, libs = java_program(), jars()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        config = self.data_dir / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in self._configuration().items()))
        command = [java, *_JAVA, f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}", "-cp", f"{libs}/*"]
        if not (self.data_dir / "data" / "meta.properties").exists():
            self._format(command, config)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "kafka.Kafka", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=stop_with_parent(signal.SIGKILL),
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return once the broker answers. Raises `BrokerError`."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            status = self.poll()
            if status is not None:
                raise BrokerError(f"the Kafka broker ended with code {status}: {self._last_messages()}")
            if self._answers():
                return
            time.sleep(0.1)
        raise BrokerError(f"the Kafka broker did not answer within {START_SECONDS:g} s: {self._last_messages()}")

    def stop(self) -> None:
        """Stop the broker, if it runs: it gives up its role and closes its files."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the broker at once, as a crash does."""
        assert self._process is not None, "it was started"
        self._process.kill()
        self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _configuration(self) -> dict[str, str]:
        plain = {"PLAINTEXT": self.port, **self.listeners}
        listeners = [f"{name}://127.0.0.1:{port}" for name, port in plain.items()]
        clients = {"PLAINTEXT": self.port, **self._advertised}
        return {
            "process.roles": "broker,controller",
            "node.id": str(self._node_id),
            "controller.quorum.voters": ",".join(f"{node}@127.0.0.1:{port}" for node, port in self._voters),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{self._controller_port}"]),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in clients.items()),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in [*plain, "CONTROLLER"]),
            "log.dirs": str(self.data_dir / "data"),
            **_ALONE,
            **self._properties,
        }

    def _format(self, java: list[str], config: Path) -> None:
        cluster = self._cluster_id or new_cluster_id()
        done = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerError(f"the data folder of Kafka cannot be made: {done.stderr.decode(errors='replace')[-500:]}")

    def _answers(self) -> bool:
        try:
            client = KafkaAdminClient(
                bootstrap_servers=[self.address], request_timeout_ms=2_000, bootstrap_timeout_ms=500
            )
        except (KafkaError, OSError):
            return False
        try:
            return bool(client.describe_cluster()["brokers"])
        except (KafkaError, OSError):
            return False
        finally:
            client.close()

    def _last_messages(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        return " | ".join(line for line in lines[-3:]) or "it said nothing"


def new_cluster_id() -> str:
    """An id for a new cluster: 22 characters of base64. Kafka's tools take one that begins with `-` for an option."""
    return "d" + urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")[1:]


def version() -> str:
    """The version of Kafka that is started: that of the POM."""
    found = _VERSION.search(POM.read_text())
    assert found is not None, f"{POM} names no version of Kafka"
    return found[1]


def java_program() -> str:
    """The path of Java. Raises `BrokerError` where it is missing."""
    return _program("java", "Kafka needs Java 17 or later (on Debian: apt-get install openjdk-17-jre-headless)")


def _program(name: str, sentence: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BrokerError(f"{name} is not installed: {sentence}")
    return found


def jars() -> Path:
    """The folder of the broker's jars. The first call on a machine has Maven download them. Raises `BrokerError`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daybook"
    folder = cache / f"kafka-{version()}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "kafka.lock"):
        if not folder.exists():
            _download(folder)
    return folder


def _download(folder: Path) -> None:
    maven = _program("mvn", "Maven downloads Kafka (on Debian: apt-get install maven)")
    unfinished = Path(tempfile.mkdtemp(prefix="kafka-", dir=folder.parent))
    try:
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}"]
        done = subprocess.run(
            [maven, "-q", "-B", "-f", str(POM), *goal],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=JARS_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerError(f"Maven cannot download Kafka: {done.stdout.decode(errors='replace')[-500:]}")
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
