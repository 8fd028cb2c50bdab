"""Keys that the tests of this folder share: making them is quick, and each is another one every time."""

from __future__ import annotations

import pytest

from edgekit.seal.keys import MemoryKey, generate


@pytest.fixture(scope="session")
def publisher() -> MemoryKey:
    """A P-256 key."""
    return generate("p256")


@pytest.fixture(scope="session")
def stranger() -> MemoryKey:
    """Another one."""
    return generate("p256")


@pytest.fixture(scope="session")
def node() -> MemoryKey:
    """An ed25519 key."""
    return generate("ed25519")
