"""What the broker needs from this machine: Java, Maven, and jars that are downloaded once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
import yaml

from workers.kafka import broker
from workers.kafka.broker import Broker, BrokerError, jars, new_cluster_id, version

ROOT: Final = Path(__file__).parents[4]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the only programs that are found, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\nPATH={os.defpath}\n{script}\n")
    (folder / name).chmod(0o755)


MAVEN: Final = """
echo run >> "$(dirname "$0")/runs"
for one in "$@"; do
    case $one in -DoutputDirectory=*) folder=${one#*=} ;; esac
done
mkdir -p "$folder"
touch "$folder/kafka.jar"
"""


def test_the_version_of_kafka_is_the_same_wherever_it_runs() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert services["kafka"]["image"] == f"apache/kafka:{version()}"


def test_an_id_of_a_cluster_does_not_look_like_an_option() -> None:
    """One in 64 did, and the broker could not be formatted."""
    ids = {new_cluster_id() for _ in range(2_000)}
    assert {len(one) for one in ids} == {22}
    assert not any(one.startswith("-") for one in ids)


def test_jars_are_downloaded_once_whoever_asks_first(programs: Path, tmp_path: Path) -> None:
    program(programs, "mvn", MAVEN)
    with ThreadPoolExecutor(4) as pool:
        [folder] = {one.result() for one in [pool.submit(jars) for _ in range(4)]}
    assert folder.parent == tmp_path / "cache" / "daybook"
    assert [file.name for file in folder.iterdir()] == ["kafka.jar"]
    assert (programs / "runs").read_text() == "run\n"


def test_a_download_that_fails_or_ends_halfway_leaves_no_jars(programs: Path) -> None:
    program(programs, "mvn", MAVEN + 'echo "[ERROR] no route to host"; exit 1')
    with pytest.raises(BrokerError, match=r"Maven cannot download Kafka: \[ERROR\] no route to host"):
        jars()
    program(programs, "mvn", MAVEN)
    assert [file.name for file in jars().iterdir()] == ["kafka.jar"]


def test_other_jars_are_wanted_when_the_pom_changes(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "mvn", MAVEN)
    before = jars()
    changed = tmp_path / "pom.xml"
    changed.write_text(broker.POM.read_text() + "\n")
    monkeypatch.setattr(broker, "POM", changed)
    assert jars() != before


def test_a_missing_program_is_one_sentence_that_says_what_to_install(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"^java is not installed: .*apt-get install openjdk-17-jre-headless"):
        Broker(tmp_path / "kafka", port=1).start()
    program(programs, "java", "exit 1")
    with pytest.raises(BrokerError, match=r"^mvn is not installed: .*apt-get install maven"):
        Broker(tmp_path / "kafka", port=1).start()
    assert not (tmp_path / "kafka").exists()


def test_a_java_that_is_too_old_is_one_sentence_and_leaves_no_data(programs: Path, tmp_path: Path) -> None:
    program(programs, "mvn", MAVEN)
    program(programs, "java", "echo 'Error: java.lang.UnsupportedClassVersionError: kafka/Kafka'; exit 1")
    with pytest.raises(BrokerError, match="it needs Java 17 or later"):
        Broker(tmp_path / "kafka", port=1).start()
    assert not (tmp_path / "kafka" / "data").exists()
