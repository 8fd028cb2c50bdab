"""One bundle in six systems: what `edgekit verify --all` prints is what each system's own program says of it."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.verify import check_structure
from edgekit.confirm.confirmation import SYSTEMS
from edgekit.seal.key_files import read_public, write_key
from edgekit.seal.keys import generate
from edgekit.transparency.note import VerifierKey
from edgekit.types.manifest import Manifest
from tests.bundle.building import build
from tests.cli.channel_desk import INIT, PUBLISH, Desk, make_desk
from tests.interop.parts import ipfs_car, lack, program, stock_program
from tests.interop.sumdb_program import SumDB
from tests.interop.test_tuf_js import Quiet, ask

try:
    import libtorrent
except ImportError:
    libtorrent = None

ORIGIN = "models.example.org/log"
MODEL = "vision/net"


@dataclass(frozen=True)
class Confirmed:
    """A published and logged bundle.

    Attributes:
        desk: Its folder: channel/, net.tlog-proof, log.pub, publisher.pub, files/VARIANT with the signatures.
        path: The bundle.
        manifest: What it holds.
        rows: What verify --all said, by system and by what.
    """

    desk: Desk
    path: Path
    manifest: Manifest
    rows: dict[str, dict[str, Any]]

    def file(self, path: str) -> Path:
        """The blob of one of the model's files."""
        return self.path / "blobs" / "sha256" / self.manifest.file(path).sha256


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `edgekit demo` makes, packed; publisher.pub lies beside it."""
    folder = tmp_path_factory.mktemp("demo")
    for line in (
        "demo resnet8 --out demo-out",
        "keys new publisher --no-passphrase",
        # On a machine that other programs use, too, its check of times may fail: that is not what is tested here.
        f"pack demo-out --key publisher.key --name {MODEL} --version 1 --license Apache-2.0 -o net.edgekit --force",
    ):
        words = [sys.executable, "-m", "edgekit", *line.split(), "--quiet"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "net.edgekit"


@pytest.fixture(params=["made", "demo"])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small bundle with a file of several pieces, and a real one; publisher.pub lies beside each."""
    if request.param == "demo":
        return Path(request.getfixturevalue("demo_bundle"))
    (tmp_path / "made").mkdir()
    key = generate("p256")
    write_key(key, tmp_path / "made" / "publisher.key", None)
    return build(tmp_path / "made", key, name=MODEL, variants=2, sizes=(2_500_000, 40_000)).path


@pytest.fixture
def confirmed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Confirmed:
    """Every command as a person would type it."""
    monkeypatch.chdir(tmp_path)
    desk = make_desk(tmp_path, capsys)
    write_key(generate("ed25519"), tmp_path / "log.key", None)
    shutil.copy(bundle.with_name("publisher.pub"), "publisher.pub")
    desk.run(INIT)
    desk.run(f"log init channel/log --origin {ORIGIN} --key log.key --policy policy.txt")
    desk.run(f"publish {bundle} {PUBLISH} --signer publisher.pub")
    desk.run(f"log append channel/log {bundle} --key log.key --policy policy.txt --proof net.tlog-proof")
    desk.run(f"verify {bundle} --trust publisher.pub --extract files")
    found = desk.data(
        f"verify {bundle} --all --trust channel/metadata/1.root.json --policy policy.txt --proof net.tlog-proof"
    )
    assert found["verified"]
    rows: dict[str, dict[str, Any]] = {system: {} for system in SYSTEMS}
    for row in found["rows"]:
        rows[row["system"]][row["what"]] = row
    with open_bundle(bundle) as opened:
        return Confirmed(desk, bundle, check_structure(opened).manifest, rows)


def run(*words: str | Path) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_model_signing(confirmed: Confirmed) -> None:
    verify = stock_program("model_signing")
    for variant in confirmed.manifest.variants:
        assert confirmed.rows["signing"][variant.name]["verified"]
        folder = confirmed.desk.folder / "files" / variant.name
        said = run(
            verify, "verify", "key", folder, "--signature", folder / "model.sig", "--public_key", "publisher.pub"
        )
        assert "Verification succeeded" in said


def test_oci_by_skopeo(confirmed: Confirmed, tmp_path: Path) -> None:
    """All images by the index that it reads; of each platform it copies the first, which the index prefers."""
    skopeo = (program("skopeo"), "--insecure-policy")
    layout = f"oci:{confirmed.path}:1.0.0"
    raw = run(*skopeo, "inspect", "--raw", layout)
    rows = confirmed.rows["oci"]
    assert rows[f"{MODEL}:1.0.0"]["address"] == f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"
    images = json.loads(raw)["manifests"]
    assert [rows[variant.name]["address"] for variant in confirmed.manifest.variants] == [
        image["digest"] for image in images
    ]
    bound = [image for image in images if "platform" in image]  # the others are for every machine
    assert bound
    for arch, image in {image["platform"]["architecture"]: image for image in reversed(bound)}.items():
        out = tmp_path / arch
        run(
            *skopeo,
            "--override-os",
            "linux",
            "--override-arch",
            arch,
            "copy",
            "--preserve-digests",
            layout,
            f"dir:{out}",
        )
        assert image["digest"] == f"sha256:{hashlib.sha256((out / 'manifest.json').read_bytes()).hexdigest()}"


def test_bittorrent_by_libtorrent(confirmed: Confirmed, tmp_path: Path) -> None:
    """It makes the torrents itself, from the files and their names."""
    if libtorrent is None:
        lack("libtorrent", "pip install 'edgekit-ml[p2p]'")
    (tmp_path / "seeds").mkdir()
    for file in confirmed.manifest.files:
        place = tmp_path / "seeds" / file.sha256
        shutil.copy(confirmed.file(file.path), place)
        made = libtorrent.create_torrent(libtorrent.list_files(str(place)), 2**15)
        libtorrent.set_piece_hashes(made, str(place.parent))
        info = made.generate()
        row = confirmed.rows["bittorrent"][file.path]
        assert row["address"] == str(libtorrent.torrent_info(info).info_hashes().v2)
        tree = info[b"info"][b"file tree"]
        assert row["details"]["pieces_root"] == tree[file.sha256.encode()][b""][b"pieces root"].hex()


def test_ipfs_by_ipfs_car(confirmed: Confirmed, tmp_path: Path) -> None:
    def cid(path: Path) -> str:
        return run(*ipfs_car(), "pack", "--no-wrap", path, "--output", tmp_path / "it.car").strip()

    rows = confirmed.rows["ipfs"]
    assert rows[MODEL]["address"] == cid(confirmed.path)
    for file in confirmed.manifest.files:
        assert rows[file.path]["address"] == cid(confirmed.file(file.path))


def test_tuf_by_tuf_js(confirmed: Confirmed, tmp_path: Path) -> None:
    reader = tmp_path / "tuf-js"
    for name in ("metadata", "targets"):
        (reader / name).mkdir(parents=True)
    shutil.copy("channel/metadata/1.root.json", reader / "metadata" / "root.json")
    serve = functools.partial(Quiet, directory="channel")
    row = confirmed.rows["tuf"][MODEL]
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            found = ask(f"http://127.0.0.1:{server.server_address[1]}", reader, row["details"]["target"])
        finally:
            server.shutdown()
            thread.join(10)
    assert found["found"], found
    assert row["address"] == f"sha256:{hashlib.sha256(Path(str(found['found'])).read_bytes()).hexdigest()}"


def test_log_by_go_sumdb(confirmed: Confirmed, tmp_path: Path) -> None:
    sumdb = SumDB(tmp_path / "sumdb")
    with open_bundle(confirmed.path) as bundle:
        leaf = check_structure(bundle).leaf.to_bytes()
    (tmp_path / "leaf").write_bytes(leaf)
    key = VerifierKey(ORIGIN, read_public(confirmed.desk.folder / "log.pub"))
    details = confirmed.rows["log"][MODEL]["details"]
    said = sumdb.says("proof", key, confirmed.desk.folder / "net.tlog-proof", tmp_path / "leaf")
    assert said == {name: details[name] for name in ("origin", "index", "size")}
    (tmp_path / "leaf").write_bytes(json.dumps(json.loads(leaf) | {"version": 2}).encode())
    assert "invalid transparency proof" in sumdb.refuses(
        "proof", key, confirmed.desk.folder / "net.tlog-proof", tmp_path / "leaf"
    )
