"""What an update costs a node over the wire, with deltas and without, and what applying them costs it.

    python -m benchmarks.delta_update [FOLDER]

The releases are those of `benchmarks.delta_pairs`, made in FOLDER where they are not there yet. Each is packed, and
published after its predecessor, once as usual and once with `--no-deltas`; a node that runs the predecessor updates.
Counted is what goes through the sockets of a server on the loopback, requests, headers and metadata included. Seconds
and memory are of the process that applies the delta, from the start of Python to its end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import delta_pairs, table
from benchmarks.node_update import Commands, serve
from edgekit.delta.applying import PROGRAM_BYTES
from edgekit.delta.applying_child import WORDS
from edgekit.delta.index import Delta, read_index
from edgekit.runtime.own_python import PACKAGE_PLACE
from edgekit.units import size

MODEL = "photos/net"
BASES = {name: "resnet20" if name.startswith("resnet20") else "lite0" for name in delta_pairs.RELEASES}
HEADER = ("release", "whole, B", "with deltas, B", "share", "codec", "delta, B", "s", "peak memory")
_MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(json.dumps([done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]))
"""


@dataclass
class Desk:
    """Keys and bundles in a folder.

    Attributes:
        edgekit: Runs commands there.
        folder: It.
    """

    edgekit: Commands
    folder: Path

    def keys(self) -> None:
        """Make all keys."""
        kinds = {"publisher": "p256", "root": "ed25519", "targets": "ed25519", "photos": "ed25519", "online": "ed25519"}
        for name, kind in kinds.items():
            self.edgekit.cpu_seconds("keys", "new", name, "--type", kind, "--no-passphrase")

    def pack(self, files: Path, version: int) -> str:
        """Pack a release; the name of the bundle."""
        bundle = f"{files.name}.edgekit"
        words = ["pack", str(files), "--key", "publisher.key", "-o", bundle, "--name", MODEL]
        self.edgekit.cpu_seconds(*words, "--version", str(version), "--force")
        return bundle

    def channel(self, name: str) -> Path:
        """A new channel."""
        self.edgekit.cpu_seconds(
            "channel", "init", name, "--root-key", "root.key", "--targets-key", "targets.key",
            "--family", "photos=photos.key", "--online-key", "online.key",
        )  # fmt: skip
        return self.folder / name

    def publish(self, bundle: str, channel: Path, *more: str) -> None:
        """Publish a bundle there."""
        self.edgekit.cpu_seconds(
            "publish", bundle, "--to", channel.name, "--key", "photos.key", "--online-key", "online.key",
            "--signer", "publisher.pub", *more,
        )  # fmt: skip

    def update(self, base: str, bundle: str, name: str, *more: str) -> tuple[int, Path, Path]:
        """Bytes of the update of a node from `base` to `bundle`; its folder, and the channel's."""
        channel, node = self.channel(f"channel-{name}"), f"node-{name}"
        self.publish(base, channel)
        with serve(channel) as (url, traffic):
            root = str(channel / "metadata" / "1.root.json")
            self.edgekit.cpu_seconds(
                "node", "init", node, "--channel", url, "--trust", root, "--model", MODEL, "--no-passphrase"
            )
            self.edgekit.cpu_seconds("node", "update", node)
            self.publish(bundle, channel, *more)
            traffic.sent = traffic.received = traffic.requests = 0
            self.edgekit.cpu_seconds("node", "update", node)
            return traffic.total, self.folder / node, channel


def used(node: Path, channel: Path) -> tuple[Delta, Path, Path] | None:
    """The delta that the node has used, with the file that it came from and that which came out."""
    indexes = list((channel / "targets" / "photos").glob("*+deltas.json"))
    records = [json.loads((node / "slots" / slot / "slot.json").read_text())["record"] for slot in ("a", "b")]
    old, new = ({sha: path for path, sha in record["deployed"]["files"].items()} for record in records)
    for delta in read_index(indexes[0].read_bytes()) if indexes else ():
        if delta.base in old and delta.target in new:
            return delta, node / "slots/a/files" / old[delta.base], node / "slots/b/files" / new[delta.target]
    return None


def applied(delta: Delta, base: Path, target: Path, channel: Path) -> tuple[float, int]:
    """Seconds and peak resident bytes of applying it; the best of three."""
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out")
            limits = [str(target.stat().st_size), str(delta.memory_bytes + PROGRAM_BYTES)]
            files = [str(base), str(channel / delta.blob.file_name), str(out)]
            words = [sys.executable, "-P", "-c", WORDS, PACKAGE_PLACE, delta.codec, *files, *limits]
            start = time.perf_counter()
            done = subprocess.run([sys.executable, "-S", "-c", _MEASURE, *words], capture_output=True, check=True)
            seconds = time.perf_counter() - start
            code, peak_bytes = json.loads(done.stdout)
            if code or out.read_bytes() != target.read_bytes():
                raise RuntimeError(f"{delta.codec} did not make the file")
            found.append((seconds, peak_bytes))
    return min(found)


def measure(desk: Desk, name: str, folder: Path) -> dict[str, Any]:
    """One release after its predecessor."""
    bundle = desk.pack(folder / name, 2)
    base = f"{BASES[name]}.edgekit"
    whole, _, _ = desk.update(base, bundle, f"{name}-whole", "--no-deltas")
    patched, node, channel = desk.update(base, bundle, name)
    row: dict[str, Any] = {"release": name, "whole_bytes": whole, "patched_bytes": patched}
    if found := used(node, channel):
        delta, old, new = found
        seconds, peak_bytes = applied(delta, old, new, channel)
        row |= {"codec": delta.codec, "delta_bytes": delta.size_bytes, "seconds": seconds, "peak_bytes": peak_bytes}
    print(row, file=sys.stderr, flush=True)
    return row


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(name, "releases")
        delta_pairs.make(folder.absolute())
        desk = Desk(Commands(Path(name)), Path(name))
        desk.keys()
        for base in dict.fromkeys(BASES.values()):
            desk.pack(folder.absolute() / base, 1)
        rows = [measure(desk, each, folder.absolute()) for each in BASES if each not in BASES.values()]
    shown = [
        (
            row["release"], f"{row['whole_bytes']:,}", f"{row['patched_bytes']:,}",
            f"{row['patched_bytes'] / row['whole_bytes']:.1%}", row.get("codec", "none"),
            f"{row['delta_bytes']:,}" if "codec" in row else "", f"{row['seconds']:.2f}" if "codec" in row else "",
            size(row["peak_bytes"]) if "codec" in row else "",
        )
        for row in rows
    ]  # fmt: skip
    table.keep("delta_update", {"rows": rows}, table.markdown(HEADER, shown))


if __name__ == "__main__":
    main()
