"""The main job as a user meets it: any form of a model in, files that say the same thing out, a report to read."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import edgekit
from edgekit.digest import of_file
from edgekit.report.json_report import load_schema
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.types.artifact import FORMATS
from edgekit.types.recipe import FILES, CheckSettings, Recipe
from tests.flow.trained import QUICK, Project, compress, pictures
from tests.report.test_json_report import violations

INT8 = ("onnx-int8", "onnx-x86", "onnx-qop", "tflite-int8")
REPORTS = {"recipe.toml", "report.json", "report.md"}
SHAPE = "image:1x3x16x16"
QUICK_RECIPE = Recipe(check=CheckSettings(seconds=0.2))


@dataclass(frozen=True)
class Run:
    """One full run in a process of its own."""

    out: Path
    stdout: str
    stderr: str

    @property
    def report(self) -> dict:
        return json.loads(self.stdout)

    def artifact(self, format: str) -> dict:
        return next(e for e in self.report["check"]["artifacts"] if e["artifact"]["format"] == format)


@pytest.fixture(scope="module")
def full(project: Project) -> Run:
    """`edgekit compress net.pt2` with data, labels and --json."""
    out = project.new("full")
    words = ["compress", "net.pt2", "--calibration", "x.npz", "--eval", "labelled.npz", "--out", str(out), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", *words, *QUICK], cwd=project.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Run(out, done.stdout, done.stderr)


def open_file(path: Path):
    return open_tflite(path) if path.suffix == ".tflite" else open_onnx(path)


def top1(path: Path, images: np.ndarray) -> np.ndarray:
    session = open_file(path)
    name, output = session.inputs[0].name, session.outputs[0].name
    return np.array([int(session.run({name: image[None]})[output].argmax()) for image in images])


def test_all_files_are_there_and_nothing_else(full: Run) -> None:
    assert {path.name for path in full.out.iterdir()} == {*(FILES[name] for name in FORMATS), *REPORTS}
    assert not [path for path in full.out.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("format", INT8)
def test_every_int8_file_answers_like_the_torch_module(full: Run, project: Project, format: str) -> None:
    images, _ = pictures(60, 9)
    assert (top1(full.out / FILES[format], images) == project.logits(images).argmax(1)).mean() >= 0.95


def test_the_float_file_computes_what_the_torch_module_computes(full: Run, project: Project) -> None:
    images, _ = pictures(5, 9)
    found = open_onnx(full.out / FILES["onnx-fp32"]).run({"image": images})
    np.testing.assert_allclose(next(iter(found.values())), project.logits(images), atol=1e-4)


def test_json_is_all_that_stdout_holds_and_progress_is_on_stderr(full: Run) -> None:
    assert full.report == json.loads((full.out / "report.json").read_text())
    for stage in ("load", "simplify", "calibrate", "write", "check"):
        assert f"✓ {stage}" in full.stderr
    assert "Traceback" not in full.stderr
    assert "Warning" not in full.stderr


def test_the_report_obeys_its_schema(full: Run) -> None:
    schema = load_schema()
    assert violations(full.report, schema, schema) == []


def test_the_report_names_torch_modules(full: Run) -> None:
    text = (full.out / "report.md").read_text()
    assert "features.0 (Conv)" in text
    assert "head (Gemm)" in text
    assert "node_" not in text


@pytest.mark.parametrize("format", INT8)
def test_every_file_is_measured(full: Run, format: str) -> None:
    entry = full.artifact(format)
    assert entry["error"] == ""
    assert entry["signal"]["sqnr_db"] > 20
    assert entry["signal"]["top1_agreement"]["estimate"] > 0.9
    assert entry["reference"]["max_lsb"] <= 2
    assert entry["fusion"]["int8"] > entry["fusion"]["float"]
    assert entry["latency"]["ratio"]["low"] <= entry["latency"]["ratio"]["estimate"]
    assert entry["artifact"]["digest"] == of_file(full.out / FILES[format])
    assert entry["artifact"]["size_bytes"] == (full.out / FILES[format]).stat().st_size


def test_files_are_compared_with_each_other(full: Run) -> None:
    pairs = full.report["check"]["pairs"]
    assert {frozenset((pair["first"], pair["second"])) for pair in pairs} == {
        frozenset((a, b)) for a in INT8 for b in INT8 if a != b
    }
    assert all(pair["max_lsb"] <= 2 for pair in pairs)


def test_labels_give_accuracy_with_a_paired_interval(full: Run, project: Project) -> None:
    images, labels = pictures(120, 3)
    for format in ("onnx-x86", "tflite-int8"):
        accuracy = full.artifact(format)["accuracy"]
        assert accuracy["samples"] == 120
        assert accuracy["baseline"] == pytest.approx((project.logits(images).argmax(1) == labels).mean())
        assert accuracy["accuracy"] == pytest.approx((top1(full.out / FILES[format], images) == labels).mean())
        difference = accuracy["difference"]
        assert difference["estimate"] == pytest.approx(accuracy["accuracy"] - accuracy["baseline"])
        assert difference["low"] < difference["estimate"] < difference["high"]
        assert accuracy["won"] - accuracy["lost"] == round(difference["estimate"] * 120)


def test_every_int8_file_says_its_scales_and_its_source(full: Run, project: Project) -> None:
    for format in INT8:
        metadata = open_file(full.out / FILES[format]).metadata
        scales = json.loads(metadata["edgekit.scales"])
        assert scales.keys() == {"image", "output"}
        low = (-128 - scales["image"]["zero_point"]) * scales["image"]["scale"]
        assert low == pytest.approx(np.load(project.path("x.npz"))["image"].min(), rel=0.15)
        assert metadata["edgekit.source.sha256"] == of_file(project.root / "net.pt2")


def test_the_batch_stays_symbolic_in_onnx(full: Run, project: Project) -> None:
    images, _ = pictures(5, 4)
    for format in ("onnx-fp32", "onnx-int8", "onnx-x86", "onnx-qop"):
        path = full.out / FILES[format]
        for value in (*onnx.load(path).graph.input, *onnx.load(path).graph.output):
            assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
        assert next(iter(open_onnx(path).run({"image": images}).values())).shape == (5, 4)


def test_the_recipe_runs_again_to_the_same_bytes(full: Run, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    again = project.new("again")
    assert compress(project.path("net.pt2"), "--recipe", full.out / "recipe.toml", "--out", again) == 0
    for name in (FILES[format] for format in FORMATS):
        assert of_file(again / name) == of_file(full.out / name), name


FORMS = {
    "pt2": ["net.pt2"],
    "script": ["script.pt", "--input", SHAPE],
    "state dict, code from a file": ["weights.pt", "--model", "net.py:build", "--input", SHAPE],
    "safetensors, code from a package": ["weights.safetensors", "--model", "userpackage.net:build", "--input", SHAPE],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_model_gives_the_same_answers(
    form: str, full: Run, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = project.root / "userpackage"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "net.py").write_text((project.root / "net.py").read_text())
    monkeypatch.chdir(project.root)
    monkeypatch.syspath_prepend(project.root)
    out, (model, *flags) = project.new(), FORMS[form]
    assert compress(model, *flags, "--calibration", "x.npz", "--out", out, "--formats", "tflite-int8") == 0
    assert {path.name for path in out.iterdir()} == {FILES["onnx-fp32"], FILES["tflite-int8"], *REPORTS}
    images, _ = pictures(20, 9)
    expected = open_tflite(full.out / FILES["tflite-int8"])
    session = open_tflite(out / FILES["tflite-int8"])
    step = json.loads(session.metadata["edgekit.scales"])
    (scale,) = (entry["scale"] for name, entry in step.items() if name != "image")
    for image in images:
        (one,) = session.run({"image": image[None]}).values()
        (other,) = expected.run({"image": image[None]}).values()
        assert np.abs(one - other).max() <= 2.01 * scale


def test_onnx_with_its_weights_in_another_file(full: Run, project: Project) -> None:
    folder = project.root / "outside"
    folder.mkdir(exist_ok=True)
    model = onnx.load(full.out / FILES["onnx-fp32"])
    onnx.save(model, folder / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=256)
    out = project.new()
    words = ["--calibration", project.path("x.npz"), "--out", out, "--formats", "onnx-int8"]
    assert compress(folder / "net.onnx", *words) == 0
    images, _ = pictures(30, 9)
    assert (top1(out / FILES["onnx-int8"], images) == project.logits(images).argmax(1)).mean() >= 0.95


def test_bare_command_with_an_edgekit_toml_beside_the_model(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the model's name is given; factory, inputs and data stand beside it, and paths are taken from there."""
    for name in ("net.py", "weights.pt", "x.npz"):
        (tmp_path / name).write_bytes((project.root / name).read_bytes())
    (tmp_path / "edgekit.toml").write_text(
        f"[model]\nfactory = 'net.py:build'\ninputs = ['{SHAPE}']\n[calibration]\ndata = 'x.npz'\n"
        "[emit]\nformats = ['onnx-int8']\n"
    )
    monkeypatch.chdir(tmp_path.parent)
    assert compress(tmp_path / "weights.pt", "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["calibration"]["samples"] == 30
    assert "calibrated-without-data" not in {finding["code"] for finding in report["findings"]}


def test_integer_borders(full: Run, project: Project) -> None:
    out = project.new()
    assert compress(project.path("net.pt2"), "--calibration", project.path("x.npz"), "--out", out, "--io", "int8") == 0
    images, _ = pictures(10, 9)
    for format in INT8:
        session, floats = open_file(out / FILES[format]), open_file(full.out / FILES[format])
        (spec,), (result,) = session.inputs, session.outputs
        assert {spec.dtype, result.dtype} <= {"int8", "uint8"}
        assert spec.scale is not None
        assert spec.zero_point is not None
        info = np.iinfo(spec.dtype)
        for image in images:
            stored = np.clip(np.round(image / spec.scale) + spec.zero_point, info.min, info.max).astype(spec.dtype)
            (integers,) = session.run({"image": stored[None]}).values()
            (expected,) = floats.run({"image": image[None]}).values()
            found = (integers.astype(np.float64) - result.zero_point) * result.scale
            assert np.abs(found - expected).max() <= 1.01 * result.scale


def test_a_second_run_with_fewer_formats_leaves_no_file_of_the_first(project: Project, full: Run) -> None:
    out = project.new()
    source, data = full.out / FILES["onnx-fp32"], project.path("x.npz")
    assert compress(source, "--calibration", data, "--out", out) == 0
    (out / "notes.txt").write_text("mine")
    assert compress(source, "--calibration", data, "--out", out, "--formats", "onnx-qop", "--seed", "1") == 0
    assert {path.name for path in out.iterdir()} == {FILES["onnx-fp32"], FILES["onnx-qop"], "notes.txt", *REPORTS}


def test_the_model_itself_is_never_overwritten(full: Run, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = tmp_path / FILES["onnx-fp32"]
    model.write_bytes((full.out / FILES["onnx-fp32"]).read_bytes())
    before = of_file(model)
    assert compress(model, "--out", tmp_path) == 2
    assert "would overwrite model.fp32.onnx" in capfd.readouterr().err
    assert of_file(model) == before
    assert [path.name for path in tmp_path.iterdir()] == [model.name]


def test_quiet_says_nothing_when_all_is_well(project: Project, full: Run, capfd: pytest.CaptureFixture[str]) -> None:
    source = full.out / FILES["onnx-fp32"]
    words = ["--calibration", project.path("x.npz"), "--out", project.new(), "--formats", "onnx-int8"]
    assert compress(source, *words) == 0
    assert capfd.readouterr() == ("", "")


def test_every_file_says_how_an_image_becomes_its_input(project: Project, full: Run) -> None:
    folder, out = project.root / "photos", project.new()
    folder.mkdir(exist_ok=True)
    for index, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (16, 20, 24, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    spec = "mean=120,std=60,size=16,resize=18"
    words = ["--calibration", folder, "--preprocess", spec, "--out", out]
    assert compress(full.out / FILES["onnx-fp32"], *words) == 0
    for name in (FILES[format] for format in FORMATS):
        stated = json.loads(open_file(out / name).metadata["edgekit.preprocessing"])
        assert (stated["mean"], stated["std"], stated["size"], stated["resize"]) == ([120], [60], [16, 16], 18)
        assert (stated["layout"], stated["color"]) == ("NCHW", "RGB")
    assert json.loads((out / "report.json").read_text())["preprocessing"]["mean"] == [120]


def test_unicode_and_spaces_in_every_path(project: Project, full: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mein Modell – 模型"
    folder.mkdir()
    (folder / "nétz 1.onnx").write_bytes((full.out / FILES["onnx-fp32"]).read_bytes())
    (folder / "x y.npz").write_bytes((project.root / "x.npz").read_bytes())
    out = folder / "aus gabe ü"
    assert compress(folder / "nétz 1.onnx", "--calibration", folder / "x y.npz", "--out", out) == 0
    assert {path.name for path in out.iterdir()} == {*(FILES[name] for name in FORMATS), *REPORTS}
    again = folder / "noch einmal"
    assert compress(folder / "nétz 1.onnx", "--recipe", out / "recipe.toml", "--out", again) == 0
    assert of_file(again / FILES["tflite-int8"]) == of_file(out / FILES["tflite-int8"])


def labelled_loader() -> DataLoader:
    images, labels = pictures(48, 5)
    return DataLoader(TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)), batch_size=10, shuffle=True)


def test_a_live_module_in_training_is_left_as_it_was(project: Project, tmp_path: Path) -> None:
    """As a training script calls it: train() mode, a frozen submodule, a shuffled DataLoader with labels, no shapes."""
    module = project.module
    module.train()
    module.features[1].eval()  # type: ignore[index]
    flags = [child.training for child in module.modules()]
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    mode, random = torch.is_grad_enabled(), torch.random.get_rng_state()
    loader = labelled_loader()
    order = torch.random.get_rng_state()
    try:
        result = edgekit.compress(
            module, calibration=loader, evaluation=labelled_loader(), out=tmp_path / "out", recipe=QUICK_RECIPE
        )
        assert [child.training for child in module.modules()] == flags
        assert module.state_dict().keys() == state.keys()
        assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
        assert all(parameter.requires_grad and parameter.grad is not None for parameter in module.parameters())
        assert torch.is_grad_enabled() == mode
    finally:
        module.eval()
    assert torch.equal(random, order)
    images, _ = pictures(40, 9)
    assert (top1(result.files["onnx-int8"], images) == project.logits(images).argmax(1)).mean() >= 0.95
    assert result.report.calibration.samples == 36
    accuracy = next(e for e in result.report.check.artifacts if e.artifact.format == "tflite-int8").accuracy
    assert accuracy is not None
    assert accuracy.samples == 48


def test_a_generator_of_batches(project: Project, tmp_path: Path) -> None:
    images, _ = pictures(24, 5)
    batches = (torch.from_numpy(images[start : start + 8]) for start in range(0, 24, 8))
    result = edgekit.compress(
        project.module,
        calibration=batches,
        inputs=[edgekit.TensorSpec("image", (1, 3, 16, 16))],
        out=tmp_path / "out",
        recipe=QUICK_RECIPE,
    )
    assert result.report.calibration.samples + result.report.calibration.held_back == 24
    assert result.files.keys() == {"onnx-fp32", *INT8}
    assert all(path.is_file() for path in result.files.values())
