"""A publisher, a channel in a folder, and a node that follows it; the self-test is a stand-in, all else is real."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from edgekit.errors import NodeStateError, SelfTestError
from edgekit.node.disk import Disk
from edgekit.node.folder import NodeFolder
from edgekit.node.opened import look_at, open_node
from edgekit.node.receipts import check_chain
from edgekit.node.rollback import serving
from edgekit.node.run_once import Round, run_once
from edgekit.node.settings import NodeSettings
from edgekit.node.setup import set_up
from edgekit.node.slots import Slot
from edgekit.node.update import Updated, update
from edgekit.node.world import World, no_passphrase
from edgekit.seal.keys import generate
from edgekit.types.capabilities import Capabilities
from edgekit.types.manifest import Variant
from edgekit.types.receipt import Trial
from tests.bundle.building import Alter, Built, Draft, describe_file, draft, write_bundle
from tests.channel.repository import Repository

MODEL = "vision/resnet8"
MACHINE = Capabilities("linux", "amd64", ("avx2",), "a processor", 2**34, 2**34, {"onnxruntime": "1.30.0"})


class Publisher:
    """Makes releases and puts them into a channel's folder.

    Attributes:
        folder: The channel: static files.
        repository: Its metadata, to be changed at will.
        key: Signs models.
        built: Version -> bundle.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "channel"
        self.key = generate("p256")
        self.repository = Repository(("vision",))
        self.built: dict[int, Built] = {}
        self._work = folder

    def release(
        self, version: int, *, oldest: int = 1, variants: int = 1, size_bytes: int = 5000, seed: int = 0
    ) -> Built:
        """Publish a version. Files other than the model are the same for the same seed."""
        content = draft(
            self._work / f"files-{version}", variants=4, sizes=(size_bytes,), name=MODEL, version=version,
            semver=f"{version}.0.0", seed=seed,
        )  # fmt: skip
        return self.put(changed(content, version, variants), oldest=oldest)

    def put(self, content: Draft, *, oldest: int = 1, alter: Alter | None = None) -> Built:
        """Publish a bundle of given files."""
        version = content.manifest.version
        self.built[version] = write_bundle(content, self._work / f"{version}.edgekit", self.key, alter=alter)
        self.offer(version, oldest=oldest)
        return self.built[version]

    def offer(self, version: int, *, oldest: int = 1) -> None:
        """Say that a version is current."""
        built = self.built[version]
        notice = {
            "version": version, "semver": f"{version}.0.0", "oldest": oldest, "signers": [self.key.public.pem],
        }  # fmt: skip
        index = (built.path / "index.json").read_bytes()
        self.repository.release(MODEL, index=index, custom={"edgekit": notice})
        self.repository.publish()
        shutil.copytree(built.path / "blobs", self.folder / "blobs", dirs_exist_ok=True)
        self.write()

    def write(self) -> None:
        """The metadata as files."""
        for name, data in self.repository.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def remove_blob(self, sha256: str) -> None:
        """Lose a blob."""
        (self.folder / "blobs" / "sha256" / sha256).unlink()


def changed(content: Draft, version: int, variants: int) -> Draft:
    """The first variants for amd64 of a draft; their model files differ from version to version."""
    manifest = content.manifest
    kept = [variant for variant in manifest.variants if variant.requires.arch in ("amd64", "any")][:variants]
    named = {path for variant in kept for path in variant.files}
    sources = {path: source for path, source in content.sources.items() if path in named}
    for path, source in sources.items():
        if path.endswith(".onnx"):
            data = bytearray(source.read_bytes())
            data[:8] = version.to_bytes(8, "big")
            source.write_bytes(data)
    files = tuple(
        describe_file(sources[file.path], file.path, file.role, file.media_type)
        for file in manifest.files
        if file.path in named
    )
    return Draft(dataclasses.replace(manifest, variants=tuple(kept), files=files), sources)


@dataclass
class Trials:
    """Self-tests that end as they are told.

    Attributes:
        failing: Names of variants, versions of releases, or "variant/version", that fail.
        run: "variant/version" of each one that was tried, in order.
        runtime_version: What the runtime says it is.
    """

    failing: set[object] = field(default_factory=set)
    run: list[str] = field(default_factory=list)
    runtime_version: str = "1.30.0"

    def __call__(self, folder: Path, variant: Variant, *, timeout_s: float) -> Trial:
        assert all((folder / path).is_file() for path in variant.files)
        data = (folder / variant.model).read_bytes()
        version = int.from_bytes(data[:8], "big")
        self.run.append(f"{variant.name}/{version}")
        if self.failing & {variant.name, version, f"{variant.name}/{version}"}:
            raise SelfTestError(f"{variant.name} of version {version} answers something else")
        return Trial(True, "onnxruntime", self.runtime_version, hashlib.sha256(data).hexdigest())


class Scene:
    """A node in a folder, and everything around it.

    Attributes:
        publisher: Who it follows.
        path: Its folder.
        trials: Its self-tests.
        machine: What it finds itself to be.
        now: Its clock.
        told: Lines that it told.
    """

    def __init__(self, folder: Path) -> None:
        self.publisher = Publisher(folder)
        self.path = folder / "node"
        self.trials = Trials()
        self.machine = MACHINE
        self.now = self.publisher.repository.now
        self.told: list[str] = []
        self.disk = Disk()
        self.passphrase: Callable[[], bytes] = no_passphrase

    def set_up(self, *channels: str, passphrase: bytes | None = None) -> str:
        """Make the node."""
        urls = channels or (str(self.publisher.folder),)
        root = self.publisher.repository.first_root
        return set_up(self.path, NodeSettings(MODEL, urls), root, passphrase, disk=Disk())

    @property
    def world(self) -> World:
        return World(
            disk=self.disk, clock=lambda: self.now, probe=lambda folder: self.machine, self_test=self.trials,
            passphrase=self.passphrase, tell=self.told.append,
        )  # fmt: skip

    @property
    def folder(self) -> NodeFolder:
        return NodeFolder(self.path)

    def update(self, *, retry: bool = False) -> Updated:
        with open_node(self.path, self.world) as node:
            return update(node, retry=retry)

    def run_once(self) -> Round:
        with open_node(self.path, self.world) as node:
            return run_once(node)

    def serving(self) -> Slot:
        """What may be used, hashed."""
        return serving(look_at(self.path, self.world))

    def version(self) -> int:
        """Version of what may be used, hashed; 0 where nothing may."""
        try:
            return self.serving().record.deployed.version
        except NodeStateError:
            return 0

    def receipts(self) -> list[tuple[str, int]]:
        """Event and version of every receipt, after the whole chain was verified."""
        node = look_at(self.path, self.world)
        found = check_chain([path.read_bytes() for path in node.book.files()], node=node.public_key)
        return [(receipt.event.value, receipt.deployed.version if receipt.deployed else 0) for receipt in found]

    def later(self, **spans: float) -> None:
        """Let time pass."""
        self.now += timedelta(**spans)


def flip(path: Path) -> None:
    """Change one bit of a file, and not its size."""
    with path.open("r+b") as stream:
        stream.seek(os.path.getsize(path) // 2)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 1]))
