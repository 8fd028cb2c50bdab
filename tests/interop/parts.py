"""Independent programs that these tests need: skipped by name where they are missing, demanded in CI."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
OWN = ROOT / ".interop"
"""What `install.sh` unpacks instead of installing it."""
INSTALL = "tests/interop/install.sh"
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
NO_ADDRESS = {"0" * 8, "0" * 32}
"""What a socket is connected to that only listens."""


def lack(what: str, how: str = INSTALL) -> NoReturn:
    """Skip, or fail where EDGEKIT_INTEROP=required: `make test-interop` and CI have everything.

    Args:
        what: What is missing.
        how: How to get it.
    """
    if os.environ.get("EDGEKIT_INTEROP") == "required":
        pytest.fail(f"needs {what}, and EDGEKIT_INTEROP=required: {how}")
    pytest.skip(f"needs {what}: {how}")


def program(name: str) -> Path:
    """Full path of a program: "docker-registry", "skopeo", "softhsm2-util", "pkcs11-tool", "node"."""
    unpacked = OWN / "registry" / "usr" / "bin" / name
    if unpacked.is_file():
        return unpacked
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return Path(found) if found else lack(name)


def stock_python() -> Path:
    """Interpreter of the environment that has model-signing and oras, and nothing of edgekit."""
    found = ROOT / ".venv-interop" / "bin" / "python"
    return found if found.is_file() else lack("the environment .venv-interop")


def stock_program(name: str) -> Path:
    """A program of that environment: "model_signing"."""
    found = stock_python().parent / name
    return found if found.is_file() else lack(name)


def node_modules() -> Path:
    """Folder with the npm package tuf-js, to name in NODE_PATH."""
    found = OWN / "node" / "node_modules"
    return found if (found / "tuf-js").is_dir() else lack("the npm package tuf-js")


def ipfs_car() -> tuple[str, str]:
    """The npm program ipfs-car, as the first words of a command."""
    script = OWN / "ipfs-car" / "node_modules" / "ipfs-car" / "bin.js"
    if not script.is_file():
        lack("the npm package ipfs-car")
    return str(program("node")), str(script)


def webtorrent() -> Path:
    """Folder with the npm package webtorrent, to name in NODE_PATH."""
    found = OWN / "webtorrent" / "node_modules"
    return found if (found / "webtorrent").is_dir() else lack("the npm package webtorrent")


def go_folder() -> Path:
    """Debian's GOPATH, which has golang.org/x/mod; for `go build` with GO111MODULE=off."""
    program("go")
    found = Path("/usr/share/gocode")
    return found if (found / "src/golang.org/x/mod/sumdb/tlog").is_dir() else lack("golang-golang-x-mod-dev")


def softhsm_library() -> Path:
    """The PKCS#11 library of softhsm2."""
    places = sorted(Path("/usr/lib").glob("**/softhsm/libsofthsm2.so"))
    return places[0] if places else lack("softhsm2")


def free_port() -> int:
    """A port of the loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def sockets_of(pid: int) -> tuple[set[str], set[str]]:
    """Addresses that a process's sockets are bound to, and those that they are connected to, as the kernel writes
    them; see LOOPBACK and NO_ADDRESS."""
    inodes = set()
    for place in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes |= set(re.findall(r"socket:\[(\d+)\]", str(place.readlink())))
        except FileNotFoundError:
            continue
    here, there = set(), set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                here.add(fields[1].partition(":")[0])
                there.add(fields[2].partition(":")[0])
    return here, there
