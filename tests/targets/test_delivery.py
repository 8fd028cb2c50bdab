from functools import partial

import pytest

from edgekit.check.compare import compare
from edgekit.check.machine import describe_machine
from edgekit.emit.exporter import emit
from edgekit.runtime.ort import open_onnx
from edgekit.targets import delivery
from edgekit.targets.delivery import Workshop, check_deliveries, deliver
from edgekit.targets.host import choose_for_host
from edgekit.types.plan import Plan
from edgekit.types.recipe import FILES
from edgekit.types.target import TARGETS
from tests.targets.nets import sample_set


@pytest.fixture
def net(calibrated):
    return calibrated("resnet8", 6)


@pytest.fixture
def workshop(net, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Workshop(net.graph, net.quantize, tmp_path, scratch, lambda quantized: {"made": "here"})


def test_all_targets_of_one_run_are_written_and_checked(net, workshop, tmp_path, monkeypatch):
    monkeypatch.setattr(delivery, "choose_for_host", partial(choose_for_host, latency_seconds=0.2))
    samples = sample_set(net.samples)
    deliveries, choice = deliver(list(TARGETS), Plan(), workshop, samples=samples)
    written = {artifact.format for each in deliveries for artifact in each.artifacts}
    assert written == {"onnx-vnni", "onnx-arm", "onnx-qnn", "onnx-tensorrt", "onnx-host"}
    assert choice.chosen
    float_file = net.write_float(tmp_path)
    quantized = net.quantize()
    main = emit(quantized, tmp_path / FILES["onnx-x86"], format="onnx-x86", metadata={})
    report = compare([float_file, main], quantized=quantized, held_back=samples, budget_seconds=0.5)
    merged = check_deliveries(report, deliveries, float_file=float_file, held_back=samples, budget_seconds=2.0)
    entries = {entry.artifact.format: entry for entry in merged.artifacts}
    assert set(entries) == {"onnx-fp32", "onnx-x86", *written}
    assert all(entry.signal.sqnr_db > 15 for name, entry in entries.items() if name != "onnx-fp32")
    assert entries["onnx-host"].latency is not None
    assert entries["onnx-host"].fusion.left_float == ()
    for name in ("onnx-qnn", "onnx-tensorrt"):
        assert entries[name].latency is None
    for each in deliveries:
        for artifact in each.artifacts:
            assert artifact.path.parent == tmp_path
            assert open_onnx(artifact.path).metadata["made"] == "here"


def test_general_targets_and_no_targets_add_nothing(workshop, net):
    for names in ([], ["x86-avx2", "xnnpack"]):
        assert deliver(names, Plan(), workshop, samples=sample_set(net.samples)) == ((), None)


def test_what_runs_here_follows_the_processor():
    machine = describe_machine()
    here = {target.name for target in TARGETS.values() if target.runs_on(machine)}
    assert {"host", "xnnpack"} <= here
    assert not here & {"tensorrt", "qnn"}
    assert ("x86-avx2" in here) != ("arm" in here)
