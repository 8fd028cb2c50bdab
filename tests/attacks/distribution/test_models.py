"""Models and golden files that attack whoever reads them, T21: on the runtime's process, on the node, on its files.

All of it is signed by the publisher whose key the node trusts: a publisher whose build machine is taken over can sign,
and must not thereby get at anything but its own model.
"""

from __future__ import annotations

import io
import os
import resource
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto

from edgekit.errors import SelfTestError
from tests.attacks.distribution.realm import Realm
from tests.attacks.distribution.releases import model_bytes
from tests.node.stand_ins import write_stand_in

# What a model's file leads to.


def external(location: str) -> bytes:
    """A model whose weights lie elsewhere."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 6], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "96")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model_bytes(3, tensor=tensor)


LOCATIONS = [
    "../../../../secret",
    "/secret",
    "./../../../../secret",
    "link",
    "*/_ORT_MEM_ADDR_/*",
    "/proc/self/environ",
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_external_data_outside_of_the_slot(realm: Realm, location: str) -> None:
    """The weights of a signed model are to be a file of this machine: it would come out as what the model answers."""
    secret = realm.folder / "secret"
    secret.write_bytes(np.full(24, 0.75, np.float32).tobytes())  # just what the golden answers were made with
    place = str(secret) if location == "/secret" else location
    mirror = realm.offer(
        realm.bundle(3, contents={"model.onnx": external(place), "other.onnx": external(place) + b"\x3a\x00"})
    )
    with pytest.raises(SelfTestError, match="which is none of its files"):
        realm.update(mirror)
    assert realm.answer() == 2
    assert realm.events()[-2:] == ["refused 3", "refused 3"]


LOADED = """
def loaded(file):
    import pathlib
    pathlib.Path({mark!r}).write_text(file)
"""


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_runtime_is_never_shown_external_data_outside_of_the_slot(
    realm: Realm, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runtimes before onnxruntime 1.24 read it: the node itself has to look before one is started."""
    mark = realm.folder / "loaded"
    stand_in = write_stand_in(realm.folder / "runtime", LOADED.format(mark=str(mark)))
    monkeypatch.setenv("PYTHONPATH", str(stand_in))
    mirror = realm.offer(realm.bundle(3, contents={"model.onnx": external(location), "other.onnx": external(location)}))
    with pytest.raises(SelfTestError):
        realm.update(mirror)
    assert not mark.exists(), "the runtime was given the file"


# What explodes.


def npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(shape: str, dtype: str = "<f4", data: bytes = b"") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("unpickled",)


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb(), Bomb()], dtype=object), allow_pickle=True)
    return npz({"y.npy": stream.getvalue()})


def bomb() -> bytes:
    """256 MiB of zeros in one megabyte."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("y.npy", "w", force_zip64=True) as target,
    ):
        target.write(npy("(2, 1, 6)"))
        block = bytes(2**22)
        for _ in range(2**28 // len(block)):
            target.write(block)
    return stream.getvalue()


GOLDEN: list[tuple[str, Callable[[], bytes]]] = [
    ("pickled objects", pickled),
    ("a bomb", bomb),
    ("a huge shape", lambda: npz({"y.npy": npy("(1000000000000, 1, 6)")})),
    ("a shape beyond 64 bits", lambda: npz({"y.npy": npy("(999999999999999, 999999999999999, 999999999999999)")})),
    ("a negative shape", lambda: npz({"y.npy": npy("(-2, 1, 6)")})),
    ("code for a shape", lambda: npz({"y.npy": npy("__import__('os').mkdir('unpickled')")})),
    ("a member that is a path", lambda: npz({"../../evil.npy": npy("(2, 1, 6)", data=bytes(48))})),
    ("a thousand members", lambda: npz({f"y{number}.npy": npy("()", data=bytes(4)) for number in range(1000)})),
    ("no archive", lambda: b"PK\x03\x04 and nothing"),
    ("values that are no numbers", lambda: npz({"y.npy": npy("(2, 1, 6)", data=b"\xff" * 48)})),
]


@pytest.mark.parametrize("make", [make for _, make in GOLDEN], ids=[name for name, _ in GOLDEN])
def test_golden_answers_that_attack_the_reader(
    realm: Realm, make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(realm.folder)
    mirror = realm.offer(realm.bundle(3, contents={"golden.outputs.npz": make()}))
    before, peak = realm.outside(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SelfTestError):
        realm.update(mirror)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 200_000, "kilobytes"
    assert realm.outside() == before
    assert realm.answer() == 2
    assert realm.events()[2:] == ["refused 3", "refused 3"]


@pytest.mark.parametrize(
    "make", [pickled, lambda: npz({"x.npy": npy("(1000000000000, 1, 4)")})], ids=["pickles", "huge"]
)
def test_golden_inputs_that_attack_the_models_process(realm: Realm, make: Callable[[], bytes]) -> None:
    """They are read by the process that the model runs in."""
    mirror = realm.offer(realm.bundle(3, contents={"golden.inputs.npz": make()}))
    before = realm.outside()
    with pytest.raises(SelfTestError):
        realm.update(mirror)
    assert realm.outside() == before
    assert realm.answer() == 2


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x08" * 100, b"\x3a\xff\xff\xff\xff\x7f", b"\x0a\x80" * 50_000])
def test_models_that_are_no_models(realm: Realm, data: bytes) -> None:
    """The runtime refuses or dies, in its own process."""
    mirror = realm.offer(realm.bundle(3, contents={"model.onnx": data + b" ", "other.onnx": data + b"  "}))
    with pytest.raises(SelfTestError):
        realm.update(mirror)
    assert realm.answer() == 2
