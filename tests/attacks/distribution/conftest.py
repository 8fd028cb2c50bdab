"""`realm`: a channel, a node that runs version 2 of its model, and all keys, for one test to do anything to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attacks.distribution.realm import Keys, Realm, copy_realm, make_realm


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """In memory where that can be had: a disk would be waited for at every fsync."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def first_realm() -> Iterator[Realm]:
    """What every test begins from; nobody changes it."""
    with folder_in_memory() as folder:
        yield make_realm(folder / "realm", Keys())


@pytest.fixture
def realm(first_realm: Realm) -> Iterator[Realm]:
    with folder_in_memory() as folder:
        yield copy_realm(first_realm, folder / "realm")
