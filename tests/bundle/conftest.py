"""A publisher's key, and a valid bundle that no test may change."""

from __future__ import annotations

import pytest

from edgekit.seal.keys import PrivateKey, generate
from tests.bundle.building import Built, build


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return generate("p256")


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Built:
    return build(tmp_path_factory.mktemp("valid"), key, variants=3, sizes=(3000, 2_500_000))
