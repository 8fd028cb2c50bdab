"""`edgekit verify`: what it says, what it refuses, and how little it needs."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgekit import digest
from edgekit.cli.app import run
from edgekit.cli.plain_progress import PlainProgress
from edgekit.oci.tarball import write_tar
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import MemoryKey, generate
from edgekit.types.strict_json import canonical
from tests.bundle.building import Built, Draft, build, describe_file, draft, variant, with_manifest, write_bundle
from tests.publish.lab import Lab

LARGEST_MEMORY_BYTES = 64_000_000
LARGEST_S = 1.0

PROGRAM = """
import sys
from edgekit.cli.app import run
code = run(sys.argv[1:])
modules = sorted(sys.modules)
import json, re
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(json.dumps({"code": code, "peak_bytes": 1024 * int(peak[1]), "modules": modules}), file=sys.stderr)
"""
"""`ru_maxrss` would count the memory of whoever started the process."""
HEAVY = (
    "numpy",
    "rich",
    "torch",
    "onnx",
    "onnxruntime",
    "ai_edge_litert",
    "httpx2",
    "tuf",
    "asyncio",
    "ssl",
    "tarfile",
)
"""Not one of these is needed to verify a bundle by a key."""


@pytest.fixture(scope="module")
def key() -> MemoryKey:
    return generate("p256")


@pytest.fixture
def place(tmp_path: Path, key: MemoryKey, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `publisher.pub`, in which the command runs."""
    write_key(key, tmp_path / "publisher.key", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bundle(place: Path, key: MemoryKey) -> Built:
    return build(place, key)


def documented(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """The JSON document of a run."""
    capsys.readouterr()
    assert run(["verify", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_it_says_what_was_verified_by_which_key(
    bundle: Built, key: MemoryKey, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "net.edgekit", "--trust", "publisher.pub"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert lines[0] == "lab/net 1.0.0 (version 1), Apache-2.0"
    assert lines[1] == f"bundle   {bundle.image_index.digest}"
    assert f"by p256 key {key.public.fingerprint}" in lines
    for name in ("v0 (linux/amd64, onnxruntime 1.22.0 or later)", "v1 (linux/arm64, onnxruntime 1.22.0 or later)"):
        assert [line for line in lines if line.startswith("  variant") and line.endswith(name)]
    for file in bundle.draft.manifest.files:
        assert [line for line in lines if f"sha256:{file.sha256}" in line and line.endswith(file.path)]
    assert [line for line in lines if line.startswith("  provenance") and bundle.image_index.digest in line]
    assert lines[-1].startswith("verified: 5 files")


@pytest.mark.usefixtures("bundle")
def test_quiet_says_nothing_but_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "net.edgekit", "--trust", "publisher.pub", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(["verify", "net.edgekit", "--trust", "missing.pub", "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no public key missing.pub")


def test_the_same_as_json_and_from_a_tar(bundle: Built, key: MemoryKey, capsys: pytest.CaptureFixture[str]) -> None:
    write_tar(bundle.path, Path("net.tar"))
    found = documented(capsys, "net.edgekit", "--trust", "publisher.pub")
    assert documented(capsys, "net.tar", "--trust", "publisher.pub") == found
    assert found["name"] == "lab/net"
    assert found["bundle_digest"] == bundle.image_index.digest
    assert found["keys"] == [{"kind": "p256", "fingerprint": key.public.fingerprint}]
    assert {check["what"] for check in found["checks"]} == {"variant", "provenance", "file"}
    assert all(check["keys"] == [key.public.fingerprint] for check in found["checks"])
    assert found["channel"] is None
    assert found["extracted"] == []


def test_several_keys_may_be_trusted(bundle: Built, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_key(generate("p256"), place / "other.key", None)
    assert run(["verify", "net.edgekit", "--trust", "other.pub", "--trust", "publisher.pub"]) == 0
    found = documented(capsys, "net.edgekit", "--trust", "other.pub", code=6)
    assert found["error"]["type"] == "SignatureError"
    assert "no signature by a trusted key" in found["error"]["message"]


def test_what_was_forced_and_what_is_missing_is_said(
    place: Path, key: MemoryKey, capsys: pytest.CaptureFixture[str]
) -> None:
    content = with_manifest(draft(place / "files"), forced=("top-1 fell by 0.2",))
    write_bundle(content, place / "net.edgekit", key, provenance=False)
    assert run(["verify", "net.edgekit", "--trust", "publisher.pub"]) == 0
    printed = capsys.readouterr().out
    assert "packed although a check had failed: top-1 fell by 0.2" in printed
    assert "there is no provenance" in printed


def test_extraction(bundle: Built, capsys: pytest.CaptureFixture[str]) -> None:
    found = documented(capsys, "net.edgekit", "--trust", "publisher.pub", "--variant", "v1", "--extract", "out")
    assert found["extracted"] == ["out"]
    assert sorted(os.listdir("out")) == ["card.md", "golden", "manifest.json", "model.sig", "model.v1.onnx"]
    assert run(["verify", "net.edgekit", "--trust", "publisher.pub", "--extract", "all"]) == 0
    assert sorted(os.listdir("all")) == ["v0", "v1"]
    assert "extracted to all/v1" in capsys.readouterr().out


def test_nothing_is_extracted_from_what_is_not_verified(bundle: Built, capsys: pytest.CaptureFixture[str]) -> None:
    """The last byte of the last file is wrong; the others were right all along."""
    model = bundle.file("model.v1.onnx")
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    before = sorted(os.listdir())
    found = documented(capsys, "net.edgekit", "--trust", "publisher.pub", "--extract", "out", "--variant", "v0", code=6)
    assert found["error"]["type"] == "DigestError"
    assert "model.v1.onnx" in found["error"]["message"]
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["absent", "--trust", "publisher.pub"], 2, "there is no bundle absent"),
        (["net.edgekit", "--trust", "absent.pub"], 2, "absent.pub"),
        (["net.edgekit", "--trust", "publisher.key"], 2, "private key where a public one is wanted"),
        (["net.edgekit"], 2, "Missing option '--trust'"),
        (["net.edgekit", "--trust", "publisher.pub", "--variant", "v0"], 2, "--variant says what to extract"),
        (["net.edgekit", "--trust", "publisher.pub", "--extract", "x", "--variant", "v9"], 2, "no variant 'v9'"),
        (["net.edgekit", "--trust", "publisher.pub", "--extract", "net.edgekit"], 2, "exists already"),
        (["net.edgekit", "--trust", "publisher.pub", "--channel", "x"], 2, "needs the channel's root metadata"),
        (["net.edgekit", "--trust", "root.json"], 2, "lies in no channel's metadata/"),
        (["net.edgekit", "--trust", "root.json", "--trust", "publisher.pub"], 2, "the only --trust"),
        (["net.edgekit", "--trust", "root.json", "--channel", "x"], 6, "root"),
        (["publisher.pub", "--trust", "publisher.pub"], 6, "no bundle|cut short"),
    ],
)
def test_errors_say_what_to_do(
    words: list[str], code: int, said: str, bundle: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("root.json").write_text("{}")
    assert run(["verify", *words]) == code
    printed = capsys.readouterr()
    assert re.search(said, printed.err), printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err


@pytest.fixture
def lab(place: Path) -> Lab:
    """A channel with version 2 of its model, also as files in `channel/`."""
    made = Lab(place / "bundles", now=datetime.now(UTC))
    made.found()
    made.publish(1)
    made.publish(2)
    for name, data in made.place.files.items():
        (place / "channel" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "channel" / name).write_bytes(data)
    return made


def test_a_channel_as_trust(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    root = "channel/metadata/1.root.json"
    found = documented(capsys, str(lab.bundle(2)), "--trust", root)
    assert found["channel"]["current"]
    assert found["keys"][0]["fingerprint"] == lab.publisher.public.fingerprint
    Path("pinned.json").write_bytes(Path(root).read_bytes())
    assert documented(capsys, str(lab.bundle(2)), "--trust", "pinned.json", "--channel", "channel") == found
    assert run(["verify", str(lab.bundle(2)), "--trust", root]) == 0
    assert "current in the channel" in capsys.readouterr().out


def test_a_release_that_the_channel_does_not_name(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    root = "channel/metadata/1.root.json"
    old = documented(capsys, str(lab.bundle(1)), "--trust", root, code=6)
    assert old["error"]["type"] == "RollbackError"
    assert "the channel has 2.0.0 (version 2)" in old["error"]["message"]
    assert "--trust KEY" in old["error"]["hint"]
    unpublished = documented(capsys, str(lab.bundle(3)), "--trust", root, code=6)
    assert unpublished["error"]["type"] == "DigestError"
    stranger = lab.bundle(2, signer=generate("p256"))
    assert documented(capsys, str(stranger), "--trust", root, code=6)["error"]["type"] == "DigestError"
    unknown = lab.bundle(1, name="vision/other")
    assert documented(capsys, str(unknown), "--trust", root, code=6)["error"]["type"] == "UnknownTargetError"


def test_another_channels_root(lab: Lab, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Lab(place / "others", now=datetime.now(UTC))
    other.found()
    Path("foreign.json").write_bytes(other.place.files["metadata/1.root.json"])
    found = documented(capsys, str(lab.bundle(2)), "--trust", "foreign.json", "--channel", "channel", code=6)
    assert found["error"]["type"] == "SignatureError"


def start(*words: str) -> dict[str, Any]:
    """One fresh process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, "verify", *words], capture_output=True, text=True, check=True)
    found = json.loads(done.stderr.splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_it_is_light(place: Path, key: MemoryKey, packed: bool) -> None:
    """20 MB within a second, the start of Python included; memory does not follow the size; nothing big is imported."""
    path = build(place, key, variants=1, sizes=(20_000_000,)).path
    if packed:
        path = place / "net.tar"
        write_tar(place / "net.edgekit", path)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        found = start(str(path), "--trust", "publisher.pub")
        times.append(time.perf_counter() - began)
        assert found["code"] == 0
    assert min(times) < LARGEST_S
    assert found["peak_bytes"] < LARGEST_MEMORY_BYTES
    loaded = [name for name in HEAVY if name in found["modules"]]
    assert not loaded, f"edgekit verify imports {loaded}"


def test_a_channel_costs_no_more_than_tuf(lab: Lab) -> None:
    found = start(str(lab.bundle(2)), "--trust", "channel/metadata/1.root.json")
    assert found["code"] == 0
    assert found["peak_bytes"] < LARGEST_MEMORY_BYTES
    assert not [name for name in ("numpy", "rich", "torch", "onnx", "onnxruntime") if name in found["modules"]]


def test_memory_does_not_follow_the_size(place: Path, key: MemoryKey) -> None:
    """300 MB of zeros; benchmarks/verification.py has 1 GB."""
    content = draft(place / "files", variants=1, sizes=(1,))
    model = content.sources["model.v0.onnx"]
    with model.open("r+b") as stream:
        stream.truncate(300_000_000)
    files = tuple(describe_file(content.sources[file.path], file.path, file.role, file.media_type)
                  for file in content.manifest.files)  # fmt: skip
    manifest = dataclasses.replace(
        content.manifest, files=files, variants=(variant(0, content.manifest.variants[0].files, files),)
    )
    write_bundle(Draft(manifest, content.sources), place / "net.edgekit", key)
    model.unlink()
    found = start("net.edgekit", "--trust", "publisher.pub", "--quiet")
    assert found["code"] == 0
    assert found["peak_bytes"] < LARGEST_MEMORY_BYTES


def test_a_hostile_document_costs_little(bundle: Built) -> None:
    """The most that a document of 1 MiB can make JSON's reader allocate."""
    value = json.loads((bundle.path / "index.json").read_bytes())
    data = b'{"a":[' + b",".join([b"[]"] * 349_000) + b"]}"
    assert len(data) < 2**20
    index = json.loads(bundle.blob(bundle.image_index.sha256).read_bytes())
    index["annotations"]["dev.edgekit.manifest"] = f"sha256:{digest.of_bytes(data)}"
    index["annotations"]["dev.edgekit.manifest.size"] = str(len(data))
    written = canonical(index)
    bundle.blob(digest.of_bytes(data)).write_bytes(data)
    bundle.blob(digest.of_bytes(written)).write_bytes(written)
    value["manifests"][0].update(digest=f"sha256:{digest.of_bytes(written)}", size=len(written))
    (bundle.path / "index.json").write_bytes(canonical(value))
    found = start("net.edgekit", "--trust", "publisher.pub")
    assert found["code"] == 6
    assert found["peak_bytes"] < 80_000_000


def test_progress_is_for_large_bundles_on_a_terminal() -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, log = Screen(), io.StringIO()
    for stream in (screen, log):
        with PlainProgress(stream).stage("verify", 1000) as stage:
            stage.advance(1000)
        assert stream.getvalue() == ""
        with PlainProgress(stream).stage("verify", 400_000_000) as stage:
            stage.written_at = 0.0  # type: ignore[attr-defined]
            stage.advance(100_000_000)
            stage.advance(100_000_000)
    assert screen.getvalue() == "\rverify  25 % of 400.0 MB\r\033[K"
    assert log.getvalue() == "verify: 400.0 MB\n"
