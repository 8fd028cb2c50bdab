"""`edgekit share`: what it says and writes, for people and for programs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from edgekit.cli.app import run
from edgekit.seal.keys import generate
from tests.bundle.building import build


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    build(tmp_path, generate("p256"), variants=2)
    return tmp_path


def test_it_says_what_to_pass_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["share", "net.edgekit", "--out", "shared"]) == 0
    told = capsys.readouterr().out
    assert "lab/net 1.0.0" in told
    assert "magnet:?xt=urn:btih:" in told
    assert "no signature was looked at" in told
    torrents = sorted((folder / "shared" / "torrents").iterdir())
    assert len(torrents) == 2
    for path in (*torrents, folder / "shared" / "net.car"):
        assert str(path.relative_to(folder)) in told
        assert path.stat().st_mode & 0o777 == 0o644


def test_as_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shlex.split("share net.edgekit --out shared --webseed http://127.0.0.1:1 --json --quiet")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["semver"], found["tar"]) == ("lab/net", "1.0.0", None)
    assert Path(found["car"]["path"]).stat().st_size == found["car"]["size_bytes"]
    assert found["car"]["cid"].startswith("bafybei")
    assert [file["name"] for file in found["files"]] == ["model.v0.onnx", "model.v1.onnx"]
    assert all(Path(file["torrent"]).is_file() and len(file["infohash"]) == 64 for file in found["files"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("share net.edgekit", 2),
        ("share absent --out shared", 2),
        ("share net.edgekit --out shared --webseed magnet:x", 2),
        ("share net.edgekit --out net.edgekit/torrents", 2),
        ("share net.edgekit --out files/card.md", 5),
    ],
)
def test_what_is_refused(words: str, code: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shlex.split(words)) == code
    assert capsys.readouterr().err
    assert not (folder / "shared").exists()


def test_a_bundle_that_was_altered_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    largest = max((folder / "net.edgekit" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[::-1])
    assert run(["share", "net.edgekit", "--out", "shared"]) == 6
    assert "other bytes" in capsys.readouterr().err
