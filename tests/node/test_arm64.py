"""A node's whole story on 64-bit ARM: a channel on the loopback, and the real command line under qemu's emulation.

What is packed on this machine is chosen, fetched, verified, tried out on ARM kernels, run, and replaced there. The
golden answers come from this machine, so a self-test that passes says that both compute the same.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_release
from edgekit.cli.app import run
from edgekit.node.infer import infer
from edgekit.runtime.array_archive import read_arrays, write_arrays
from edgekit.seal.key_files import read_public
from edgekit.types.manifest import Manifest
from edgekit.types.recipe import CheckSettings, Recipe
from tests.flow.trained import make_project, pictures
from tests.node.arm64 import ArmMachine, arm_machine

MODEL = "vision/quadrants"
MIB = 2**20


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> ArmMachine:
    return arm_machine(tmp_path_factory.mktemp("arm"), cpu="cortex-a76")


@dataclass
class Lab:
    """A publisher and its channel; one key signs all of its roles.

    Attributes:
        folder: Of everything: the keys `publisher` and `signer`, the folder `channel`.
        url: Where the channel is served.
        manifests: Version -> what was packed.
    """

    folder: Path
    url: str
    manifests: dict[int, Manifest]

    @property
    def channel(self) -> Path:
        return self.folder / "channel"

    @property
    def publisher(self) -> Path:
        """Its public key."""
        return self.folder / "publisher.pub"

    def bundle(self, version: int) -> Path:
        return self.folder / f"{version}.edgekit"

    def release(self, version: int) -> None:
        """Pack and publish; versions have golden inputs of their own."""
        bundle, key = self.bundle(version), self.folder / "publisher.key"
        words = ("--name", MODEL, "--version", version, "--license", "Apache-2.0", "--seed", version)
        here("pack", self.folder / "compressed", "-o", bundle, "--key", key, *words)
        signer = self.folder / "signer.key"
        words = ("--key", signer, "--online-key", signer, "--signer", self.publisher)
        here("publish", bundle, "--to", self.channel, *words)
        with open_bundle(bundle) as opened:
            self.manifests[version] = read_release(opened.blobs, opened.index_bytes).manifest


def here(*words: object) -> None:
    """Run the command line on this machine."""
    assert run([*map(str, words), "--quiet"]) == 0, words


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Any static web server will do; this one knows no ranges."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def lab(machine, tmp_path_factory) -> Iterator[Lab]:
    import edgekit

    folder = tmp_path_factory.mktemp("lab")
    project = make_project(folder)
    recipe = Recipe(check=CheckSettings(seconds=0.1))
    edgekit.compress(
        project.path("net.pt2"), calibration=project.path("x.npz"), out=folder / "compressed", recipe=recipe
    )
    for name, kind in (("publisher", "p256"), ("signer", "ed25519")):
        here("keys", "new", name, "--type", kind, "--dir", folder, "--no-passphrase")
    signer = folder / "signer.key"
    words = ("--root-key", signer, "--targets-key", signer, "--online-key", signer, "--family", f"vision={signer}")
    here("channel", "init", folder / "channel", *words)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / "channel")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        made = Lab(folder, f"http://127.0.0.1:{server.server_address[1]}", {})
        made.release(1)
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(machine: ArmMachine, *words: str | Path, code: int = 0) -> dict:
    """What a verb says as JSON."""
    done = machine.edgekit(*words, "--json")
    assert done.returncode == code, done.stderr + done.stdout
    found: dict = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("cpu", "isa"),
    [
        ("cortex-a53", ["asimd"]),
        ("max", ["asimd", "asimddp", "i8mm", "sve", "sve2"]),
    ],
)
def test_a_processor_is_told_by_its_auxiliary_vector(tmp_path, cpu, isa):
    program = (
        "import json; from pathlib import Path; from edgekit.node.probe import probe;"
        "from edgekit.types.plain import to_plain; print(json.dumps(to_plain(probe(Path('.')))))"
    )
    done = arm_machine(tmp_path, cpu=cpu).run("-c", program)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["os"], found["arch"], found["isa"]) == ("linux", "arm64", isa)
    assert set(found["runtimes"]) == {"onnxruntime", "litert"}


def test_the_command_line_starts_there(machine):
    assert machine.edgekit("--version").stdout.startswith("edgekit, version ")
    done = machine.edgekit("--help")
    assert done.returncode == 0, done.stderr
    assert "node " in done.stdout


def test_a_bundle_is_verified_there(machine, lab):
    words = ("verify", lab.bundle(1), "--trust", lab.publisher)
    assert read_public(lab.publisher).fingerprint in json.dumps(said(machine, *words))
    blob = next(path for path in (lab.bundle(1) / "blobs/sha256").iterdir() if path.stat().st_size > 2000)
    intact = blob.read_bytes()
    try:
        blob.write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))
        assert machine.edgekit(*words).returncode == 6
    finally:
        blob.write_bytes(intact)


def test_the_story_of_a_node(machine, lab, tmp_path):
    node, root = tmp_path / "node", lab.channel / "metadata/1.root.json"
    words = ("--channel", lab.url, "--trust", root, "--model", MODEL, "--no-passphrase")
    assert said(machine, "node", "init", node, *words)["did"].startswith("did:key:z6Mk")

    installed = said(machine, "node", "update", node)
    assert (installed["outcome"], installed["running"]["version"]) == ("installed", 1)
    variant = lab.manifests[1].variant(installed["running"]["variant"])
    assert variant.requires.arch == "arm64"

    status = said(machine, "node", "status", node, "--check")
    assert status["machine"]["arch"] == "arm64"
    assert status["faults"] == []
    assert (status["last_receipt"]["event"], status["last_receipt"]["tested"]["passed"]) == ("installed", True)

    images, _ = pictures(5, 9)
    with (tmp_path / "in.npz").open("wb") as stream:
        write_arrays(stream, {"image": images})
    said(machine, "node", "infer", node, tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    there = read_arrays(tmp_path / "out.npz", limit_bytes=MIB)
    here = infer(node / "current" / "files", variant, {"image": images})
    (output,) = variant.outputs
    assert there[output.name].shape == here[output.name].shape == (5, 4)
    assert output.scale
    steps = np.abs(there[output.name] - here[output.name]) / output.scale
    assert steps.max() < 1.1, "one step of rounding between the kernels of x86 and ARM"

    assert said(machine, "node", "update", node)["outcome"] == "unchanged"
    lab.release(2)
    renewed = said(machine, "node", "run-once", node)
    assert renewed["running"]["version"] == 2
    assert renewed["tested"]["passed"] is True


def test_the_audit_file_computes_the_same_bits_there(machine, lab):
    """The QOperator file's answers are compared bit by bit: its variant is for any machine."""
    audit = next(variant for variant in lab.manifests[1].variants if variant.format == "onnx-qop")
    folder = lab.folder / "audit"
    here("verify", lab.bundle(1), "--trust", lab.publisher, "--variant", audit.name, "--extract", folder)
    program = (
        "import sys; from pathlib import Path; from edgekit.bundle.manifest_file import read_manifest;"
        "from edgekit.node.selftest import self_test; folder = Path(sys.argv[1]);"
        "manifest = read_manifest((folder / 'manifest.json').read_bytes());"
        "print(self_test(folder, manifest.variant(sys.argv[2])))"
    )
    done = machine.run("-c", program, folder, audit.name)
    assert done.returncode == 0, done.stderr
    assert "mode=<Mode.EXACT: 'exact'>, bound=0.0, largest_difference=0.0" in done.stdout
