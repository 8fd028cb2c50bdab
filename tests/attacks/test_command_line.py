"""Whatever is handed to `edgekit compress`: one clear error, the exit code of its family, and a folder as before."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edgekit.cli.app import run
from tests.attacks.command import MATMUL, QUICK, RANDOM, WEIGHT, Refuse, Y, save_onnx

# --- the model file ---------------------------------------------------------------------------------------------------


def test_missing_file(refuse: Refuse) -> None:
    assert "no file absent.onnx" in refuse("absent.onnx")


def test_folder_in_place_of_a_file(place: Path, refuse: Refuse) -> None:
    (place / "folder").mkdir()
    assert "is a folder" in refuse("folder")


@pytest.mark.parametrize(
    ("contents", "word"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\0" * 500, "zero bytes"),
        (RANDOM.bytes(3000), "recognized"),
        (b"\x1f\x8b" + RANDOM.bytes(100), "gzip"),
        (b"PK\x05\x06" + b"\0" * 18, "zip"),
    ],
    ids=["empty", "html", "lfs", "zeros", "noise", "gzip", "empty zip"],
)
def test_files_that_are_no_model(contents: bytes, word: str, place: Path, refuse: Refuse) -> None:
    (place / "model.pt").write_bytes(contents)
    assert word in refuse("model.pt")


CODE = """
from torch import nn

def build():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU())

def boom():
    raise RuntimeError("no such preset")

def nothing():
    pass

def leaves():
    raise SystemExit(0)

def other():
    return nn.Linear(3, 5)

def needs(width):
    return nn.Linear(width, 5)

constant = 3
"""


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of one small net in every form."""
    folder = tmp_path_factory.mktemp("forms")
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU()).eval()
    torch.save(module.state_dict(), folder / "weights.pt")
    torch.save(module.state_dict(), folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(module), folder / "script.pt")
    torch.export.save(torch.export.export(module, (torch.zeros(1, 4),)), folder / "net.pt2")
    from safetensors.torch import save_file

    save_file(module.state_dict(), folder / "weights.safetensors")
    save_onnx(folder / "net.onnx", weights={"w": np.repeat(WEIGHT, 20, axis=0)}, inputs=[("x", 1, ["N", 80])])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


FORMS = ("weights.pt", "legacy.pt", "script.pt", "net.pt2", "weights.safetensors", "net.onnx")


@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
@pytest.mark.parametrize("form", FORMS)
def test_truncated(form: str, share: float, forms: dict[str, bytes], place: Path, refuse: Refuse) -> None:
    (place / "net.py").write_text(CODE)
    (place / form).write_bytes(forms[form][: int(len(forms[form]) * share)])
    assert form in refuse(form, "--model", "net.py:build", "--input", "input:1x4")


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_damaged(form: str, seed: int, forms: dict[str, bytes], place: Path, refuse: Refuse) -> None:
    """A stretch in the structure of the file is overwritten: at its head for flat files, at its end for zips."""
    random, contents = np.random.default_rng(seed), bytearray(forms[form])
    flat = form in ("legacy.pt", "weights.safetensors", "net.onnx")
    start = random.integers(0, 40) if flat else len(contents) - random.integers(30, 120)
    contents[start : start + 30] = random.bytes(30)
    (place / "net.py").write_text(CODE)
    (place / form).write_bytes(contents)
    refuse(form, "--model", "net.py:build", "--input", "input:1x4")


class Payload:
    """Makes the folder `pwned` when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pwned",)


def zipped_pickle() -> bytes:
    stream = io.BytesIO()
    torch.save({"state_dict": {"0.weight": torch.zeros(6, 4)}, "config": Payload()}, stream)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["bare", "torch.save", "inside a checkpoint", "legacy"])
def test_a_pickle_is_never_executed(kind: str, place: Path, refuse: Refuse) -> None:
    stream = io.BytesIO()
    if kind == "bare":
        stream.write(pickle.dumps(Payload()))
    elif kind == "inside a checkpoint":
        stream.write(zipped_pickle())
    else:
        torch.save(Payload(), stream, _use_new_zipfile_serialization=kind == "torch.save")
    (place / "model.pt").write_bytes(stream.getvalue())
    (place / "net.py").write_text(CODE)
    refused = refuse("model.pt", "--model", "net.py:build", "--input", "input:1x4")
    assert "mkdir" in refused
    assert "--trust-pickle" in refused
    assert "state_dict" in refused
    assert not (place / "pwned").exists()


def test_zip_bomb(place: Path, refuse: Refuse) -> None:
    with zipfile.ZipFile(place / "model.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(300 << 20))
        archive.writestr("m/version", "3")
    assert "zip bomb" in refuse("model.pt")


@pytest.mark.parametrize("location", ["../secret.bin", "sub/../../secret.bin", "/etc/hostname", "link.bin", "gone.bin"])
def test_external_data_outside_the_folder(location: str, place: Path, refuse: Refuse) -> None:
    (place / "secret.bin").write_bytes(bytes(96))
    (place / "in").mkdir()
    (place / "in" / "link.bin").symlink_to(place / "secret.bin")
    model = onnx.load(save_onnx(place / "in" / "net.onnx"))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    onnx.save(model, place / "in" / "net.onnx")
    assert location in refuse("in/net.onnx")


def test_external_data_that_is_too_short(place: Path, refuse: Refuse) -> None:
    model = onnx.load(place / "net.onnx")
    onnx.save(model, place / "net.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (place / "w.bin").write_bytes((place / "w.bin").read_bytes()[:50])
    assert "w.bin" in refuse("net.onnx")


# --- the code that builds a model, and its inputs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factory", "word"),
    [
        ("net.py:boom", "RuntimeError: no such preset"),
        ("net.py:nothing", "NoneType"),
        ("net.py:leaves", "SystemExit"),
        ("net.py:other", "do not fit"),
        ("net.py:needs", "width"),
        ("net.py:constant", "not a function"),
        ("net.py:buid", "build"),
        ("gone.py:build", "gone.py"),
        ("broken.py:build", "SyntaxError"),
        ("no_such_package.net:build", "no_such_package"),
        ("net.py", "module:name"),
    ],
)
def test_factories(factory: str, word: str, forms: dict[str, bytes], place: Path, refuse: Refuse) -> None:
    (place / "weights.pt").write_bytes(forms["weights.pt"])
    (place / "net.py").write_text(CODE)
    (place / "broken.py").write_text("def build(:\n")
    refused = refuse("weights.pt", "--model", factory, "--input", "input:1x4")
    assert word in refused
    assert refused.error["hint"] or factory == "net.py:nothing"


def test_a_state_dict_alone_asks_for_its_code(forms: dict[str, bytes], place: Path, refuse: Refuse) -> None:
    (place / "weights.pt").write_bytes(forms["weights.pt"])
    assert "--model" in refuse("weights.pt")


def test_a_module_alone_asks_for_its_inputs(forms: dict[str, bytes], place: Path, refuse: Refuse) -> None:
    (place / "script.pt").write_bytes(forms["script.pt"])
    assert "--input" in refuse("script.pt", "--calibration", "x.npz")


@pytest.mark.parametrize("text", ["input:1x5", "input:1x4:int64", "input:1x4 other:1x4"])
def test_inputs_that_do_not_fit(text: str, forms: dict[str, bytes], place: Path, refuse: Refuse) -> None:
    (place / "weights.pt").write_bytes(forms["weights.pt"])
    (place / "net.py").write_text(CODE)
    inputs = [word for part in text.split() for word in ("--input", part)]
    assert "input" in refuse("weights.pt", "--model", "net.py:build", *inputs)


@pytest.mark.parametrize("text", ["x:1x5", "x:1x4x4", "z:1x4", "x:1x4:int32"])
def test_inputs_that_do_not_fit_an_onnx_file(text: str, refuse: Refuse) -> None:
    assert "net.onnx" in refuse("net.onnx", "--input", text)


@pytest.mark.parametrize("text", ["x", "x:", "x:axb", "x:1x0x4", "x:1x-3", "x:1x4:quaternion"])
def test_inputs_that_are_no_inputs(text: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Refused as a flag, by the command line itself."""
    assert run(["compress", "net.onnx", "--input", text]) == 2
    printed = capfd.readouterr()
    assert "Invalid value for '--input'" in printed.err
    assert "Traceback" not in printed.err


def test_an_open_dimension_asks_for_its_size(place: Path, refuse: Refuse) -> None:
    save_onnx(place / "net.onnx", inputs=[("x", TensorProto.FLOAT, ["N", "length"])])
    assert "'length'" in refuse("net.onnx", "--calibration", "x.npz")


# --- the calibration set ----------------------------------------------------------------------------------------------

NAN, INF = np.ones((16, 4), np.float32), np.ones((16, 4), np.float32)
NAN[3, 1], INF[5, 2] = np.nan, np.inf


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((0, 4), np.float32), "no sample"),
        (NAN, "sample 3"),
        (INF, "sample 5"),
        (np.zeros((16, 5), np.float32), "(16, 5)"),
        (np.array(["a", "b"]), "not numbers"),
        (np.array([None, {}], dtype=object), "pickle"),
    ],
    ids=["empty", "nan", "inf", "shape", "text", "objects"],
)
def test_arrays_that_cannot_calibrate(array: np.ndarray, word: str, place: Path, refuse: Refuse) -> None:
    np.savez(place / "bad.npz", x=array)
    assert word in refuse("net.onnx", "--calibration", "bad.npz")


@pytest.mark.parametrize("name", ["absent.npz", "cut.npz", "empty.npy", "notes.txt", "images", "."])
def test_data_that_is_not_there(name: str, place: Path, refuse: Refuse) -> None:
    (place / "cut.npz").write_bytes((place / "x.npz").read_bytes()[:200])
    (place / "empty.npy").touch()
    (place / "notes.txt").write_text("photos are on the other disk")
    (place / "images").mkdir()
    refused = refuse("net.onnx", "--calibration", name)
    assert refused.error["type"] == "CalibrationError"
    assert refused.error["hint"]


def test_a_corrupt_image_is_named(place: Path, refuse: Refuse) -> None:
    from PIL import Image

    (place / "images").mkdir()
    for index in range(4):
        Image.new("RGB", (16, 16), (index * 50, 9, 9)).save(place / "images" / f"{index}.jpg")
    (place / "images" / "2.jpg").write_bytes((place / "images" / "2.jpg").read_bytes()[:200])
    conv = [helper.make_node("Conv", ["x", "w"], ["y"])]
    shapes = {"inputs": [("x", 1, ["N", 3, 16, 16])], "outputs": [("y", 1, ["N", 2, 14, 14])]}
    save_onnx(place / "conv.onnx", conv, {"w": RANDOM.normal(size=(2, 3, 3, 3)).astype(np.float32)}, **shapes)
    assert "2.jpg" in refuse("conv.onnx", "--calibration", "images", "--preprocess", "imagenet")


DATA = """
import numpy as np

def raises():
    raise ValueError("the bucket is gone")

def breaks():
    yield np.zeros((8, 4), np.float32)
    raise OSError("connection lost")

def nothing():
    return None
"""


@pytest.mark.parametrize(
    ("function", "word"),
    [("raises", "bucket"), ("breaks", "connection lost"), ("nothing", "NoneType"), ("gone", "gone")],
)
def test_data_functions(function: str, word: str, place: Path, refuse: Refuse) -> None:
    (place / "data.py").write_text(DATA)
    assert word in refuse("net.onnx", "--calibration", f"data.py:{function}")


# --- models that cannot be compressed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["NonZero", "Det"])
def test_operators_without_a_form_are_listed_before_the_work(op: str, place: Path, refuse: Refuse) -> None:
    shape = ["N", 4, 4] if op == "Det" else ["N", 4]
    kind = TensorProto.FLOAT if op == "Det" else TensorProto.INT64
    nodes = [helper.make_node(op, ["x"], ["y"])]
    save_onnx(place / "net.onnx", nodes, {}, inputs=[("x", 1, shape)], outputs=[("y", kind, None)])
    refused = refuse("net.onnx", "--calibration", "x.npz", code=3)
    assert refused.error["type"] == "UnsupportedOpError"
    assert op in refused


def test_operators_of_another_domain(place: Path, refuse: Refuse) -> None:
    nodes = [helper.make_node("Warp", ["x"], ["y"], domain="my.ops")]
    save_onnx(place / "net.onnx", nodes, {}, outputs=[("y", 1, ["N", 4])], domain="my.ops")
    assert "my.ops.Warp" in refuse("net.onnx", code=3)


def test_torch_operators_are_named_with_their_module(place: Path, refuse: Refuse) -> None:
    (place / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Spectrum(nn.Module):\n    def forward(self, x):\n        return torch.fft.rfft(x).abs()\n"
        "class Best(nn.Module):\n    def forward(self, x):\n        return torch.topk(x, 2).values\n"
        "def build():\n    return nn.Sequential(nn.Linear(4, 6), Spectrum(), Best())\n"
    )
    layer = nn.Linear(4, 6)
    torch.save({f"0.{name}": tensor for name, tensor in layer.state_dict().items()}, place / "weights.pt")
    refused = refuse("weights.pt", "--model", "net.py:build", "--input", "input:1x4", code=3)
    assert "2 operator(s)" in refused
    assert "TopK in 2" in refused


def test_files_of_integer_operators_are_not_taken_apart(place: Path, refuse: Refuse) -> None:
    assert run(["compress", "net.onnx", "--calibration", "x.npz", "--out", "int8", "--quiet", *QUICK]) == 0
    assert "computes on integers" in refuse("int8/model.qop.int8.onnx")
    assert "TFLite" in refuse("int8/model.int8.tflite")


@pytest.mark.parametrize("data", [[], ["--calibration", "x.npz"]], ids=["no data", "data"])
def test_weights_that_are_not_finite(data: list[str], place: Path, refuse: Refuse) -> None:
    weight = WEIGHT.copy()
    weight[1, 2] = np.nan
    save_onnx(place / "net.onnx", weights={"w": weight})
    assert "NaN" in refuse("net.onnx", *data)


@pytest.mark.parametrize("case", ["no nodes", "no inputs"])
def test_graphs_without_anything_to_compress(case: str, place: Path, refuse: Refuse) -> None:
    if case == "no nodes":
        save_onnx(place / "net.onnx", [], {}, outputs=[("x", 1, ["N", 4])])
    else:
        save_onnx(
            place / "net.onnx", [helper.make_node("Identity", ["w"], ["y"])], inputs=[], outputs=[("y", 1, [4, 6])]
        )
    assert "net.onnx" in refuse("net.onnx")


@pytest.mark.parametrize("kind", ["no weights", "all zero", "tiny", "huge", "tied", "shared"])
def test_odd_graphs_are_compressed_all_the_same(kind: str, place: Path) -> None:
    weight = {"all zero": WEIGHT * 0, "tiny": WEIGHT * 1e-30, "huge": WEIGHT * 1e30}.get(kind, WEIGHT)
    again = helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["y", "t"], ["z"])
    if kind == "no weights":
        save_onnx(place / "net.onnx", [helper.make_node("Relu", ["x"], ["y"])], {}, outputs=[("y", 1, ["N", 4])])
    elif kind == "tied":
        save_onnx(place / "net.onnx", [*MATMUL, *again], outputs=[("z", 1, ["N", 4])])
    elif kind == "shared":
        nodes = [*MATMUL, helper.make_node("Neg", ["x"], ["n"]), helper.make_node("MatMul", ["n", "w"], ["z"])]
        save_onnx(place / "net.onnx", nodes, outputs=[Y, ("z", 1, ["N", 6])])
    else:
        save_onnx(place / "net.onnx", weights={"w": weight})
    assert run(["compress", "net.onnx", "--calibration", "x.npz", "--out", "out", "--quiet", *QUICK]) == 0
    report = json.loads((place / "out" / "report.json").read_text())
    for entry in report["check"]["artifacts"][1:]:
        assert entry["error"] == ""
        assert entry["reference"]["max_lsb"] <= 1
