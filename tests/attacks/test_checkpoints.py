"""Hostile and broken model files: nothing in them runs, each gets its own error, nothing is left behind.

Every payload would create a file or folder. Where a library can be made to run it, a control shows that it does, so
that the tests cannot pass because the attack is broken.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.checkpoint import open_model
from edgekit.load.program import load_program

Edit = Callable[[dict[str, bytes]], None]


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """The file or folder that must not come into being."""
    path = tmp_path / "owned"
    yield path
    assert not path.exists(), "the payload ran"


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Path]:
    """The work folder, which must be empty after a failure."""
    path = tmp_path / "work"
    yield path
    assert not path.exists() or not list(path.iterdir()), "half-written files were left"


def refused(path: Path, workdir: Path, message: str) -> ModelLoadError:
    with pytest.raises(ModelLoadError, match=message) as caught:
        open_model(path, workdir=workdir)
    return caught.value


def runs(action: Callable[[], object], target: Path) -> None:
    """Control: done without edgekit, this attack succeeds."""
    with contextlib.suppress(Exception):  # what matters is what happened before the error
        action()
    assert target.exists(), "the control did not run: the attack itself is broken"
    if target.is_dir():
        target.rmdir()
    else:
        target.unlink()


# Pickles


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_bare_pickle(protocol: int, target: Path, workdir: Path) -> None:
    path = target.with_name("model.pt")
    path.write_bytes(pickle.dumps({"state_dict": Payload(target)}, protocol))
    runs(lambda: pickle.loads(path.read_bytes()), target)
    error = refused(path, workdir, r"holds pickled Python objects and would run code to load: (posix|nt).mkdir")
    assert "--trust-pickle" in error.hint
    assert "state_dict" in error.hint


@pytest.mark.parametrize("is_zip", [True, False])
def test_pickle_in_torch_save(is_zip: bool, target: Path, workdir: Path) -> None:
    path = target.with_name("weights.pth")
    value = {"state_dict": nn.Linear(2, 2).state_dict(), "extra": Payload(target)}
    torch.save(value, path, _use_new_zipfile_serialization=is_zip)
    runs(lambda: torch.load(path, weights_only=False), target)
    refused(path, workdir, "would run code to load: (posix|nt).mkdir")


def test_pickle_called_safetensors(target: Path, workdir: Path) -> None:
    path = target.with_name("model.safetensors")
    path.write_bytes(pickle.dumps(Payload(target)))
    refused(path, workdir, "would run code to load")


@pytest.mark.parametrize("is_zip", [True, False])
def test_pickled_module_is_known_without_unpickling(is_zip: bool, target: Path, workdir: Path) -> None:
    path = target.with_name("model.pt")
    torch.save(nn.Sequential(nn.Linear(2, 2)), path, _use_new_zipfile_serialization=is_zip)
    error = refused(path, workdir, r"holds a pickled torch module .* torch\.nn\.modules\.container\.Sequential")
    assert "--model" in error.hint
    assert "torch.export.save" in error.hint


def test_trusted_pickle_without_its_code(target: Path, workdir: Path) -> None:
    path = target.with_name("model.pt")
    path.write_bytes(b"\x80\x02cmy_vanished_package.nets\nNet\n)\x81.")
    with pytest.raises(ModelLoadError, match=r"needs code that is not here: ModuleNotFoundError: .*my_vanished"):
        open_model(path, workdir=workdir, trust_pickle=True)


# torch.export programs


@pytest.fixture
def program(tmp_path: Path) -> Callable[[Edit], Path]:
    """Save a program, change its members, save it again."""

    def make(edit: Edit) -> Path:
        sizes = {"input": {0: torch.export.Dim.DYNAMIC}}
        saved = torch.export.export(nn.Linear(3, 2), (torch.ones(2, 3),), dynamic_shapes=sizes)
        source, path = io.BytesIO(), tmp_path / "model.pt2"
        torch.export.save(saved, source)
        with zipfile.ZipFile(source) as file:
            root = file.namelist()[0].partition("/")[0]
            members = {name.partition("/")[2]: file.read(name) for name in file.namelist()}
        edit(members)
        with zipfile.ZipFile(path, "w") as file:
            for name, data in members.items():
                file.writestr(f"{root}/{name}", data)
        return path

    return make


def graph_edit(change: Callable[[dict[str, object]], object]) -> Edit:
    def edit(members: dict[str, bytes]) -> None:
        value = json.loads(members["models/model.json"])
        change(value)
        members["models/model.json"] = json.dumps(value).encode()

    return edit


def pickled(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def test_example_inputs_that_unpickle(program: Callable[[Edit], Path], target: Path, workdir: Path) -> None:
    """torch falls back to weights_only=False for them."""
    path = program(lambda members: members.update({"data/sample_inputs/model.pt": pickled(((Payload(target),), {}))}))
    runs(lambda: torch.export.load(path), target)
    refused(path, workdir, r"the pickle data/sample_inputs/model.pt holds more than tensors")


def test_weights_that_unpickle(program: Callable[[Edit], Path], target: Path, workdir: Path) -> None:
    def edit(members: dict[str, bytes]) -> None:
        config = json.loads(members["data/weights/model_weights_config.json"])
        config["config"]["weight"]["use_pickle"] = True
        members["data/weights/model_weights_config.json"] = json.dumps(config).encode()
        members["data/weights/weight_0"] = pickled(Payload(target))

    path = program(edit)
    runs(lambda: torch.export.load(path), target)
    refused(path, workdir, r"'weight' is stored as a pickled object \(weight_0\)")


def test_opaque_constants_that_unpickle(program: Callable[[Edit], Path], target: Path, workdir: Path) -> None:
    def edit(members: dict[str, bytes]) -> None:
        row = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        members["data/constants/model_constants_config.json"] = json.dumps({"config": {"c": row}}).encode()
        members["data/constants/opaque_obj_0"] = pickle.dumps(Payload(target))

    path = program(edit)
    runs(lambda: torch.export.load(path), target)
    refused(path, workdir, "'c' is stored as a pickled object")


def test_legacy_weights_that_unpickle(program: Callable[[Edit], Path], target: Path, workdir: Path) -> None:
    path = program(lambda members: members.update({"data/weights/model.pt": pickled({"weight": Payload(target)})}))
    runs(lambda: torch.export.load(path), target)
    refused(path, workdir, "the pickle data/weights/model.pt holds more than tensors")


def test_a_size_that_is_python(program: Callable[[Edit], Path], target: Path, workdir: Path) -> None:
    code = f"__import__('pathlib').Path({str(target)!r}).touch()"

    def change(value: dict[str, object]) -> None:
        sizes = value["graph_module"]["graph"]["tensor_values"]["input"]["sizes"]  # type: ignore[index]
        sizes[0]["as_expr"]["expr_str"] = code

    path = program(graph_edit(change))
    runs(lambda: torch.export.load(path), target)
    refused(path, workdir, r"a size is the text \"__import__\('pathlib'\)")


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s0').__class__",
        "(lambda: 1)()",
        "Max('__import__(\"os\")', 1)",
        "Symbol(\"__import__('os')\")",
        "[x for x in (1,)]",
        "eval('1')",
        "s0.func",
        "f'{1}'",
        "1 if 1 else 2",
        "Max(*[1])",
        "(" * 3000,
    ],
)
def test_other_python_as_a_size(text: str, program: Callable[[Edit], Path], workdir: Path) -> None:
    def change(value: dict[str, object]) -> None:
        sizes = value["graph_module"]["graph"]["tensor_values"]["input"]["sizes"]  # type: ignore[index]
        sizes[0]["as_expr"]["expr_str"] = text

    refused(program(graph_edit(change)), workdir, "a size is the text")


def test_guards_are_dropped_not_run(program: Callable[[Edit], Path], target: Path, workdir: Path) -> None:
    code = f"__import__('pathlib').Path({str(target)!r}).touch()"
    path = program(graph_edit(lambda value: value.update(guards_code=[code])))
    runs(lambda: torch.export.load(path).module()(torch.ones(2, 3)), target)
    workdir.mkdir()
    assert load_program(path, workdir=workdir)._guards_code == []
    assert open_model(path, workdir=workdir).inputs[0].shape == (1, 3)
    for file in workdir.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    "call",
    [
        "torch.ops.load_library",
        "torch.load",
        "torch.hub.load",
        "torch.os.system",
        "torch.ops.aten.from_file.default",
        "_operator.methodcaller",
        "math.__loader__.load_module",
        "#namespace:op",
        "torch.ops.aten.add.Tensor.__call__",
        "os.system",
    ],
)
def test_a_node_that_calls_anything(call: str, program: Callable[[Edit], Path], workdir: Path) -> None:
    def change(value: dict[str, object]) -> None:
        value["graph_module"]["graph"]["nodes"][0]["target"] = call  # type: ignore[index]

    refused(program(graph_edit(change)), workdir, f"a node calls '{call}'")


def test_containers_that_import(program: Callable[[Edit], Path], target: Path, workdir: Path) -> None:
    """A tree spec names a module for an enum, and torch imports it."""
    module = target.with_name("edgekit_attack_module.py")
    module.write_text(f"import os; os.mkdir({str(target)!r})")
    context = json.dumps([{"__enum__": True, "fqn": f"{module.stem}:X", "name": "Y"}])
    leaf = {"type": None, "context": None, "children_spec": []}

    def change(value: dict[str, object]) -> None:
        signature = value["graph_module"]["module_call_graph"][0]["signature"]  # type: ignore[index]
        spec = {"type": "builtins.dict", "context": context, "children_spec": [leaf]}
        signature["out_spec"] = json.dumps([1, spec])

    path = program(graph_edit(change))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(target.parent)
        runs(lambda: torch.export.load(path), target)
    refused(path, workdir, "inputs or outputs are packed as")


def test_machine_code_is_never_loaded(program: Callable[[Edit], Path], workdir: Path) -> None:
    path = program(lambda members: members.update({"data/aotinductor/model/model.so": b"\x7fELF"}))
    refused(path, workdir, "holds compiled machine code")


def test_a_weight_larger_than_its_file(program: Callable[[Edit], Path], workdir: Path) -> None:
    def edit(members: dict[str, bytes]) -> None:
        config = json.loads(members["data/weights/model_weights_config.json"])
        config["config"]["weight"]["tensor_meta"]["sizes"] = [{"as_int": 10**9}, {"as_int": 1000}]
        members["data/weights/model_weights_config.json"] = json.dumps(config).encode()
        members["data/weights/weight_0"] = b""

    refused(program(edit), workdir, r"'weight' declares 1000000000000 elements, but 0 bytes are stored")


@pytest.mark.parametrize("text", [b"{", b'{"a": 1, "a": 2}', b"[" * 100_000, b"\xff\xfe"])
def test_damaged_graphs(text: bytes, program: Callable[[Edit], Path], workdir: Path) -> None:
    path = program(lambda members: members.update({"models/model.json": text}))
    refused(path, workdir, r"models/model.json in model.pt2 is damaged")


def test_a_graph_that_torch_cannot_read(program: Callable[[Edit], Path], workdir: Path) -> None:
    path = program(graph_edit(lambda value: value.pop("graph_module")))
    error = refused(path, workdir, r"torch.export program that torch .* cannot read")
    assert "save it again" in error.hint


# TorchScript


class Writes(nn.Module):
    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, self.target)
        return x * self.weight


def test_torchscript_that_writes_files(target: Path, workdir: Path) -> None:
    path = target.with_name("model.pt")
    torch.jit.script(Writes(str(target))).save(str(path))
    runs(lambda: torch.jit.load(path)(torch.ones(2)), target)
    refused(path, workdir, r"its code \(code/.*\) uses 'save', which can reach files")


def test_torchscript_that_hides_the_name(tmp_path: Path, workdir: Path) -> None:
    path = tmp_path / "model.pt"
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = next(name for name in members if "/code/" in name and name.endswith(".py"))
    members[name] += b'\n  y = getattr(torch, "sa\\x76e")(x, "owned")\n'
    with zipfile.ZipFile(path, "w") as file:
        for member, data in members.items():
            file.writestr(member, data)
    refused(path, workdir, "which can reach files")


# Archives


def test_zip_bomb(tmp_path: Path, workdir: Path) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for index in range(8):
            file.writestr(f"w/data/{index}", bytes(20 << 20))
        file.writestr("w/data.pkl", b"\x80\x02}.")
    refused(path, workdir, r"has \d{6} bytes but would unpack to 1677721\d\d: a zip bomb")


def test_zip_whose_members_overlap(tmp_path: Path, workdir: Path) -> None:
    """Many directory entries that share one stored member: large without any compression."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("w/data/0", bytes(1 << 20))
        for index in range(1, 200):
            info = zipfile.ZipInfo(f"w/data/{index}")
            first = file.filelist[0]
            info.header_offset, info.file_size, info.compress_size = 0, first.file_size, first.compress_size
            info.CRC = first.CRC
            file.filelist.append(info)
            file.NameToInfo[info.filename] = info
        file._didModify = True
    path = tmp_path / "weights.pt"
    path.write_bytes(stream.getvalue())
    refused(path, workdir, "a zip bomb|damaged")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("w/data.pkl", "w/data.pkl"), "two members with the same name"),
        (("w/../../evil", "w/data.pkl"), "members outside its own folder"),
        (("/etc/evil", "w/data.pkl"), "members outside its own folder"),
    ],
)
def test_member_names(names: tuple[str, ...], message: str, tmp_path: Path, workdir: Path) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"\x80\x02}.")
    refused(path, workdir, message)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.9, 0.999])
def test_truncated_weights(is_zip: bool, share: float, tmp_path: Path, workdir: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(nn.Linear(40, 40).state_dict(), path, _use_new_zipfile_serialization=is_zip)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    error = refused(path, workdir, r"weights.pt (is a )?(is )?damaged or (truncated|cut off)")
    assert "again" in error.hint


def test_truncated_safetensors(tmp_path: Path, workdir: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    refused(path, workdir, "w.safetensors is damaged or cut off")


# ONNX


def external_model(folder: Path, location: str, *, offset: int = 0, length: int = 16) -> Path:
    """y = x * w, with w in another file."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    weight = numpy_helper.from_array(np.ones(4, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        weight.external_data.add(key=key, value=value)
    graph = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", [x], [y], [weight])
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString())
    return path


OUTSIDE = ["{outside}", "../outside.bin", "sub/../../outside.bin", "..\\outside.bin", "C:\\x", ""]


@pytest.mark.parametrize("form", OUTSIDE)
def test_external_data_outside_the_folder(form: str, tmp_path: Path, workdir: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(bytes(16))
    path = external_model(tmp_path / "model", form.format(outside=outside))
    refused(path, workdir, "weights from outside its folder|external file without a name")


def test_external_data_behind_a_link(tmp_path: Path, workdir: Path) -> None:
    (tmp_path / "outside.bin").write_bytes(bytes(16))
    path = external_model(tmp_path / "model", "w.bin")
    (path.parent / "w.bin").symlink_to(tmp_path / "outside.bin")
    refused(path, workdir, r"its data file 'w.bin' is a link to .*outside.bin, outside the model's folder")


def test_external_data_behind_a_linked_folder(tmp_path: Path, workdir: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "w.bin").write_bytes(bytes(16))
    path = external_model(tmp_path / "model", "sub/w.bin")
    (path.parent / "sub").symlink_to(tmp_path / "secrets")
    refused(path, workdir, "outside the model's folder")


def test_external_data_that_is_not_there(tmp_path: Path, workdir: Path) -> None:
    path = external_model(tmp_path / "model", "w.bin")
    error = refused(path, workdir, "keeps its weights in 'w.bin', which is not beside it")
    assert str(path.parent) in error.hint
    (path.parent / "w.bin").mkdir()
    refused(path, workdir, "which is not beside it")


@pytest.mark.parametrize(("offset", "length"), [(8, 16), (0, 64), (-4, 16), (0, 8), (4, 0), (1 << 62, 16)])
def test_external_data_that_does_not_fit(offset: int, length: int, tmp_path: Path, workdir: Path) -> None:
    path = external_model(tmp_path / "model", "w.bin", offset=offset, length=length)
    (path.parent / "w.bin").write_bytes(bytes(16))
    refused(path, workdir, r"tensor 'w' needs 16 bytes, declared are \d+ at -?\d+ of w.bin, which has 16")


def test_external_data_in_an_attribute_of_a_subgraph(tmp_path: Path, workdir: Path) -> None:
    path = external_model(tmp_path / "model", "../outside.bin")
    model = onnx.load(path, load_external_data=False)
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=model.graph.initializer[0])],
        "inner",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [4])],
    )
    del model.graph.initializer[:]
    flag = numpy_helper.from_array(np.array(True), "flag")
    model.graph.initializer.append(flag)
    model.graph.node.insert(0, helper.make_node("If", ["flag"], ["w"], then_branch=inner, else_branch=inner))
    path.write_bytes(model.SerializeToString())
    refused(path, workdir, "weights from outside its folder, '../outside.bin'")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_truncated_onnx(share: float, tmp_path: Path, workdir: Path) -> None:
    path = external_model(tmp_path / "model", "w.bin")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refused(path, workdir, "model.onnx (looks like an ONNX file, but is damaged|is an ONNX file without)")


@pytest.mark.parametrize("value", [None, 3, [1], object()])
def test_what_is_neither_model_nor_path(value: object, workdir: Path) -> None:
    with pytest.raises(ModelLoadError, match=f"a {type(value).__name__} is no model"):
        open_model(value, workdir=workdir)
