"""oras pulls a variant byte by byte, and the stock model_signing accepts the signature that refers to it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgekit.types.manifest import FILE_NAME
from tests.bundle.building import Built
from tests.interop.conftest import InRegistry
from tests.interop.parts import stock_program, stock_python

PULL = """
import json, sys
import oras.client, requests
host, repository, digest, files, signature = sys.argv[1:]
oras.client.OrasClient(insecure=True).pull(f"{host}/{repository}@{digest}", outdir=files)
root = f"http://{host}/v2/{repository}"
get = lambda path, kind: requests.get(f"{root}/{path}", headers={"Accept": kind}, timeout=20)
index = "application/vnd.oci.image.index.v1+json"
listed = get(f"referrers/{digest}", index)
if listed.status_code == 404:
    listed = get("manifests/" + digest.replace(":", "-"), index)
wanted = "application/vnd.dev.sigstore.bundle.v0.3+json"
(found,) = [one for one in listed.json()["manifests"] if one["artifactType"] == wanted]
manifest = get("manifests/" + found["digest"], "application/vnd.oci.image.manifest.v1+json").json()
assert manifest["subject"]["digest"] == digest
(layer,) = manifest["layers"]
open(signature, "wb").write(get("blobs/" + layer["digest"], "*/*").content)
"""
"""What a user of oras does: nothing of edgekit is in that environment."""


def pull(pushed: InRegistry, variant: str, folder: Path) -> tuple[Path, Path]:
    """The files of a variant, and its signature."""
    files, signature = folder / "files", folder / "model.sig"
    words = (pushed.host, pushed.repository, pushed.built.images[variant].digest, str(files), str(signature))
    done = subprocess.run([stock_python(), "-c", PULL, *words], capture_output=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return files, signature


def accepts(files: Path, signature: Path, built: Built, folder: Path) -> bool:
    public = folder / "key.pub"
    public.write_text(built.key.public.pem)
    words = ("verify", "key", str(files), "--signature", str(signature), "--public_key", str(public))
    done = subprocess.run([stock_program("model_signing"), *words], capture_output=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr.decode(errors="replace")  # 2 is a flag that it does not know
    return done.returncode == 0


@pytest.mark.parametrize("variant", ["v0", "v1", "v2"])
def test_pulled_files_are_those_of_the_variant_byte_by_byte(pushed: InRegistry, variant: str, tmp_path: Path) -> None:
    files, _ = pull(pushed, variant, tmp_path)
    found = {path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()}
    manifest = pushed.built.draft.manifest
    expected = {path: pushed.built.file(path).read_bytes() for path in manifest.variant(variant).files}
    assert FILE_NAME in found
    del found[FILE_NAME]
    assert found == expected


def test_stock_model_signing_accepts_what_oras_pulled_and_nothing_else(pushed: InRegistry, tmp_path: Path) -> None:
    files, signature = pull(pushed, "v1", tmp_path)
    assert accepts(files, signature, pushed.built, tmp_path)
    model = files / "model.v1.onnx"
    model.write_bytes(b"\0" + model.read_bytes()[1:])
    assert not accepts(files, signature, pushed.built, tmp_path)
