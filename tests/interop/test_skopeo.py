"""skopeo copies a bundle between registries and layouts without changing a digest, and picks the right variant."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from edgekit.oci import media_types
from edgekit.transport.oci_pull import pull_layout
from tests.interop.conftest import InRegistry
from tests.interop.parts import program

PLATFORMS = {"v0": ("amd64", ""), "v1": ("arm64", ""), "v2": ("arm", "v7")}


def skopeo(*words: str) -> bytes:
    done = subprocess.run([program("skopeo"), "--insecure-policy", *words], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def digest_of(url: str, *words: str) -> str:
    raw = skopeo(*words, "inspect", "--raw", "--tls-verify=false", url)
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def test_digests_are_unchanged_from_registry_to_layout_to_registry(
    pushed: InRegistry, registry: str, tmp_path: Path
) -> None:
    first, layout = f"docker://{pushed.host}/{pushed.repository}:1.2.0_lab.1", f"oci:{tmp_path / 'layout'}:one"
    second = f"docker://{registry}/by-skopeo/net:one"
    skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", first, layout)
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", layout, second)
    assert digest_of(first) == digest_of(second) == pushed.pushed.digest
    images = [image.digest for image in pushed.built.images.values()]
    for digest in images:
        assert digest_of(f"docker://{registry}/by-skopeo/net@{digest}") == digest
    listed = json.loads((tmp_path / "layout" / "index.json").read_bytes())["manifests"]
    assert [entry["digest"] for entry in listed] == [pushed.pushed.digest]
    for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir():
        assert path.read_bytes() == pushed.built.blob(path.name).read_bytes()
    for file in pushed.built.draft.manifest.files:
        assert (tmp_path / "layout" / "blobs" / "sha256" / file.sha256).is_file()


def test_bundle_as_it_lies_on_disk_is_a_layout_for_skopeo(pushed: InRegistry, registry: str) -> None:
    there = f"docker://{registry}/from-disk/net:one"
    ours = f"oci:{pushed.built.path}:1.2.0+lab.1"
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", ours, there)
    assert digest_of(there) == pushed.pushed.digest


@pytest.mark.parametrize("variant", PLATFORMS)
def test_platform_picks_its_variant(pushed: InRegistry, variant: str, tmp_path: Path) -> None:
    arch, revision = PLATFORMS[variant]
    chosen = ["--override-os", "linux", "--override-arch", arch]
    chosen += ["--override-variant", revision] if revision else []
    source = f"docker://{pushed.host}/{pushed.repository}:1.2.0_lab.1"
    skopeo(*chosen, "copy", "--preserve-digests", "--src-tls-verify=false", source, f"oci:{tmp_path / 'one'}:x")
    (entry,) = json.loads((tmp_path / "one" / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == pushed.built.images[variant].digest
    model = pushed.built.draft.manifest.file(f"model.{variant}.onnx").sha256
    assert (tmp_path / "one" / "blobs" / "sha256" / model).read_bytes() == pushed.built.blob(model).read_bytes()


def test_copy_by_skopeo_is_pulled_without_signatures_and_with_them_where_their_tags_were_copied(
    pushed: InRegistry, registry: str, tmp_path: Path
) -> None:
    source, target = f"docker://{pushed.host}/{pushed.repository}", f"docker://{registry}/with-signatures/net"
    copy = ("copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false")
    skopeo(*copy, "--preserve-digests", f"{source}:1.2.0_lab.1", f"{target}:one")
    pull_layout(f"oci://{registry}/with-signatures/net:one", tmp_path / "bare")
    roles = [entry.get("annotations", {}).get(media_types.ROLE) for entry in entries(tmp_path / "bare")]
    assert roles == [None]
    for image in pushed.built.signatures.values():
        skopeo(*copy, f"{source}@{image.digest}", f"{target}@{image.digest}")
    for image in pushed.built.images.values():
        skopeo(*copy, f"{source}:sha256-{image.sha256}", f"{target}:sha256-{image.sha256}")
    pull_layout(f"oci://{registry}/with-signatures/net:one", tmp_path / "signed")
    assert [entry["digest"] for entry in entries(tmp_path / "signed")] == [
        pushed.pushed.digest,
        *(signature.digest for signature in pushed.built.signatures.values()),
    ]


def entries(layout: Path) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return found
