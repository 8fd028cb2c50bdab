"""Names of files in an ONNX file's tensors: all are found, wherever a tensor can stand, and any stranger is refused."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from edgekit.errors import MalformedError
from edgekit.runtime.external_data import check_external_data

FILES = ("net.onnx", "net.onnx.data")


def tensor(location: str) -> TensorProto:
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 6], data_location=TensorProto.EXTERNAL)
    for key, value in (("offset", "0"), ("location", location), ("length", "96")):
        made.external_data.add(key=key, value=value)
    return made


def graph(*tensors: TensorProto) -> GraphProto:
    return GraphProto(name="g", initializer=tensors)


def attribute(**fields: object) -> ModelProto:
    made = AttributeProto(name="a", **fields)
    return ModelProto(ir_version=9, graph=GraphProto(node=[onnx.NodeProto(op_type="Constant", attribute=[made])]))


def sparse(location: str) -> SparseTensorProto:
    return SparseTensorProto(values=tensor(location), dims=[4])


PLACES: dict[str, Callable[[str], ModelProto]] = {
    "an initializer": lambda name: ModelProto(graph=graph(tensor(name))),
    "the second initializer": lambda name: ModelProto(graph=graph(TensorProto(), tensor(name))),
    "a sparse initializer": lambda name: ModelProto(graph=GraphProto(sparse_initializer=[sparse(name)])),
    "indices of one": lambda name: ModelProto(
        graph=GraphProto(sparse_initializer=[SparseTensorProto(indices=tensor(name))])
    ),
    "a constant": lambda name: attribute(t=tensor(name)),
    "constants": lambda name: attribute(tensors=[TensorProto(), tensor(name)]),
    "a sparse constant": lambda name: attribute(sparse_tensor=sparse(name)),
    "sparse constants": lambda name: attribute(sparse_tensors=[sparse(name)]),
    "a branch": lambda name: attribute(g=graph(tensor(name))),
    "branches": lambda name: attribute(graphs=[graph(), graph(tensor(name))]),
    "a branch of a branch": lambda name: attribute(g=attribute(g=graph(tensor(name))).graph),
    "a function": lambda name: ModelProto(
        functions=[onnx.FunctionProto(name="f", node=attribute(t=tensor(name)).graph.node)]
    ),
    "a default of a function": lambda name: ModelProto(
        functions=[onnx.FunctionProto(attribute_proto=[AttributeProto(name="a", t=tensor(name))])]
    ),
    "training": lambda name: ModelProto(training_info=[onnx.TrainingInfoProto(algorithm=graph(tensor(name)))]),
    "the beginning of training": lambda name: ModelProto(
        training_info=[onnx.TrainingInfoProto(initialization=graph(tensor(name)))]
    ),
}


def check(folder: Path, data: bytes) -> None:
    (folder / "net.onnx").write_bytes(data)
    check_external_data(folder, "net.onnx", FILES)


@pytest.mark.parametrize("place", PLACES)
def test_a_name_is_found_wherever_it_stands(place: str, tmp_path: Path) -> None:
    check(tmp_path, PLACES[place]("net.onnx.data").SerializeToString())
    for name in (
        "../secret",
        "/etc/passwd",
        "net.onnx.data/../x",
        "",
        "*/_ORT_MEM_ADDR_/*",
        "other.data",
        "./net.onnx.data",
    ):
        with pytest.raises(MalformedError, match="which is none of its files"):
            check(tmp_path, PLACES[place](name).SerializeToString())


def test_every_way_to_a_tensor_is_known() -> None:
    """All that onnx itself can hold: a message with tensors below it that is not walked would be a way past."""
    from edgekit.runtime.external_data import _INSIDE

    kinds = {
        "ModelProto": "model", "TrainingInfoProto": "training", "FunctionProto": "function", "GraphProto": "graph",
        "SparseTensorProto": "sparse", "NodeProto": "node", "AttributeProto": "attribute", "TensorProto": "tensor",
    }  # fmt: skip
    for message, kind in kinds.items():
        fields = getattr(onnx, message).DESCRIPTOR.fields
        leading = {field.number: kinds[field.message_type.name] for field in fields
                   if field.message_type and field.message_type.name in kinds}  # fmt: skip
        assert {number: inner for number, inner in _INSIDE[kind].items() if inner != "entry"} == leading, message


def test_files_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.onnx").write_bytes(ModelProto(graph=graph(tensor("w.data"))).SerializeToString())
    check_external_data(tmp_path, "models/net.onnx", ("models/net.onnx", "models/w.data"))
    with pytest.raises(MalformedError):
        check_external_data(tmp_path, "models/net.onnx", ("models/net.onnx", "w.data"))


def test_a_field_that_comes_twice_counts_twice(tmp_path: Path) -> None:
    """Protobuf takes the last one, or merges; each is looked at."""
    good, bad = tensor("net.onnx.data").SerializeToString(), tensor("../secret").SerializeToString()
    for order in (good + bad, bad + good):
        whole = ModelProto(graph=graph(TensorProto.FromString(order))).SerializeToString()
        with pytest.raises(MalformedError):
            check(tmp_path, whole)
    entry = b"\x0a\x08location\x12\x09../secret\x12\x0dnet.onnx.data"
    inner = b"\x6a" + bytes([len(entry)]) + entry
    with pytest.raises(MalformedError):
        check(tmp_path, b"\x3a" + bytes([len(inner) + 2]) + b"\x2a" + bytes([len(inner)]) + inner)


def test_keys_that_only_look_like_it(tmp_path: Path) -> None:
    """Other entries name no file; and text that spells an entry is text."""
    made = TensorProto(name="w", data_type=1, dims=[1], raw_data=tensor("../secret").SerializeToString())
    made.external_data.add(key="checksum", value="../secret")
    check(tmp_path, ModelProto(graph=graph(made), doc_string="location ../secret").SerializeToString())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08",
        b"\x3a\x05ab",
        b"\x3b\x3c",
        b"\xff" * 12,
        b"PK\x03\x04",
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    ],
)
def test_what_cannot_be_walked_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="no intact ONNX file"):
        check(tmp_path, data)


def test_a_number_of_a_field_that_other_readers_cut_off(tmp_path: Path) -> None:
    """2**32 more than field 5: C++ reads it as field 5."""
    inner = tensor("../secret").SerializeToString()
    initializer = bytes([0x2A | 0x80, 0x80, 0x80, 0x80, 0x10, len(inner)]) + inner
    with pytest.raises(MalformedError, match="cut off"):
        check(tmp_path, b"\x3a" + bytes([len(initializer)]) + initializer)


def test_branches_without_an_end_are_refused(tmp_path: Path) -> None:
    data = b""
    for _ in range(2000):
        for number in (6, 5, 1):  # graph in attribute, attribute in node, node in graph
            length = len(data)
            size = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14])
            data = bytes([number << 3 | 2]) + size + data
    with pytest.raises(MalformedError, match="nested too deep"):
        check(
            tmp_path, b"\x3a" + bytes([len(data) & 0x7F | 0x80, len(data) >> 7 & 0x7F | 0x80, len(data) >> 14]) + data
        )


@pytest.mark.parametrize("field", [b"\x2a\x00", b"\x08\x00", b"\x00"])
def test_a_file_of_nothing_but_fields_ends_soon(field: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.runtime.external_data._MOST_FIELDS", 10_000)
    inner = field * 1_000_000
    size = len(inner)
    head = b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 21])
    start = time.monotonic()
    with pytest.raises(MalformedError):
        check(tmp_path, head + inner)
    assert time.monotonic() - start < 2


def test_an_entry_of_nothing_but_fields_ends_soon(tmp_path: Path) -> None:
    made = tensor("net.onnx.data")
    text = made.external_data[1].SerializeToString() + b"\x18\x00" * 1_000_000
    size = len(text)
    entry = b"\x6a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + text
    whole = ModelProto(graph=graph(TensorProto.FromString(entry))).SerializeToString()
    start = time.monotonic()
    with pytest.raises(MalformedError, match="says too much"):
        check(tmp_path, whole)
    assert time.monotonic() - start < 2


def test_a_real_model_with_weights_beside_it(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", 1, [1, 64])],
            [helper.make_tensor_value_info("y", 1, [1, 64])],
            [weight],
        )
    )
    onnx.save_model(made, tmp_path / "net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    check_external_data(tmp_path, "net.onnx", FILES)
    with pytest.raises(MalformedError, match=r"net\.onnx\.data"):
        check_external_data(tmp_path, "net.onnx", ("net.onnx",))


@given(st.binary(max_size=200))
def test_any_bytes_are_walked_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, suppress(MalformedError):
        check(Path(folder), data)
