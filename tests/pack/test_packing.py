"""From a folder of `edgekit compress` to a bundle: the same bytes each time, signed, refused where a check failed."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import digest
from edgekit.bundle.extraction import extract
from edgekit.bundle.verify import Verdict, verify_bundle
from edgekit.errors import CheckError, InputError, KeyFileError, StorageError
from edgekit.node.selftest import self_test
from edgekit.pack.packing import Packed, pack
from edgekit.pack.settings import PackSettings
from edgekit.runtime.array_archive import read_arrays
from edgekit.seal.keys import MemoryKey, generate
from edgekit.types.manifest import Mode, Role
from tests.pack.conftest import MACHINE_NAME, SETTINGS, named_machine


@pytest.fixture(scope="session")
def packed(made: Path, key: MemoryKey, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """A bundle; not to be changed."""
    with named_machine():
        return pack(made, tmp_path_factory.mktemp("packed") / "net.edgekit", key=key, settings=SETTINGS)


@pytest.fixture(scope="session")
def verdict(packed: Packed, key: MemoryKey) -> Verdict:
    return verify_bundle(packed.path, [key.public])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change_report(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    report = json.loads((folder / "report.json").read_text())
    change(report)
    (folder / "report.json").write_text(json.dumps(report))


def test_a_bundle_is_what_its_digests_say_and_verifies(packed: Packed, verdict: Verdict) -> None:
    assert verdict.bundle_digest == packed.bundle_digest
    assert verdict.release_digest == packed.release_digest
    assert verdict.release.manifest == packed.manifest
    assert [name for name in verdict.images] == [variant.name for variant in packed.manifest.variants]
    assert any(checked.what == "provenance" for checked in verdict.checks)


def test_two_packs_on_two_dates_in_two_folders_are_the_same_bytes(
    packed: Packed, result: Path, key: MemoryKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "another place" / "deeper"
    elsewhere.parent.mkdir()
    result.rename(elsewhere)
    for path in elsewhere.iterdir():
        os.utime(path, (978_307_200, 978_307_200))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "978307200")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.chdir(elsewhere.parent)
    again = pack(Path("deeper"), Path("b.edgekit"), key=key, settings=SETTINGS)
    assert (again.bundle_digest, again.release_digest) == (packed.bundle_digest, packed.release_digest)
    assert contents(elsewhere.parent / "b.edgekit") == contents(packed.path)


def test_as_a_tar_it_is_the_same_bundle_and_the_same_bytes_twice(
    packed: Packed, made: Path, key: MemoryKey, tmp_path: Path
) -> None:
    settings = PackSettings("tests/net", 3, license="Apache-2.0", tar=True)
    one, two = (pack(made, tmp_path / name, key=key, settings=settings) for name in ("one.tar", "two.tar"))
    assert digest.of_file(one.path) == digest.of_file(two.path)
    assert verify_bundle(one.path, [key.public]).release_digest == packed.release_digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "two.tar"]


def test_who_signs_does_not_change_what_is_signed(packed: Packed, made: Path, tmp_path: Path) -> None:
    other = pack(made, tmp_path / "b", key=generate("p256"), settings=SETTINGS)
    assert other.bundle_digest == packed.bundle_digest
    assert other.release_digest != packed.release_digest


def test_every_file_is_there_with_its_role(packed: Packed, made: Path) -> None:
    roles = {file.path: file.role for file in packed.manifest.files}
    assert roles["model-card.md"] is Role.CARD
    assert roles["bom.cdx.json"] is Role.BOM
    assert roles["recipe.toml"] is Role.RECIPE
    assert roles["golden/inputs.float32.npz"] is Role.GOLDEN
    models = {path for path, role in roles.items() if role is Role.MODEL}
    assert models == {"model.int8.onnx", "model.x86.int8.onnx", "model.qop.int8.onnx", "model.int8.tflite"}
    for path in models:
        assert packed.manifest.file(path).sha256 == digest.of_file(made / path)


def test_nothing_in_it_says_where_it_was_made(packed: Packed, made: Path) -> None:
    for name, data in contents(packed.path).items():
        for place in (str(made), str(made.parent), "/home/me", MACHINE_NAME):
            assert place.encode() not in data, (name, place)


def test_lineage_leads_back_to_checkpoint_samples_and_recipe(packed: Packed, made: Path) -> None:
    report = json.loads((made / "report.json").read_text())
    lineage = packed.manifest.lineage
    assert lineage.checkpoint_sha256 == report["model"]["digest"] == digest.of_file(made.parent / "net.onnx")
    assert lineage.calibration_sha256 == report["calibration"]["digest"]
    assert lineage.recipe_sha256 == packed.manifest.file("recipe.toml").sha256


def test_a_node_finds_each_variant_to_answer_as_it_should(packed: Packed, verdict: Verdict, tmp_path: Path) -> None:
    for folder in extract(packed.path, verdict, tmp_path / "files"):
        variant = packed.manifest.variant(folder.name)
        found = self_test(folder, variant)
        assert found.samples == variant.golden.samples
        assert found.largest_difference <= variant.golden.rules[0].bound
        if variant.format == "onnx-qop":
            assert found.mode is Mode.EXACT


def test_a_node_finds_another_model_under_the_same_name(packed: Packed, verdict: Verdict, tmp_path: Path) -> None:
    """The golden answers are those of this model: a file with one other weight fails the self-test."""
    from edgekit.errors import SelfTestError

    (folder,) = extract(packed.path, verdict, tmp_path / "files", variant="onnx-qop")
    data = bytearray((folder / "model.qop.int8.onnx").read_bytes())
    weights = np.frombuffer(data, np.int8)
    runs = [place for place in range(len(weights) - 216) if np.abs(weights[place : place + 8].astype(int)).min() > 40]
    place = runs[0]
    data[place : place + 8] = bytes((-weights[place : place + 8]).view(np.uint8))
    (folder / "model.qop.int8.onnx").write_bytes(data)
    with pytest.raises(SelfTestError):
        self_test(folder, packed.manifest.variant("onnx-qop"))


def test_requirements_are_what_was_measured_and_counted(packed: Packed) -> None:
    for variant in packed.manifest.variants:
        sizes = sum(packed.manifest.file(path).size_bytes for path in variant.files)
        assert variant.requires.flash_bytes == sizes
        assert 40 * 2**20 < variant.requires.ram_bytes < 2**30
    exact = packed.manifest.variant("onnx-qop")
    assert (exact.requires.arch, exact.requires.runtime.minimum) == ("any", "1.18.1")
    assert packed.manifest.variants[-1] is exact


def test_inputs_and_outputs_carry_their_scales(packed: Packed) -> None:
    for variant in packed.manifest.variants:
        assert all(spec.scale and spec.zero_point is not None for spec in (*variant.inputs, *variant.outputs))
        assert [spec.dtype for spec in (*variant.inputs, *variant.outputs)] == ["float32", "float32"]


def test_integers_at_the_border_are_packed_too(made_int8: Path, key: MemoryKey, tmp_path: Path) -> None:
    packed = pack(made_int8, tmp_path / "b", key=key, settings=SETTINGS)
    dtypes = {variant.format: variant.inputs[0].dtype for variant in packed.manifest.variants}
    assert set(dtypes.values()) <= {"int8", "uint8"}
    verdict = verify_bundle(packed.path, [key.public])
    for folder in extract(packed.path, verdict, tmp_path / "files"):
        variant = packed.manifest.variant(folder.name)
        given = read_arrays(folder / variant.golden.inputs, limit_bytes=2**20)
        assert given["image"].dtype == variant.inputs[0].dtype
        self_test(folder, variant)


def missed_budget(report: dict[str, Any]) -> None:
    judgement = {"limit": "min_sqnr", "format": "onnx-int8", "allowed": 40.0, "measured": 22.0, "met": False}
    report["judgements"] = [judgement]


def does_not_run(report: dict[str, Any]) -> None:
    report["check"]["artifacts"][2]["error"] = "the runtime refuses it"


def error_finding(report: dict[str, Any]) -> None:
    report["findings"].append(
        {"code": "bad-thing", "message": "it is bad in /home/me/x.npz", "severity": "error", "where": "", "hint": ""}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (missed_budget, "the budget is missed: min_sqnr 40 dB, measured 22 dB in onnx-int8"),
        (does_not_run, "model.x86.int8.onnx does not run: the runtime refuses it"),
        (error_finding, "bad-thing: it is bad in x.npz"),
    ],
)
def test_what_failed_its_check_is_refused_and_recorded_when_forced(
    change: Callable[[dict[str, Any]], None], message: str, result: Path, key: MemoryKey, tmp_path: Path
) -> None:
    change_report(result, change)
    with pytest.raises(CheckError) as caught:
        pack(result, tmp_path / "b", key=key, settings=SETTINGS)
    assert message in str(caught.value)
    assert "--force" in caught.value.hint
    assert not (tmp_path / "b").exists()
    forced = PackSettings("tests/net", 3, force=True)
    packed = pack(result, tmp_path / "b", key=key, settings=forced)
    assert packed.manifest.forced == (message,)
    verify_bundle(packed.path, [key.public])


def test_a_file_that_is_not_the_one_that_was_checked(result: Path, key: MemoryKey, tmp_path: Path) -> None:
    model = result / "model.int8.onnx"
    shutil.copyfile(result / "model.fp32.onnx", model)
    with pytest.raises(CheckError, match=r"model\.int8\.onnx is not the file that was checked"):
        pack(result, tmp_path / "b", key=key, settings=SETTINGS)
    packed = pack(result, tmp_path / "b", key=key, settings=PackSettings("tests/net", 3, force=True))
    assert packed.manifest.file("model.int8.onnx").sha256 == digest.of_file(model)
    assert "model.int8.onnx is not the file that was checked" in packed.manifest.forced[0]


def test_a_file_that_is_missing_is_left_out_only_when_forced(result: Path, key: MemoryKey, tmp_path: Path) -> None:
    (result / "model.x86.int8.onnx").unlink()
    with pytest.raises(CheckError, match=r"model\.x86\.int8\.onnx is missing"):
        pack(result, tmp_path / "b", key=key, settings=SETTINGS)
    packed = pack(result, tmp_path / "b", key=key, settings=PackSettings("tests/net", 3, force=True))
    assert "onnx-x86" not in {variant.format for variant in packed.manifest.variants}
    assert packed.manifest.forced == ("model.x86.int8.onnx is missing",)


def test_a_file_that_its_runtime_cannot_run(result: Path, key: MemoryKey, tmp_path: Path) -> None:
    """The report was told that it is this file; the runtime is not to be told anything."""
    model = result / "model.int8.tflite"
    data = bytearray(model.read_bytes())
    data[8:64] = bytes(56)
    model.write_bytes(data)

    def believe(report: dict[str, Any]) -> None:
        entry = next(each for each in report["check"]["artifacts"] if each["artifact"]["format"] == "tflite-int8")
        entry["artifact"]["digest"] = digest.of_file(model)

    change_report(result, believe)
    with pytest.raises((CheckError, InputError), match=r"model\.int8\.tflite"):
        pack(result, tmp_path / "b", key=key, settings=SETTINGS)
    assert not (tmp_path / "b").exists()


def test_a_bundle_that_is_there_is_replaced_and_nothing_else_is(
    packed: Packed, made: Path, key: MemoryKey, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(packed.path, tmp_path / "b"))
    pack(made, out, key=key, settings=PackSettings("tests/net", 4))
    assert verify_bundle(out, [key.public]).version == 4
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "photo.png").write_bytes(b"1")
    (tmp_path / "note.tar").write_text("not a bundle")
    for name, tar in (("precious", False), ("note.tar", False), ("note.tar", True), ("precious", True)):
        with pytest.raises(InputError):
            pack(made, tmp_path / name, key=key, settings=PackSettings("tests/net", 4, tar=tar))
    assert (tmp_path / "precious" / "photo.png").read_bytes() == b"1"
    assert (tmp_path / "note.tar").read_text() == "not a bundle"


def test_the_folder_has_to_be_one_of_compress(tmp_path: Path, key: MemoryKey) -> None:
    (tmp_path / "empty").mkdir()
    for folder, message in (("absent", "there is no folder"), ("empty", r"there is no report\.json")):
        with pytest.raises(InputError, match=message):
            pack(tmp_path / folder, tmp_path / "b", key=key, settings=SETTINGS)


def test_a_key_for_channels_signs_no_model(made: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="P-256"):
        pack(made, tmp_path / "b", key=generate("ed25519"), settings=SETTINGS)


def timed(*, onnx: tuple[float, float, float], tflite: tuple[float, float, float]) -> Callable[[dict[str, Any]], None]:
    """Times over the float file's, on x86: estimate and ends of the interval."""

    def change(report: dict[str, Any]) -> None:
        report["check"]["machine"]["system"] = "Linux x86_64"
        for entry in report["check"]["artifacts"]:
            ratio = {"onnx-x86": onnx, "tflite-int8": tflite}.get(entry["artifact"]["format"])
            if ratio:
                told = dict(zip(("estimate", "low", "high"), ratio, strict=True))
                entry["latency"] = {**entry["latency"], "rounds": 40, "ratio": {**told, "confidence": 0.95}}

    return change


def first_on_x86(packed: Packed) -> str:
    return next(each.name for each in packed.manifest.variants if each.requires.arch == "amd64")


def test_two_measurements_of_two_releases_give_one_order(result: Path, key: MemoryKey, tmp_path: Path) -> None:
    """A node that changes its variant has no predecessor of the file to take a delta from."""
    wide = (0.49, 0.40, 0.62)
    found = {}
    for name, onnx, tflite in (
        ("once", (0.50, 0.49, 0.51), (0.49, 0.48, 0.50)),
        ("again", (0.49, 0.48, 0.50), (0.50, 0.49, 0.51)),
        ("busy", wide, (0.38, 0.30, 0.45)),
        ("better", (0.50, 0.49, 0.51), (0.40, 0.38, 0.42)),
    ):
        change_report(result, timed(onnx=onnx, tflite=tflite))
        packed = pack(result, tmp_path / name, key=key, settings=SETTINGS)
        found[name] = first_on_x86(packed)
        assert packed.manifest.variant("tflite-int8-amd64").measured.latency_ratio == tflite[0]
    assert found == {"once": "onnx-x86", "again": "onnx-x86", "busy": "onnx-x86", "better": "tflite-int8-amd64"}


def test_the_publisher_says_what_comes_first(result: Path, key: MemoryKey, tmp_path: Path) -> None:
    change_report(result, timed(onnx=(0.5, 0.49, 0.51), tflite=(0.2, 0.19, 0.21)))
    settings = PackSettings("tests/net", 3, first=("onnx-x86",))
    assert first_on_x86(pack(result, tmp_path / "b", key=key, settings=settings)) == "onnx-x86"
    with pytest.raises(InputError, match="no file of the format 'onnx-arm' is there to come first") as caught:
        pack(result, tmp_path / "c", key=key, settings=PackSettings("tests/net", 3, first=("onnx-arm",)))
    assert "onnx-x86, tflite-int8, onnx-int8, onnx-qop" in caught.value.hint
    assert not (tmp_path / "c").exists()


def test_licence_and_golden_inputs_of_ones_own(made: Path, key: MemoryKey, tmp_path: Path) -> None:
    (tmp_path / "licence.txt").write_text("Do as you like.\n")
    images = np.random.default_rng(5).normal(0, 1, (3, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "g.npz", image=images, labels=np.arange(3))
    settings = PackSettings(
        "tests/net",
        3,
        license="LicenseRef-mine",
        license_file=tmp_path / "licence.txt",
        golden=tmp_path / "g.npz",
    )
    packed = pack(made, tmp_path / "b", key=key, settings=settings)
    assert packed.manifest.file("LICENSE").role is Role.LICENSE
    assert {variant.golden.samples for variant in packed.manifest.variants} == {3}
    (folder,) = extract(packed.path, verify_bundle(packed.path, [key.public]), tmp_path / "files", variant="onnx-x86")
    given = read_arrays(folder / "golden/inputs.float32.npz", limit_bytes=2**20)["image"]
    assert np.array_equal(given, images[:, None])
    assert (folder / "LICENSE").read_text() == "Do as you like.\n"


@pytest.mark.parametrize(("room", "what"), [(100, "temporary files"), (3_000, "b: File too large")])
def test_a_full_disk_leaves_nothing(room: int, what: str, made: Path, key: MemoryKey, tmp_path: Path) -> None:
    """A limit on the size of a file stands for it: the write fails in the middle, as ENOSPC does."""
    np.savez(tmp_path / "g.npz", image=np.zeros((1, 3, 8, 8), np.float32))
    settings = PackSettings("tests/net", 3, golden=tmp_path / "g.npz")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        with pytest.raises(StorageError, match=what):
            pack(made, tmp_path / "b", key=key, settings=settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [path.name for path in tmp_path.iterdir()] == ["g.npz"]


@pytest.mark.parametrize("tar", [False, True])
def test_an_interruption_leaves_nothing(
    tar: bool, made: Path, key: MemoryKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.oci.layout import LayoutWriter

    def interrupt(self: LayoutWriter, index: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LayoutWriter, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pack(made, tmp_path / "b", key=key, settings=PackSettings("tests/net", 3, tar=tar))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changes_while_it_is_packed(
    result: Path, key: MemoryKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.pack import packing

    real: Callable[..., Any] = packing.make_documents

    def change(*arguments: Any) -> Any:
        with (result / "model.x86.int8.onnx").open("r+b") as stream:
            stream.write(b"x")
        return real(*arguments)

    monkeypatch.setattr(packing, "make_documents", change)
    with pytest.raises(InputError, match="changed while it was packed"):
        pack(result, tmp_path / "b", key=key, settings=SETTINGS)
    assert not (tmp_path / "b").exists()


def manifest_of(folder: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def test_the_manifest_travels_with_each_variant(packed: Packed, verdict: Verdict, tmp_path: Path) -> None:
    (folder,) = extract(packed.path, verdict, tmp_path / "files", variant="onnx-qop")
    assert manifest_of(folder)["name"] == "tests/net"
    assert {"model-card.md", "bom.cdx.json", "recipe.toml", "model.sig"} <= {path.name for path in folder.iterdir()}
