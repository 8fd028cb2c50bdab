"""A registry, a signed bundle of three platforms, and the same bundle in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgekit.publish.registry import Pushed, push_bundle
from edgekit.seal.keys import generate
from tests.bundle.building import Built, build
from tests.interop.registry_server import running_registry


@dataclass(frozen=True)
class InRegistry:
    """A bundle, and where it is: HOST:PORT, the repository, what push_bundle said."""

    built: Built
    host: str
    repository: str
    pushed: Pushed

    @property
    def url(self) -> str:
        return f"oci://{self.host}/{self.repository}"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a docker-registry 2.8, which has no referrers API."""
    with running_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="session")
def three_platforms(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A bundle for linux/amd64, linux/arm64 and linux/arm/v7; nobody may change it."""
    folder: Path = tmp_path_factory.mktemp("three")
    return build(folder, generate("p256"), variants=3, sizes=(3000, 2_500_000, 70_000), semver="1.2.0+lab.1")


@pytest.fixture(scope="session")
def pushed(registry: str, three_platforms: Built) -> InRegistry:
    """That bundle, pushed."""
    repository = "lab/net"
    found = push_bundle(three_platforms.path, f"oci://{registry}/{repository}")
    return InRegistry(three_platforms, registry, repository, found)
