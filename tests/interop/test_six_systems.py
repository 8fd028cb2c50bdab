"""One bundle in six systems: what `edgekit verify --all` prints is what each system's own program says of it."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import subprocess
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
from tests.bundle.building import Built, build
from tests.cli.channel_desk import INIT, PUBLISH, Desk, make_desk
from tests.interop.parts import ipfs_car, lack, program, stock_program
from tests.interop.sumdb_program import SumDB
from tests.interop.test_tuf_js import Quiet, ask

try:
    import libtorrent
except ImportError:
    libtorrent = None

ORIGIN = "models.example.org/log"
ARCHES = {"v0": "amd64", "v1": "arm64"}


@dataclass(frozen=True)
class Confirmed:
    """A published and logged bundle.

    Attributes:
        desk: Its folder: channel/, net.tlog-proof, log.pub, publisher.pub, files/VARIANT with the signatures.
        built: The bundle.
        rows: What verify --all said, by system and by what.
    """

    desk: Desk
    built: Built
    rows: dict[str, dict[str, Any]]


@pytest.fixture
def confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Confirmed:
    """Every command as a person would type it."""
    monkeypatch.chdir(tmp_path)
    desk = make_desk(tmp_path, capsys)
    write_key(generate("ed25519"), tmp_path / "log.key", None)
    (tmp_path / "made").mkdir()
    built = build(tmp_path / "made", desk.publisher, name="vision/lite0", variants=2, sizes=(2_500_000, 40_000))
    desk.run(INIT)
    desk.run(f"log init channel/log --origin {ORIGIN} --key log.key --policy policy.txt")
    desk.run(f"publish {built.path} {PUBLISH} --signer publisher.pub")
    desk.run(f"log append channel/log {built.path} --key log.key --policy policy.txt --proof net.tlog-proof")
    desk.run(f"verify {built.path} --trust publisher.pub --extract files")
    found = desk.data(
        f"verify {built.path} --all --trust channel/metadata/1.root.json --policy policy.txt --proof net.tlog-proof"
    )
    assert found["verified"]
    rows: dict[str, dict[str, Any]] = {system: {} for system in SYSTEMS}
    for row in found["rows"]:
        rows[row["system"]][row["what"]] = row
    return Confirmed(desk, built, rows)


def run(*words: str | Path) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_model_signing(confirmed: Confirmed) -> None:
    verify = stock_program("model_signing")
    for variant in ARCHES:
        assert confirmed.rows["signing"][variant]["verified"]
        folder = confirmed.desk.folder / "files" / variant
        said = run(
            verify, "verify", "key", folder, "--signature", folder / "model.sig", "--public_key", "publisher.pub"
        )
        assert "Verification succeeded" in said


def test_oci_by_skopeo(confirmed: Confirmed, tmp_path: Path) -> None:
    skopeo = (program("skopeo"), "--insecure-policy")
    layout = f"oci:{confirmed.built.path}:1.0.0"
    raw = run(*skopeo, "inspect", "--raw", layout)
    assert (
        confirmed.rows["oci"]["vision/lite0:1.0.0"]["address"] == f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"
    )
    for variant, arch in ARCHES.items():
        out = tmp_path / variant
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
        digest = hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
        assert confirmed.rows["oci"][variant]["address"] == f"sha256:{digest}"


def test_bittorrent_by_libtorrent(confirmed: Confirmed, tmp_path: Path) -> None:
    """It makes the torrents itself, from the files and their names."""
    if libtorrent is None:
        lack("libtorrent", "pip install 'edgekit-ml[p2p]'")
    (tmp_path / "seeds").mkdir()
    for file in confirmed.built.draft.manifest.files:
        place = tmp_path / "seeds" / file.sha256
        shutil.copy(confirmed.built.file(file.path), place)
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
    assert rows["vision/lite0"]["address"] == cid(confirmed.built.path)
    for file in confirmed.built.draft.manifest.files:
        assert rows[file.path]["address"] == cid(confirmed.built.file(file.path))


def test_tuf_by_tuf_js(confirmed: Confirmed, tmp_path: Path) -> None:
    reader = tmp_path / "tuf-js"
    for name in ("metadata", "targets"):
        (reader / name).mkdir(parents=True)
    shutil.copy("channel/metadata/1.root.json", reader / "metadata" / "root.json")
    serve = functools.partial(Quiet, directory="channel")
    row = confirmed.rows["tuf"]["vision/lite0"]
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
    with open_bundle(confirmed.built.path) as bundle:
        leaf = check_structure(bundle).leaf.to_bytes()
    (tmp_path / "leaf").write_bytes(leaf)
    key = VerifierKey(ORIGIN, read_public(confirmed.desk.folder / "log.pub"))
    details = confirmed.rows["log"]["vision/lite0"]["details"]
    said = sumdb.says("proof", key, confirmed.desk.folder / "net.tlog-proof", tmp_path / "leaf")
    assert said == {name: details[name] for name in ("origin", "index", "size")}
    (tmp_path / "leaf").write_bytes(json.dumps(json.loads(leaf) | {"version": 2}).encode())
    assert "invalid transparency proof" in sumdb.refuses(
        "proof", key, confirmed.desk.folder / "net.tlog-proof", tmp_path / "leaf"
    )
