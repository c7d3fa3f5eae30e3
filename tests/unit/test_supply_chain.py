"""Only pinned packages are installed: exact versions with hashes, also of build tools and images."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parents[2]
LOCK, IMAGE_LOCK, CLIENTS_LOCK = "requirements.lock", "requirements-image.lock", "tests/clients/requirements.lock"
HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def locked(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """Each package of a lock file with its requirement and its hashes."""
    lines = [line for line in text(name).splitlines() if line and not line.startswith("#")]
    found: dict[str, tuple[Requirement, list[str]]] = {}
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+(?=--hash)", line.strip())
        made = Requirement(requirement)
        assert all(HASH.fullmatch(one) for one in hashes), line
        found[canonicalize_name(made.name)] = (made, hashes)
    return found


def exact(name: str) -> dict[str, tuple[str, list[str]]]:
    """Each package of a lock file with its version and its hashes. The platform may differ: tools need some on all."""
    return {package: (str(found.specifier), hashes) for package, (found, hashes) in locked(name).items()}


def wanted(*extras: str) -> list[Requirement]:
    described = project()["project"]
    optional = [one for extra in extras for one in described["optional-dependencies"][extra]]
    return [Requirement(one) for one in (*described["dependencies"], *optional)]


@pytest.mark.parametrize("name", [LOCK, IMAGE_LOCK, CLIENTS_LOCK])
def test_every_package_has_one_exact_version_and_hashes(name: str) -> None:
    for package, (requirement, hashes) in locked(name).items():
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), package
        assert hashes, package
    assert "://" not in text(name), "the file names no index"


@pytest.mark.parametrize(("name", "extras"), [(LOCK, ("build", "dev")), (IMAGE_LOCK, ("build",))])
def test_every_requirement_of_the_project_is_locked(name: str, extras: tuple[str, ...]) -> None:
    chosen = locked(name)
    for requirement in wanted(*extras):
        found, _ = chosen[canonicalize_name(requirement.name)]
        (exact,) = found.specifier
        assert requirement.specifier.contains(exact.version), f"{requirement} is locked as {found}: run `make lock`"
    for requirement in map(Requirement, project()["build-system"]["requires"]):
        assert canonicalize_name(requirement.name) in chosen, "build tools are locked too"


def test_the_image_has_the_tested_versions_and_no_development_tools() -> None:
    tested, image = exact(LOCK), exact(IMAGE_LOCK)
    assert {name: tested[name] for name in image} == image
    tools = {canonicalize_name(Requirement(one).name) for one in project()["project"]["optional-dependencies"]["dev"]}
    assert tools & image.keys() == {"packaging"}, "limits needs it too"


def test_the_generators_of_clients_are_locked() -> None:
    chosen = locked(CLIENTS_LOCK)
    for requirement in map(Requirement, project()["dependency-groups"]["clients"]):
        (exact,) = chosen[canonicalize_name(requirement.name)][0].specifier
        assert requirement.specifier.contains(exact.version), f"{requirement}: run `make lock`"

    asked, packages = (json.loads(text(f"tests/clients/{name}")) for name in ("package.json", "package-lock.json"))
    installed = {name: one for name, one in packages["packages"].items() if name}
    for name, version in (asked["dependencies"] | asked["devDependencies"]).items():
        assert installed[f"node_modules/{name}"]["version"] == version
    assert all(one["integrity"].startswith("sha512-") for one in installed.values())
    assert "://" not in "".join(one.get("resolved", "") for one in installed.values()), "the file names no registry"

    recipe = text("Makefile")
    assert "pip sync --python $(CLIENTS)/.venv --require-hashes $(CLIENTS)/requirements.lock" in recipe
    assert "npm ci --prefix $(CLIENTS) --ignore-scripts" in recipe


@pytest.mark.parametrize(("name", "lock"), [("Makefile", LOCK), ("Dockerfile", IMAGE_LOCK)])
def test_only_locked_packages_are_installed(name: str, lock: str) -> None:
    lines = [line for line in text(name).splitlines() if re.search(r"pip install|\$\(PIP_INSTALL\)", line)]
    installs = [line for line in lines if not line.startswith("PIP_INSTALL :=")]
    dependencies, tools = installs
    assert dependencies.endswith(f"--require-hashes -r {lock}")
    assert "--no-deps --no-build-isolation" in tools
    assert not any("--upgrade" in line for line in lines)


def test_images_have_exact_versions() -> None:
    services = yaml.safe_load(text("docker-compose.yml"))["services"]
    bases = re.findall(r"^FROM (\S+)", text("Dockerfile"), re.MULTILINE)
    images = [*bases, *(one["image"] for one in services.values() if one["image"] != "daybook")]
    assert len(bases) == 2
    assert bases[0] == bases[1]
    exact = {"python": r"3\.\d+\.\d+-slim-bookworm", "postgres": r"\d+\.\d+", "apache/kafka": r"\d+\.\d+\.\d+"}
    for image in images:
        name, _, tag = image.partition(":")
        assert re.fullmatch(exact[name], tag), image
    (python,) = re.findall(r"python:([\d.]+)", bases[0])
    assert SpecifierSet(project()["project"]["requires-python"]).contains(Version(python))
