"""Parts of a system that these tests need: skipped by name where they are missing, demanded in CI."""

from __future__ import annotations

import os
import shutil
import socket
from typing import NoReturn

import pytest


def lack(what: str) -> NoReturn:
    """Skip, or fail where EDGEKIT_DEVICES=required: `make test-devices` and CI have everything."""
    if os.environ.get("EDGEKIT_DEVICES") == "required":
        pytest.fail(f"needs {what}, and EDGEKIT_DEVICES=required")
    pytest.skip(f"needs {what}")


def find_program(name: str, package: str) -> str:
    """Full path of a program."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return found or lack(f"{name}: apt install {package}")


def free_port() -> int:
    """A port of the loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
