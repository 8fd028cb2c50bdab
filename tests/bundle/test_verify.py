"""Verification as a whole: what is accepted, and that one changed byte anywhere is not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import digest
from edgekit.bundle.verify import verify_bundle
from edgekit.errors import DigestError, EdgekitError, MalformedError, SignatureError, TrustError
from edgekit.oci.tarball import write_tar
from edgekit.seal.keys import PrivateKey, generate
from edgekit.types.strict_json import canonical
from tests.bundle.building import Built, build, draft, write_bundle


@pytest.fixture
def copy(valid: Built, tmp_path: Path) -> Built:
    """The valid bundle, to be spoiled."""
    folder = shutil.copytree(valid.path, tmp_path / "net.edgekit")
    return Built(folder, valid.draft, valid.key, valid.images, valid.signatures, valid.image_index)


def test_what_a_verdict_says(valid: Built, key: PrivateKey, tmp_path: Path) -> None:
    write_tar(valid.path, tmp_path / "net.tar")
    verdict = verify_bundle(valid.path, [key.public])
    assert verify_bundle(tmp_path / "net.tar", [key.public]) == verdict
    assert (verdict.name, verdict.version) == ("lab/net", 1)
    assert verdict.bundle_digest == valid.image_index.digest
    assert verdict.release_digest == f"sha256:{digest.of_file(valid.path / 'index.json')}"
    assert verdict.size_bytes == sum(path.stat().st_size for path in (valid.path / "blobs" / "sha256").iterdir())
    assert [check.name for check in verdict.checks if check.what == "variant"] == ["v0", "v1", "v2"]
    assert [check.name for check in verdict.checks if check.what == "provenance"] == ["lab/net"]
    files = {check.name: check.digest for check in verdict.checks if check.what == "file"}
    assert files == {file.path: f"sha256:{file.sha256}" for file in valid.draft.manifest.files}
    assert {check.keys for check in verdict.checks} == {(key.public,)}


def test_variants_may_be_signed_by_different_trusted_keys(tmp_path: Path, key: PrivateKey) -> None:
    other = generate("p256")
    content = draft(tmp_path / "files")
    by_other = write_bundle(content, tmp_path / "b", other)
    sealed = by_other.blob(_layer(by_other, "v1")).read_bytes()
    mixed = write_bundle(content, tmp_path / "a", key, alter={"oms:v1": lambda _: sealed})
    verdict = verify_bundle(mixed.path, [key.public, other.public])
    by = {check.name: check.keys for check in verdict.checks}
    assert by["v0"] == (key.public,)
    assert by["v1"] == (other.public,)
    assert set(by["card.md"]) == {key.public, other.public}
    with pytest.raises(SignatureError):
        verify_bundle(mixed.path, [key.public])


def _layer(built: Built, variant: str) -> str:
    value = json.loads(built.blob(built.signatures[variant].sha256).read_bytes())
    return str(value["layers"][0]["digest"]).removeprefix("sha256:")


def test_big_files_are_reported_as_they_stream(valid: Built, key: PrivateKey) -> None:
    seen: list[int] = []

    class Watching:
        @contextmanager
        def stage(self, name: str, total: int | None = None) -> Any:
            assert (name, total) == ("verify", sum(file.size_bytes for file in valid.draft.manifest.files))
            yield self

        def advance(self, n: int = 1) -> None:
            seen.append(n)

    verify_bundle(valid.path, [key.public], progress=Watching())
    assert sum(seen) == sum(file.size_bytes for file in valid.draft.manifest.files)
    assert len(seen) > len(valid.draft.manifest.files)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def unsigned(built: Built) -> None:
    value = json.loads((built.path / "index.json").read_bytes())
    value["manifests"].pop(1)
    (built.path / "index.json").write_bytes(canonical(value))


SPOILED: list[tuple[Callable[[Built], object], type[EdgekitError], str]] = [
    (lambda b: flip(b.file("model.v1.onnx"), 1_999_999), DigestError, "piece 1 of model.v1.onnx"),
    (lambda b: flip(b.file("card.md"), 0), DigestError, "card.md holds other bytes"),
    (lambda b: flip(b.file("golden/inputs.npz"), 5), DigestError, "golden/inputs.npz"),
    (lambda b: b.file("card.md").write_bytes(b"x" * 199), DigestError, "199 bytes instead of 200"),
    (lambda b: b.file("card.md").write_bytes(b"x" * 201), DigestError, "201 bytes instead of 200"),
    (lambda b: b.file("card.md").unlink(), MalformedError, "lacks blob"),
    (lambda b: b.blob(b.image_index.sha256).unlink(), MalformedError, "lacks blob"),
    (lambda b: flip(b.blob(b.image_index.sha256), 30), DigestError, "holds other bytes"),
    (lambda b: flip(b.blob(b.images["v2"].sha256), 30), DigestError, "holds other bytes"),
    (lambda b: flip(b.blob(_layer(b, "v2")), 30), DigestError, "holds other bytes"),
    (lambda b: b.blob(digest.of_bytes(b"{}")).write_bytes(b"[]"), DigestError, "the empty config"),
    (lambda b: b.blob(digest.of_bytes(b"{}")).unlink(), MalformedError, "lacks blob"),
    (lambda b: b.blob("0" * 64).write_bytes(b"payload"), MalformedError, "which nothing in it refers to"),
    (unsigned, SignatureError, "variant v0 of lab/net has no signature"),
    (lambda b: shutil.copy(b.file("card.md"), b.blob("0" * 64)), MalformedError, "which nothing in it refers to"),
]


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
@pytest.mark.parametrize(("spoil", "kind", "said"), SPOILED)
def test_files_that_do_not_fit(
    spoil: Callable[[Built], object], kind: type[EdgekitError], said: str, packed: bool, copy: Built, key: PrivateKey
) -> None:
    spoil(copy)
    path = copy.path
    if packed:
        path = copy.path.with_name("net.tar")
        write_tar(copy.path, path)
    with pytest.raises(kind, match=said) as caught:
        verify_bundle(path, [key.public])
    assert type(caught.value) is kind


def test_the_documents_of_another_bundle(valid: Built, tmp_path: Path, key: PrivateKey) -> None:
    """Same name and version, other files: each document of it, put where ours was, is found out."""
    other = build(tmp_path, key, variants=3, sizes=(3000, 2_500_000), seed=1)
    manifest = other.blob(_manifest_sha256(other)).read_bytes()
    with pytest.raises(TrustError):
        verify_bundle(build(tmp_path / "a", key, alter={"manifest": lambda _: manifest}).path, [key.public])
    for name in ("v0", "v1"):
        sealed = other.blob(_layer(other, name)).read_bytes()
        with pytest.raises(SignatureError, match="over other files"):
            verify_bundle(build(tmp_path / name, key, alter={f"oms:{name}": lambda _, s=sealed: s}).path, [key.public])
        image = other.blob(other.images[name].sha256).read_bytes()
        with pytest.raises(MalformedError, match="does not hold the files"):
            verify_bundle(
                build(tmp_path / f"i{name}", key, alter={f"image:{name}": lambda _, i=image: i}).path, [key.public]
            )
    provenance = other.blob(_provenance_layer(other)).read_bytes()
    with pytest.raises(SignatureError, match="about something else"):
        verify_bundle(build(tmp_path / "p", key, alter={"provenance": lambda _: provenance}).path, [key.public])


def _manifest_sha256(built: Built) -> str:
    value = json.loads(built.blob(built.image_index.sha256).read_bytes())
    return str(value["annotations"]["dev.edgekit.manifest"]).removeprefix("sha256:")


def _provenance_layer(built: Built) -> str:
    entry = json.loads((built.path / "index.json").read_bytes())["manifests"][-1]
    value = json.loads(built.blob(str(entry["digest"]).removeprefix("sha256:")).read_bytes())
    return str(value["layers"][0]["digest"]).removeprefix("sha256:")


def test_a_signature_by_an_attacker_over_his_own_bundle(tmp_path: Path, key: PrivateKey) -> None:
    with pytest.raises(SignatureError, match="no signature by a trusted key"):
        verify_bundle(build(tmp_path, generate("p256")).path, [key.public])


def test_pieces_that_the_publisher_got_wrong(tmp_path: Path, key: PrivateKey) -> None:
    """Signed, and still refused: a node that fetches piece by piece could never install it.

    Without addresses, as in version 0.1; with them, the manifest itself shows that its digests do not fit.
    """
    import dataclasses

    content = draft(tmp_path / "files", variants=1, sizes=(2_500_000,))
    files = tuple(
        dataclasses.replace(
            file, pieces=dataclasses.replace(file.pieces, sha256=("ab" * 32, *file.pieces.sha256[1:])), addresses=None
        )
        if file.pieces
        else file
        for file in content.manifest.files
    )
    wrong = dataclasses.replace(content, manifest=dataclasses.replace(content.manifest, files=files))
    with pytest.raises(DigestError, match="piece 0 of model"):
        verify_bundle(write_bundle(wrong, tmp_path / "net", key).path, [key.public])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Built:
    return build(tmp_path_factory.mktemp("small"), key, variants=1, sizes=(1000,))


@given(data=st.data())
def test_one_changed_byte_anywhere_is_never_accepted(
    small: Built, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any file of the folder; nothing but a TrustError, whatever the byte."""
    names = sorted(path.relative_to(small.path).as_posix() for path in small.path.rglob("*") if path.is_file())
    name = data.draw(st.sampled_from(names))
    content = bytearray((small.path / name).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.mktemp("changed") / "net"
    shutil.copytree(small.path, folder, copy_function=os.link)
    (folder / name).unlink()
    (folder / name).write_bytes(content)
    try:
        with pytest.raises(TrustError):
            verify_bundle(folder, [small.key.public])
    finally:
        shutil.rmtree(folder.parent)
