"""Programs of IPFS by other people, of npm: a gateway made with web3.storage's library of gateways, and Helia.

They are run in the folder of their packages, where JavaScript looks for them; the programs themselves lie in `ipfs_js`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.parts import OWN, lack, program

_PROGRAMS = Path(__file__).with_name("ipfs_js")
_FOLDER = OWN / "ipfs-js"
LONGEST_S = 60.0


@dataclass(frozen=True)
class Cut:
    """How a file is cut into blocks.

    Attributes:
        name: What tests call it.
        options: For ipfs-unixfs-importer; with `chunk`, bytes, `children`, links of a node at most, and `layout`.
    """

    name: str
    options: dict[str, object]

    def __str__(self) -> str:
        return self.name


def helia(command: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Helia; see `ipfs_js/helia.mjs`."""
    return subprocess.run(
        _words("helia", command, *words),
        cwd=_FOLDER,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        stdin=subprocess.DEVNULL,
    )


def cut(path: Path, car: Path, how: Cut) -> str:
    """The CID that a file has if it is cut in some way; its blocks go into a CAR."""
    done = helia("add", path, car, json.dumps(how.options))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def gateway_of(*cars: Path) -> Iterator[str]:
    """URL of a gateway that has what is in some CARs, as long as the block lasts."""
    process = subprocess.Popen(
        _words("gateway", *cars),
        cwd=_FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        port = process.stdout.readline().strip()
        assert port, "the gateway ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _words(name: str, *words: str | Path) -> list[str]:
    if not (_FOLDER / ".installed").is_file():
        lack("the npm packages of tests/interop/ipfs_js")
    text = (_PROGRAMS / f"{name}.mjs").read_text()
    return [str(program("node")), "--input-type=module", "--eval", text, "--", *map(str, words)]
