"""The self-test with real models on real runtimes, and with models that crash, hang, eat memory and lie."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgekit.emit.exporter import emit
from edgekit.errors import SelfTestError, StorageError
from edgekit.node.installed import installed_runtimes
from edgekit.node.selftest import differences, self_test
from edgekit.runtime.array_archive import digest_arrays, read_arrays
from edgekit.types.manifest import Mode, Rule, RuntimeNeed, Variant
from tests.agent.profiled import net
from tests.node.stand_ins import write_stand_in
from tests.node.variants import INPUTS, OUTPUTS, SAMPLES, change_answers, litert_variant, onnx_variant, with_rule

MIB = 2**20


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    quantized = net(side=16, channels=8)
    emit(quantized, folder / "net.onnx", format="onnx-int8", metadata={})
    emit(quantized, folder / "net.tflite", format="tflite-int8", metadata={})
    return folder


@pytest.fixture(scope="module")
def packed(models, tmp_path_factory) -> dict[str, tuple[Path, Variant]]:
    """Runtime -> folder with golden files, and its variant."""
    found = {}
    for runtime, model, build in (
        ("onnxruntime", "net.onnx", onnx_variant),
        ("litert", "net.tflite", litert_variant),
    ):
        folder = tmp_path_factory.mktemp(runtime)
        shutil.copy(models / model, folder)
        found[runtime] = (folder, build(folder, model))
    return found


@pytest.fixture
def onnx(packed, tmp_path) -> tuple[Path, Variant]:
    """A copy to spoil."""
    folder, variant = packed["onnxruntime"]
    return Path(shutil.copytree(folder, tmp_path / "slot")), variant


@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_a_model_that_answers_as_its_publisher_says(packed, runtime):
    folder, variant = packed[runtime]
    found = self_test(folder, variant)
    assert (found.runtime, found.version) == (runtime, installed_runtimes()[runtime])
    assert (found.samples, found.mode, found.bound, found.largest_difference) == (SAMPLES, Mode.EXACT, 0.0, 0.0)
    golden = read_arrays(folder / OUTPUTS, limit_bytes=MIB)
    assert found.outputs_sha256 == digest_arrays(golden[spec.name] for spec in variant.outputs)


def spoil(folder: Path, by: float, *, samples: int = 1) -> None:
    """Move the first value of some samples' answers."""

    def change(arrays):
        for array in arrays.values():
            array.reshape(len(array), -1)[:samples, 0] += by
        return arrays

    change_answers(folder, change)


def test_one_value_that_differs_is_told_with_figures(onnx):
    folder, variant = onnx
    spoil(folder, 0.5, samples=2)
    with pytest.raises(SelfTestError, match=r"differs from its publisher's in 2 of \d+ values, by up to 0.5; none is"):
        self_test(folder, variant)


def test_a_bound_in_the_outputs_unit(onnx):
    folder, variant = onnx
    spoil(folder, 0.5)
    found = self_test(folder, with_rule(variant, Rule("onnxruntime", Mode.ATOL, 0.51)))
    assert found.largest_difference == pytest.approx(0.5, abs=1e-6)  # a float32 sum
    with pytest.raises(SelfTestError, match=r"by up to 0\.5; at most 0\.49 is allowed"):
        self_test(folder, with_rule(variant, Rule("onnxruntime", Mode.ATOL, 0.49)))


def test_a_bound_in_steps_of_the_outputs_scale(onnx):
    folder, variant = onnx
    scale = 0.031
    spoil(folder, 2 * scale)
    variant = replace(variant, outputs=tuple(replace(spec, scale=scale) for spec in variant.outputs))
    assert self_test(folder, with_rule(variant, Rule("onnxruntime", Mode.LSB, 2))).largest_difference == pytest.approx(
        2, abs=0.01
    )
    with pytest.raises(SelfTestError, match="by up to 2 steps; at most 1 is allowed"):
        self_test(folder, with_rule(variant, Rule("onnxruntime", Mode.LSB, 1)))


@pytest.mark.parametrize("scale", [None, 0.0, -1.0, np.nan, np.inf])
def test_steps_of_an_unknown_size_are_none(onnx, scale):
    folder, variant = onnx
    variant = replace(variant, outputs=tuple(replace(spec, scale=scale) for spec in variant.outputs))
    with pytest.raises(SelfTestError, match="does not say how large one is"):
        self_test(folder, with_rule(variant, Rule("onnxruntime", Mode.LSB, 1)))


def test_a_bound_that_is_no_number_allows_nothing(onnx):
    folder, variant = onnx
    with pytest.raises(SelfTestError, match="at most nan is allowed"):
        self_test(folder, with_rule(variant, Rule("onnxruntime", Mode.ATOL, np.nan)))


@pytest.mark.parametrize("deed", ["run = full", "numpy.savez = full"])
def test_a_full_disk_is_no_fault_of_the_models(onnx, monkeypatch, tmp_path, deed):
    folder, variant = onnx
    code = f"def full(*words, **options): raise OSError(28, os.strerror(28))\n{deed}\n"
    monkeypatch.setenv("PYTHONPATH", str(write_stand_in(tmp_path / "path", code)))
    with pytest.raises(StorageError, match=r"no room for temporary files .* No space left on device") as caught:
        self_test(folder, variant)
    assert "TMPDIR" in caught.value.hint


def test_without_a_place_for_temporary_files_it_says_so(onnx, monkeypatch, tmp_path):
    folder, variant = onnx
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no"))
    with pytest.raises(StorageError, match=r"no room for temporary files in .*no: No such file"):
        self_test(folder, variant)


def test_a_rule_for_another_runtime_only(onnx):
    folder, variant = onnx
    with pytest.raises(SelfTestError, match="no rule for onnxruntime"):
        self_test(folder, with_rule(variant, Rule("litert", Mode.EXACT)))


def test_a_bit_that_differs_is_not_exact(onnx):
    folder, variant = onnx

    def change(arrays):
        for array in arrays.values():
            bits = array.view(np.uint32)
            bits.flat[3] ^= 1
        return arrays

    change_answers(folder, change)
    with pytest.raises(SelfTestError, match="in 1 of"):
        self_test(folder, variant)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: {name: array.astype(np.float64) for name, array in arrays.items()}, "publisher has float64"),
        (lambda arrays: {name: array[:, :, :-1] for name, array in arrays.items()}, "is float32 of shape"),
        (lambda arrays: {name: array[:-1] for name, array in arrays.items()}, f"not {SAMPLES} samples"),
        (lambda arrays: {f"{name}x": array for name, array in arrays.items()}, "has answers for"),
        (lambda arrays: {name: array * np.float32("nan") for name, array in arrays.items()}, "by up to inf"),
    ],
)
def test_answers_that_cannot_be_this_models(onnx, change, message):
    folder, variant = onnx
    change_answers(folder, change)
    with pytest.raises(SelfTestError, match=message):
        self_test(folder, variant)


def test_a_batch_axis_may_be_left_out_of_the_answers(onnx):
    folder, variant = onnx
    change_answers(folder, lambda arrays: {name: array[:, 0] for name, array in arrays.items()})
    assert self_test(folder, variant).largest_difference == 0


def test_differences_of_what_is_no_number():
    inf, nan = np.inf, np.nan
    found = np.array([1, nan, nan, inf, -inf, inf, 0.0], np.float32)
    golden = np.array([3, nan, 1, inf, inf, 1, -0.0], np.float32)
    assert differences(found, golden).tolist() == [2, 0, inf, 0, inf, inf, 0]
    assert differences(np.array([-128], np.int8), np.array([127], np.int8)).tolist() == [255]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", r"variant onnxruntime-test: net.onnx is no intact ONNX file"),
        (b"\x08\x07garbage" * 100, r"variant onnxruntime-test: net.onnx is no intact ONNX file"),
        (b"\x08\x07" * 100, r"variant onnxruntime-test: the runtime refuses .*net.onnx"),
        (None, r"variant onnxruntime-test: net.onnx cannot be read"),
    ],
)
def test_a_model_that_the_runtime_refuses(onnx, contents, message):
    folder, variant = onnx
    if contents is None:
        (folder / variant.model).unlink()
    else:
        (folder / variant.model).write_bytes(contents)
    with pytest.raises(SelfTestError, match=message):
        self_test(folder, variant)


@pytest.mark.parametrize("file", [INPUTS, OUTPUTS])
@pytest.mark.parametrize("contents", [None, b"PK\x03\x04 no zip"])
def test_golden_files_that_cannot_be_read(onnx, file, contents):
    folder, variant = onnx
    (folder / file).unlink() if contents is None else (folder / file).write_bytes(contents)
    with pytest.raises(SelfTestError, match="cannot be read"):
        self_test(folder, variant)


def test_a_runtime_that_is_not_there(onnx, monkeypatch, tmp_path):
    folder, variant = onnx
    write_stand_in(tmp_path / "path", "raise ImportError('libgomp.so.1: no such file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    with pytest.raises(SelfTestError, match=r"Python there has no onnxruntime: libgomp.so.1"):
        self_test(folder, variant)


def test_a_provider_that_is_not_there(onnx):
    folder, variant = onnx
    requires = replace(variant.requires, runtime=RuntimeNeed("onnxruntime", "1.22.0", "cuda"))
    with pytest.raises(SelfTestError, match="not CUDAExecutionProvider"):
        self_test(folder, replace(variant, requires=requires))


WORST = {
    "crashes": ("def run(): os.kill(os.getpid(), 11)", r"ended its process by signal 11 \(SIGSEGV\)"),
    "is killed": ("def loaded(file): os.kill(os.getpid(), 9)", r"by signal 9 \(SIGKILL\)"),
    "aborts": ("def run(): os.abort()", r"by signal 6 \(SIGABRT\)"),
    "leaves": ("def run(): os._exit(0)", "its process ended with code 0: it said nothing"),
    "complains": (
        "def loaded(file): print('first\\nlast \\033[31mline', file=sys.stderr, flush=True); os._exit(7)",
        r"ended with code 7: last  \[31mline",
    ),
    "eats memory": (
        "def run(): numpy.ones(2**34, numpy.uint8)",
        r"cannot run the file: Unable to allocate 16\.0 GiB",
    ),
    "fills the disk": (
        "def run(): open('junk', 'wb').write(bytes(2**26))",
        "the runtime cannot run the file: .* File too large",
    ),
    "gives nothing": ("def results(fed): return []", "ValueError: need at least one array to stack"),
    "gives too much": (
        "def results(fed): return [numpy.zeros((1, 2**20), numpy.float32)]",
        "File too large",
    ),
    "gives another shape": ("def results(fed): return [numpy.zeros((1, 9), numpy.float32)]", "is float32 of shape"),
    "gives objects": ("def results(fed): return [numpy.array([[{}]])]", "cannot be read: 'output_0.npy' holds object"),
    "has other outputs": ("def names(): return ['other']", "its outputs are other, and should be output"),
    "has more outputs": (
        "def names(): return ['output', 'more']\ndef results(fed): return [fed, fed]",
        "its outputs are output, more, and should be output",
    ),
    "says that it is done": (
        """
        def run():
            print('{"event":"load","subject":0,"outputs":[{"name":"output"}]}', flush=True)
            print('{"event":"done"}', flush=True)
            os._exit(0)
        """,
        "what it gave cannot be read: No such file or directory",
    ),
    "says nonsense": (
        """
        def run():
            print('{"event":' + '[' * 100000, '{"event":1e999}', '{"event":"done"', flush=True, sep='\\n')
            os._exit(1)
        """,
        "ended with code 1",
    ),
    "puts a pipe in the place of its answers": (
        """
        import threading
        def run():
            os.mkfifo('outputs.npz')
            print('{"event":"load","subject":0,"outputs":[{"name":"output"}]}\\n{"event":"done"}', flush=True)
            os._exit(0)
        """,
        "no regular file",
    ),
}


@pytest.mark.parametrize("deed", WORST)
def test_a_model_that_does_its_worst(onnx, deed, monkeypatch, tmp_path):
    folder, variant = onnx
    code, message = WORST[deed]
    monkeypatch.setenv("PYTHONPATH", str(write_stand_in(tmp_path / "path", code)))
    variant = replace(variant, outputs=tuple(replace(spec, name="output") for spec in variant.outputs))
    change_answers(folder, lambda arrays: {"output": next(iter(arrays.values()))})
    with pytest.raises(SelfTestError, match=message) as caught:
        self_test(folder, variant, timeout_s=20)
    assert "\033" not in str(caught.value)
    assert "20 s" not in str(caught.value)


def test_a_model_that_hangs_is_ended_with_all_that_it_started(onnx, monkeypatch, tmp_path):
    folder, variant = onnx
    deed = f"""
    def run():
        if not os.fork():
            open({str(tmp_path / "child")!r}, 'w').write(str(os.getpid()))
        time.sleep(600)
    """
    monkeypatch.setenv("PYTHONPATH", str(write_stand_in(tmp_path / "path", deed)))
    start = time.monotonic()
    with pytest.raises(SelfTestError, match="came to no end within 5 s"):
        self_test(folder, variant, timeout_s=5)  # a busy machine takes some of it to start Python
    assert time.monotonic() - start < 30
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child still runs"
        time.sleep(0.05)


def test_a_real_model_that_never_ends(onnx):
    """An ONNX loop of 2**62 rounds: the hang is inside the runtime, where no Python can interrupt it."""
    onnx_helper = pytest.importorskip("onnx.helper")
    import onnx as format_of

    folder, variant = onnx
    number = format_of.TensorProto.INT64
    body = onnx_helper.make_graph(
        [onnx_helper.make_node("Identity", ["c"], ["c_out"]), onnx_helper.make_node("Add", ["v", "v"], ["v_out"])],
        "body",
        [
            onnx_helper.make_tensor_value_info("i", number, []),
            onnx_helper.make_tensor_value_info("c", format_of.TensorProto.BOOL, []),
            onnx_helper.make_tensor_value_info("v", format_of.TensorProto.FLOAT, variant.inputs[0].shape),
        ],
        [
            onnx_helper.make_tensor_value_info("c_out", format_of.TensorProto.BOOL, []),
            onnx_helper.make_tensor_value_info("v_out", format_of.TensorProto.FLOAT, variant.inputs[0].shape),
        ],
    )
    shape = variant.inputs[0].shape
    graph = onnx_helper.make_graph(
        [onnx_helper.make_node("Loop", ["rounds", "", variant.inputs[0].name], [variant.outputs[0].name], body=body)],
        "hang",
        [onnx_helper.make_tensor_value_info(variant.inputs[0].name, format_of.TensorProto.FLOAT, shape)],
        [onnx_helper.make_tensor_value_info(variant.outputs[0].name, format_of.TensorProto.FLOAT, shape)],
        [onnx_helper.make_tensor("rounds", number, [], [2**62])],
    )
    made = onnx_helper.make_model(graph, opset_imports=[onnx_helper.make_opsetid("", 17)], ir_version=9)
    format_of.save(made, folder / variant.model)
    with pytest.raises(SelfTestError, match="came to no end within 2 s"):
        self_test(folder, variant, timeout_s=2)


def test_what_a_model_gets_to_know(onnx, monkeypatch, tmp_path):
    """No passphrase, no core dumps, memory and file limits, first in line when memory runs out, another folder."""
    folder, variant = onnx
    deed = f"""
    import resource, json
    def run():
        found = dict(environment=sorted(os.environ), folder=os.getcwd(), session=os.getsid(0) == os.getpid(),
            oom=open('/proc/self/oom_score_adj').read().strip(), core=resource.getrlimit(resource.RLIMIT_CORE)[1],
            data=resource.getrlimit(resource.RLIMIT_DATA)[1], file=resource.getrlimit(resource.RLIMIT_FSIZE)[1],
            privileges=[line for line in open('/proc/self/status') if line.startswith('NoNewPrivs')])
        open({str(tmp_path / "seen")!r}, 'w').write(json.dumps(found))
    """
    monkeypatch.setenv("PYTHONPATH", str(write_stand_in(tmp_path / "path", deed)))
    monkeypatch.setenv("EDGEKIT_PASSPHRASE", "correct horse")
    with pytest.raises(SelfTestError):
        self_test(folder, variant)
    import json

    seen = json.loads((tmp_path / "seen").read_text())
    assert "EDGEKIT_PASSPHRASE" not in seen["environment"]
    assert "PATH" in seen["environment"]
    assert (seen["session"], seen["oom"], seen["core"]) == (True, "1000", 0)
    assert seen["privileges"] == ["NoNewPrivs:\t1\n"]
    assert 512 * MIB < seen["data"] < 1024 * MIB
    assert seen["file"] < 2 * MIB
    assert Path(seen["folder"]) != folder
    assert not Path(seen["folder"]).exists()


def test_files_of_a_variant_are_no_modules(onnx, monkeypatch):
    """A bundle with a `numpy.py` in it: nothing of it is imported, not even when the node runs in its folder."""
    folder, variant = onnx
    (folder / "numpy.py").write_text("raise SystemExit('imported')")
    (folder / "onnxruntime.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(folder)
    assert self_test(Path("."), variant).largest_difference == 0


def test_nothing_is_left_in_the_temporary_folder(onnx, monkeypatch, tmp_path):
    folder, variant = onnx
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    self_test(folder, variant)
    spoil(folder, 1.0)
    with pytest.raises(SelfTestError):
        self_test(folder, variant)
    assert os.listdir(tmp_path / "tmp") == []
