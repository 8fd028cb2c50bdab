"""`manifest.json`: what was written is read back, its schema agrees with its reader, and hostile ones are refused."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.addressing.cid import raw_cid
from edgekit.bundle.manifest_file import MOST_BYTES, SCHEMA_NAME, read_manifest, write_manifest
from edgekit.errors import MalformedError
from edgekit.types.manifest import Manifest
from edgekit.types.strict_json import canonical
from tests.bundle.building import Built, draft

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    made = draft(tmp_path_factory.mktemp("draft"), sizes=(3000, 2_500_000)).manifest
    return dataclasses.replace(made, preprocessing={"size": [32, 32], "mean": [0.5]}, forced=("missed budget: é",))


@pytest.fixture(scope="module")
def validator() -> jsonschema.protocols.Validator:
    schema = json.loads(resources.files("edgekit.bundle").joinpath(SCHEMA_NAME).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_it_is_read_back_as_written(manifest: Manifest) -> None:
    data = write_manifest(manifest)
    assert read_manifest(data) == manifest
    assert canonical(json.loads(data)) == data


def test_it_keeps_to_its_schema(manifest: Manifest, validator: jsonschema.protocols.Validator) -> None:
    validator.validate(json.loads(write_manifest(manifest)))


def test_fields_that_a_later_version_added_are_left_out(manifest: Manifest) -> None:
    value = json.loads(write_manifest(manifest))
    value["later"] = [1]
    value["variants"][0]["requires"]["later"] = {"gpu": True}
    assert read_manifest(canonical(value)) == manifest


def test_fields_with_a_default_may_be_missing(manifest: Manifest, validator: jsonschema.protocols.Validator) -> None:
    value = json.loads(write_manifest(manifest))
    del value["preprocessing"], value["forced"], value["variants"][0]["measured"], value["files"][0]["pieces"]
    for file in value["files"]:  # version 0.1 wrote none
        del file["addresses"]
    validator.validate(value)
    assert read_manifest(canonical(value)).forced == ()


def put(*path: str | int, to: object) -> Change:
    def change(value: dict[str, Any]) -> None:
        place: Any = value
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


def file_path(number: int, to: str) -> Change:
    """Rename a file wherever it is named, so that only the name itself is wrong."""

    def change(value: dict[str, Any]) -> None:
        before = value["files"][number]["path"]
        value["files"][number]["path"] = to
        value["files"].sort(key=lambda file: file["path"])
        for variant in value["variants"]:
            variant["files"] = sorted(to if path == before else path for path in variant["files"])

    return change


V0 = ("variants", 0)
BOTH: list[tuple[Change, str]] = [
    (put("schema", to="edgekit.manifest/2"), "schema"),
    (put("name", to="net"), "name"),
    (put("name", to="Lab/net"), "name"),
    (put("name", to="lab/../net"), "name"),
    (put("name", to="a" * 200 + "/b"), "name"),
    (put("version", to=0), "version"),
    (put("version", to=-(2**40)), "version"),
    (put("version", to="1"), "version"),
    (put("version", to=True), "version"),
    (put("semver", to="1.0"), "semver"),
    (put("semver", to="01.0.0"), "semver"),
    (put("license", to=""), "license"),
    (put("license", to="MIT\x1b[31m"), "license"),
    (put("files", to=[]), "files"),
    (put("files", to={}), "files"),
    (put("variants", to=[]), "variants"),
    (put("files", 0, "sha256", to="AB" * 32), "sha256"),
    (put("files", 0, "sha256", to="ab"), "sha256"),
    (put("files", 0, "size_bytes", to=-1), "size"),
    (put("files", 0, "size_bytes", to=2**41), "size"),
    (put("files", 0, "role", to="virus"), "role"),
    (put("files", 0, "media_type", to="html"), "media_type"),
    (file_path(0, "../etc/passwd"), "path"),
    (file_path(0, "/etc/passwd"), "path"),
    (file_path(0, "a/../../b"), "path"),
    (file_path(0, "a\\b"), "path"),
    (file_path(0, ".ssh"), "path"),
    (file_path(0, "a//b"), "path"),
    (file_path(0, "a/b/c/d/e"), "path"),
    (file_path(0, "a\0b"), "path"),
    (file_path(0, "x" * 129), "path"),
    (file_path(0, "modèle.onnx"), "path"),
    (put(*V0, "name", to="V 0"), "name"),
    (put(*V0, "files", to=[]), "files"),
    (put(*V0, "requires", "arch", to="AMD64 "), "arch"),
    (put(*V0, "requires", "ram_bytes", to=2**50), "ram_bytes"),
    (put(*V0, "requires", "runtime", "minimum", to="latest"), "minimum"),
    (put(*V0, "requires", "isa", to=["avx2; rm -rf /"]), "isa"),
    (put(*V0, "inputs", to=[]), "inputs"),
    (put(*V0, "inputs", 0, "name", to=""), "name"),
    (put(*V0, "inputs", 0, "shape", to=[1] * 9), "axes|shape"),
    (put(*V0, "inputs", 0, "shape", to=[2**40]), "shape"),
    (put(*V0, "inputs", 0, "shape", to=[1.5]), "shape"),
    (put(*V0, "inputs", 0, "dtype", to="object"), "dtype"),
    (put(*V0, "inputs", 0, "scale", to=0), "scale"),
    (put(*V0, "inputs", 0, "scale", to=-1), "scale"),
    (put(*V0, "inputs", 0, "zero_point", to=2**31), "zero_point"),
    (put(*V0, "golden", "samples", to=0), "samples"),
    (put(*V0, "golden", "samples", to=10**9), "samples"),
    (put(*V0, "golden", "rules", to=[]), "rules"),
    (put(*V0, "golden", "rules", 0, "mode", to="any"), "mode"),
    (put(*V0, "golden", "rules", 0, "bound", to=-1), "bound"),
    (put(*V0, "golden", "rules", 0, "bound", to="inf"), "bound"),
    (put(*V0, "measured", "accuracy", to="nan"), "accuracy"),
    (put(*V0, "measured", "accuracy_samples", to=-1), "accuracy_samples"),
    (put("lineage", "recipe_sha256", to="none"), "recipe_sha256"),
    (put("preprocessing", to=[1]), "preprocessing"),
    (put("forced", to=["x" * 501]), "forced"),
    (put("files", 4, "pieces", "length_bytes", to=2**19), "pieces"),
    (put("files", 4, "pieces", "sha256", to=["ab" * 32]), "pieces"),
    (put("files", 4, "pieces", "sha256", to=["ab" * 32] * 65), "pieces"),
    (put("files", 0, "addresses", "cid", to="Qm" + "a" * 44), "cid"),
    (put("files", 0, "addresses", "cid", to="../../x"), "cid"),
    (put("files", 0, "addresses", "pieces_root", to="AB" * 32), "pieces_root"),
    (put("files", 0, "addresses", "infohash", to="ab" * 20), "infohash"),
    (put("files", 0, "addresses", to="ab"), "addresses"),
    (lambda value: value["files"][0]["addresses"].pop("infohash"), "infohash"),
]
"""What the schema refuses as well as the reader."""
READER: list[tuple[Change, str]] = [
    (put("name", to="lab/net\n"), "name"),
    (put("created_with", to="edgekit\x1b]0;owned\x07"), "created_with"),
    (put("files", 0, "path", to="z.md"), "not sorted"),
    (file_path(0, "GOLDEN"), "as a file and as a folder"),
    (file_path(0, "Model.V0.onnx"), "twice"),
    (file_path(0, "manifest.json"), "uses itself"),
    (file_path(0, "Model.SIG"), "uses itself"),
    (lambda value: value["files"][1].update(sha256=value["files"][0]["sha256"], addresses=None), "of another size"),
    (put("files", 4, "pieces", "length_bytes", to=3 * 2**20), "power of two"),
    (put("files", 4, "pieces", "length_bytes", to=2**21), "make 2"),
    (
        lambda value: value["files"][0]["addresses"].update(infohash=value["files"][1]["addresses"]["infohash"]),
        "files.addresses.infohash has",
    ),
    (put("files", 0, "addresses", "cid", to=raw_cid("ab" * 32)), "its digests make"),
    (put("files", 4, "addresses", "cid", to=raw_cid("ab" * 32)), "its digests make"),
    (put("files", 0, "addresses", "cid", to="b" + "a" * 58), "CIDv1 with a sha2-256"),
    (put("files", 0, "size_bytes", to=0), "of an empty file"),
    (put("variants", 1, "name", to="v0"), "twice"),
    (put(*V0, "files", to=["absent", "card.md"]), "does not list"),
    (lambda value: value["variants"][0]["files"].reverse(), "not sorted"),
    (put(*V0, "model", to="card.md"), "as model"),
    (put(*V0, "model", to="model.v1.onnx"), "none of its files"),
    (put(*V0, "golden", "outputs", to="card.md"), "as golden"),
    (put(*V0, "golden", "outputs", to="golden/inputs.npz"), "one file for inputs and outputs"),
    (put(*V0, "golden", "rules", 0, "runtime", to="litert"), "none for 'onnxruntime'"),
    (put(*V0, "golden", "rules", 0, "mode", to="exact"), "bound"),
    (put(*V0, "golden", "rules", 0, "bound", to=128), "bound 128 for lsb"),
    (put(*V0, "golden", "rules", 0, "bound", to=1e9), "bound"),
    (lambda value: value["variants"][0]["golden"]["rules"].append(value["variants"][0]["golden"]["rules"][0]), "twice"),
    (put(*V0, "inputs", 0, "batch_axis", to=4), "batch_axis"),
    (put(*V0, "inputs", 0, "permutation", to=[0, 1, 1, 3]), "permutation"),
    (lambda value: value["variants"].pop(), "belongs to no variant"),
    (put("forced", to=["two\nlines"]), "forced"),
]
"""What only the reader can see."""


@pytest.mark.parametrize(("change", "said"), BOTH)
def test_a_wrong_shape(
    change: Change, said: str, manifest: Manifest, validator: jsonschema.protocols.Validator
) -> None:
    value = json.loads(write_manifest(manifest))
    change(value)
    with pytest.raises(MalformedError, match=said) as caught:
        read_manifest(canonical(value))
    assert len(str(caught.value)) < 500
    assert not validator.is_valid(value)


@pytest.mark.parametrize(("change", "said"), READER)
def test_parts_that_do_not_fit(change: Change, said: str, manifest: Manifest) -> None:
    value = json.loads(write_manifest(manifest))
    change(value)
    with pytest.raises(MalformedError, match=said):
        read_manifest(canonical(value))


def test_too_many_of_anything(manifest: Manifest) -> None:
    value = json.loads(write_manifest(manifest))
    value["variants"] = [{**value["variants"][0], "name": f"v{number}"} for number in range(65)]
    with pytest.raises(MalformedError, match="65 entries"):
        read_manifest(canonical(value))
    value = json.loads(write_manifest(manifest))
    value["files"] = [{**value["files"][0], "path": f"f{number:04}"} for number in range(257)]
    with pytest.raises(MalformedError, match="257 entries"):
        read_manifest(canonical(value))
    with pytest.raises(MalformedError, match="at most"):
        read_manifest(b" " * (MOST_BYTES + 1))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{}", b'{"schema":"edgekit.manifest/1"}', b"\xff\xfe", b"[" * 1000, b'{"a":1e999}']
)
def test_what_is_no_manifest_at_all(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_manifest(data)


def test_another_text_of_the_same_value_is_refused(manifest: Manifest) -> None:
    value = json.loads(write_manifest(manifest))
    for data in (
        json.dumps(value).encode(),
        write_manifest(manifest) + b"\n",
        b"\xef\xbb\xbf" + write_manifest(manifest),
    ):
        with pytest.raises(MalformedError):
            read_manifest(data)


def test_one_that_readers_would_refuse_is_not_written(manifest: Manifest) -> None:
    measured = dataclasses.replace(manifest.variants[0].measured, sqnr_db=math.inf)
    variants = (dataclasses.replace(manifest.variants[0], measured=measured), *manifest.variants[1:])
    for wrong in (
        dataclasses.replace(manifest, version=0),
        dataclasses.replace(manifest, variants=variants),
        dataclasses.replace(manifest, preprocessing={"mean": math.nan}),
        dataclasses.replace(manifest, preprocessing={"mean": "x" * MOST_BYTES}),
    ):
        with pytest.raises(MalformedError):
            write_manifest(wrong)


@given(st.data())
def test_mutated_bytes_are_refused_or_read(valid: Built, data: st.DataObject) -> None:
    """Nothing but MalformedError, whatever is changed, cut out or put in."""
    text = write_manifest(valid.draft.manifest)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 20))
    mutated = text[:at] + data.draw(st.binary(max_size=20)) + text[at + cut :]
    try:
        found = read_manifest(mutated)
    except MalformedError:
        return
    assert write_manifest(found)
