"""What an update costs a node over the wire, with deltas and without, and what applying them costs it.

    python -m benchmarks.delta_update [FOLDER]

The releases are those of `benchmarks.delta_pairs`, made in FOLDER where they are not there yet. Each is packed, and
published after its predecessor, once as usual and once with `--no-deltas`; a node that runs the predecessor updates.
One more node was off while a release was current. Counted is what goes through the sockets of a server on the loopback,
requests, headers and metadata included. Seconds and memory are of the process that applies the delta, from the start of
Python to its end. "to make" is what `edgekit publish` took beyond the same with `--no-deltas`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
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
FIRST = ("lite0", "resnet20")
BEFORE = {name: (name.partition("-")[0],) for name in delta_pairs.RELEASES if name not in FIRST}
"""Release -> those before it, of which the node runs the first."""
MISSED = "lite0-finetuned", ("lite0", "lite0-recalibrated")
"""The same for a node that was off while the second one was current."""
HEADER = ("release", "whole, B", "with deltas, B", "share", "codec", "delta, B", "s", "peak memory", "to make, CPU s")
_MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(json.dumps([done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]))
"""


@dataclass(frozen=True)
class Update:
    """An update of a node.

    Attributes:
        wire_bytes: Through the sockets, in both directions.
        cpu_seconds: That publishing the release took.
        node: Its folder.
        channel: The channel's.
    """

    wire_bytes: int
    cpu_seconds: float
    node: Path
    channel: Path


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
        """Pack a release where it is not packed yet; the name of the bundle."""
        bundle = f"{files.name}-{version}.edgekit"
        words = ["pack", str(files), "--key", "publisher.key", "-o", bundle, "--name", MODEL]
        if not (self.folder / bundle).exists():
            self.edgekit.cpu_seconds(*words, "--version", str(version), "--force")
        return bundle

    def channel(self, name: str) -> Path:
        """A new channel."""
        self.edgekit.cpu_seconds(
            "channel", "init", name, "--root-key", "root.key", "--targets-key", "targets.key",
            "--family", "photos=photos.key", "--online-key", "online.key",
        )  # fmt: skip
        return self.folder / name

    def publish(self, bundle: str, channel: Path, *more: str) -> float:
        """Publish a bundle there; CPU seconds."""
        return self.edgekit.cpu_seconds(
            "publish", bundle, "--to", channel.name, "--key", "photos.key", "--online-key", "online.key",
            "--signer", "publisher.pub", *more,
        )  # fmt: skip

    def update(self, bundles: Sequence[str], name: str, *more: str) -> Update:
        """What it takes to bring a node from the first of some releases, published one after the other, to the last."""
        channel, node = self.channel(f"channel-{name}"), f"node-{name}"
        first, *between, last = bundles
        self.publish(first, channel)
        with serve(channel) as (url, traffic):
            root = str(channel / "metadata" / "1.root.json")
            self.edgekit.cpu_seconds(
                "node", "init", node, "--channel", url, "--trust", root, "--model", MODEL, "--no-passphrase"
            )
            self.edgekit.cpu_seconds("node", "update", node)
            for bundle in between:
                self.publish(bundle, channel, *more)
            cpu_seconds = self.publish(last, channel, *more)
            traffic.sent = traffic.received = traffic.requests = 0
            self.edgekit.cpu_seconds("node", "update", node)
            return Update(traffic.total, cpu_seconds, self.folder / node, channel)


def used(node: Path, channel: Path) -> tuple[Delta, Path, Path] | None:
    """The delta that the node has used, with the file that it came from and that which came out."""
    indexes = [path.read_bytes() for path in (channel / "targets" / "photos").glob("*+deltas.json")]
    records = [json.loads((node / "slots" / slot / "slot.json").read_text())["record"] for slot in ("a", "b")]
    old, new = ({sha: path for path, sha in record["deployed"]["files"].items()} for record in records)
    for delta in (each for index in indexes for each in read_index(index)):
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


def measure(desk: Desk, name: str, before: Sequence[str], folder: Path) -> dict[str, Any]:
    """One release after others, of which the node runs the first."""
    bundles = [desk.pack(folder / each, version) for version, each in enumerate((*before, name), 1)]
    label = "-".join((*before[1:], name))
    whole, patched = desk.update(bundles, f"{label}-whole", "--no-deltas"), desk.update(bundles, label)
    row: dict[str, Any] = {
        "release": name + "".join(f", {each} missed" for each in before[1:]),
        "whole_bytes": whole.wire_bytes,
        "patched_bytes": patched.wire_bytes,
        "making_cpu_seconds": patched.cpu_seconds - whole.cpu_seconds,
    }
    if found := used(patched.node, patched.channel):
        delta, old, new = found
        seconds, peak_bytes = applied(delta, old, new, patched.channel)
        row |= {"codec": delta.codec, "delta_bytes": delta.size_bytes, "seconds": seconds, "peak_bytes": peak_bytes}
    print(row, file=sys.stderr, flush=True)
    return row


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(name, "releases")
        delta_pairs.make(folder.absolute())
        desk = Desk(Commands(Path(name)), Path(name))
        desk.keys()
        rows = [measure(desk, each, before, folder.absolute()) for each, before in (*BEFORE.items(), MISSED)]
    shown = [
        (
            row["release"], f"{row['whole_bytes']:,}", f"{row['patched_bytes']:,}",
            f"{row['patched_bytes'] / row['whole_bytes']:.1%}", row.get("codec", "none"),
            f"{row['delta_bytes']:,}" if "codec" in row else "", f"{row['seconds']:.2f}" if "codec" in row else "",
            size(row["peak_bytes"]) if "codec" in row else "", f"{row['making_cpu_seconds']:.0f}",
        )
        for row in rows
    ]  # fmt: skip
    table.keep("delta_update", {"rows": rows}, table.markdown(HEADER, shown))


if __name__ == "__main__":
    main()
