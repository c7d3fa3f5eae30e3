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
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from workers.embedded import stop_with_parent
from workers.ports import free_port

HERE: Final = Path(__file__).parent
POM: Final = HERE / "pom.xml"
_VERSION: Final = re.compile(r"<artifactId>kafka_[0-9.]+</artifactId>\s*<version>([0-9.]+)</version>")
START_SECONDS: Final = 120.0
"""A broker that was killed recovers first: 13 seconds with 1.4 GB of log."""
STOP_SECONDS: Final = 30.0
JARS_SECONDS: Final = 600.0
"""Maven downloads 44 MB."""
POLL_SECONDS: Final = 0.05
ANSWER_MS: Final = 2_000
"""A broker that answers no sooner is asked again."""
_JAVA: Final = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_REASON: Final = re.compile(r"^(?:Caused by: |Exception in thread \S+ )?[a-z]+(?:\.\w+)+(?:Exception|Error): (.+)$")
_TOO_OLD: Final = "UnsupportedClassVersionError"
LOG_LIMIT_BYTES: Final = 16 * 1024 * 1024

ALONE: Final = {
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
}
"""Properties of a cluster with one broker. The defaults want three: transactions and groups would wait for ever."""
_SMALL: Final = {
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
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
        self._messages_from = 0
        self._started_at = 0.0
        self._holding: TextIO | None = None

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
        self._hold_data_dir()
        try:
            self._launch([java, *_JAVA, f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}", "-cp", f"{libs}/*"])
            if wait:
                self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self) -> None:
        """Return once the broker answers. Raises `BrokerError`, and then the broker is stopped."""
        while not self.ready():
            time.sleep(POLL_SECONDS)

    def ready(self) -> bool:
        """Whether it answers. Raises `BrokerError`, and stops it, once it has ended or had `START_SECONDS`."""
        if self._answers():
            return True
        status = self.poll()
        if status is not None or time.monotonic() > self._started_at + START_SECONDS:
            reason = self._reason()
            self.stop()
            what = f"did not answer within {START_SECONDS:.0f} s" if status is None else "did not start"
            raise BrokerError(f"Kafka {what} on {self.data_dir}: {reason} (its log: {self.log_file})")
        return False

    def stop(self) -> None:
        """Stop the broker, if it runs: it gives up its role and closes its files."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._release_data_dir()

    def kill(self) -> None:
        """End the broker at once, as a crash does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self._release_data_dir()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def _data(self) -> Path:
        return self.data_dir / "data"

    @property
    def _meta_file(self) -> Path:
        return self._data / "meta.properties"

    def _hold_data_dir(self) -> None:
        """Keep others off the data folder, as long as this broker is not stopped."""
        if self._holding is not None:
            return
        self.data_dir.mkdir(parents=True, exist_ok=True)
        holding = (self.data_dir / "in-use").open("w")
        try:
            fcntl.flock(holding, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holding.close()
            raise BrokerError(
                f"another Kafka is running on {self.data_dir}: stop the Daybook that uses it, or name another folder"
            ) from None
        self._holding = holding

    def _release_data_dir(self) -> None:
        if self._holding is not None:
            self._holding.close()
            self._holding = None

    def _launch(self, command: list[str]) -> None:
        """Start the process, after the data folder was formatted if need be."""
        if not self._meta_file.exists():
            self._format(command)
        config = self._write_configuration("server.properties", self._data)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.old"))
        with self.log_file.open("ab") as log:
            self._messages_from = log.tell()
            self._started_at = time.monotonic()
            self._process = subprocess.Popen(
                [*command, "kafka.Kafka", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal must not reach the broker, which is stopped last
                # By force, so that it is gone when the next one starts. It recovers then.
                preexec_fn=stop_with_parent(signal.SIGKILL),
            )

    def _write_configuration(self, name: str, data: Path) -> Path:
        file = self.data_dir / name
        file.write_text("".join(f"{name}={value}\n" for name, value in self._configuration(data).items()))
        return file

    def _configuration(self, data: Path) -> dict[str, str]:
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
            "log.dirs": str(data),
            **ALONE,
            **_SMALL,
            **self._properties,
        }

    def _format(self, java: list[str]) -> None:
        """Format a folder beside the data and rename it, so that a data folder is always complete."""
        unfinished = self.data_dir / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        config = self._write_configuration("format.properties", unfinished)
        cluster = self._cluster_id or new_cluster_id()
        done = _run([*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)], START_SECONDS)
        if done.returncode != 0:
            raise BrokerError(f"Kafka could not create its data in {self.data_dir}: {_reason(done.stdout)}")
        unfinished.rename(self._data)
        config.unlink()

    def _answers(self) -> bool:
        """Whether this broker answers, and not another that listens on its port."""
        try:
            # kafka-python does not close the socket of a connection that was refused.
            socket.create_connection(("127.0.0.1", self.port), ANSWER_MS / 1000).close()
            client = KafkaAdminClient(
                bootstrap_servers=[self.address], request_timeout_ms=ANSWER_MS, bootstrap_timeout_ms=500
            )
        except (KafkaError, OSError):
            return False
        try:
            cluster = client.describe_cluster()
        except (KafkaError, OSError):
            return False
        finally:
            client.close()
        return f"cluster.id={cluster['cluster_id']}" in self._meta_file.read_text().splitlines() and any(
            broker["broker_id"] == self._node_id for broker in cluster["brokers"]
        )

    def _reason(self) -> str:
        with self.log_file.open("rb") as log:
            log.seek(self._messages_from)
            return _reason(log.read().decode(errors="replace"))


def new_cluster_id() -> str:
    """An id for a new cluster: 22 characters of base64. Kafka's tools take one that begins with `-` for an option."""
    return "d" + urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")[1:]


def version() -> str:
    """The version of Kafka that is started: that of the POM."""
    found = _VERSION.search(POM.read_text())
    assert found is not None, f"{POM} names no version of Kafka"
    return found[1]


def _reason(messages: str) -> str:
    """The cause that the messages of a Java program name last."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    if _TOO_OLD in messages:
        return "it needs Java 17 or later, and this Java is older (on Debian: apt-get install openjdk-17-jre-headless)"
    causes = [found[1] for line in lines if (found := _REASON.match(line))]
    return [*lines[-1:], *causes][-1] if lines else "it said nothing"


def java_program() -> str:
    """The path of Java. Raises `BrokerError` where it is missing."""
    return _program("java", "Kafka needs Java 17 or later (on Debian: apt-get install openjdk-17-jre-headless)")


def _program(name: str, sentence: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BrokerError(f"{name} is not installed: {sentence}")
    return found


def _jars_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daybook"
    asked_for = sha256(POM.read_bytes()).hexdigest()[:8]
    return cache / f"kafka-{version()}-{asked_for}"


def jars_are_here() -> bool:
    """Whether `jars` need not download anything."""
    return _jars_folder().exists()


def jars() -> Path:
    """The folder of the broker's jars. The first call on a machine has Maven download them. Raises `BrokerError`."""
    folder = _jars_folder()
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _download(folder)
    return folder


def _download(folder: Path) -> None:
    """Have Maven copy the jars into a folder beside, and rename it, so that a folder of jars is always complete."""
    maven = _program("mvn", "Maven downloads Kafka once (on Debian: apt-get install maven)")
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}"]
    try:
        done = _run([maven, "-q", "-B", "-f", str(POM), *goal], JARS_SECONDS)
    except subprocess.TimeoutExpired:
        raise BrokerError(f"Maven did not download Kafka within {JARS_SECONDS:.0f} s: try again") from None
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise BrokerError(f"Maven cannot download Kafka: {' '.join(errors[:1]) or _reason(done.stdout)}")
    unfinished.rename(folder)


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Its messages are in `stdout`."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        preexec_fn=stop_with_parent(signal.SIGKILL),
    )


if __name__ == "__main__":  # for `make servers`
    try:
        jars()
    except BrokerError as error:
        sys.exit(str(error))
