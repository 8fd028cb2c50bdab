import dataclasses

from edgekit.check.merge import merge
from edgekit.check.plainly import compare_plainly


def test_files_of_several_graphs_become_one_report(small_net, samples_of):
    samples = samples_of(3)
    reports = [
        compare_plainly(small_net.list("onnx-fp32", name), quantized=small_net.quantized, held_back=samples)
        for name in ("onnx-int8", "onnx-x86")
    ]
    merged = merge(reports)
    assert [entry.artifact.format for entry in merged.artifacts] == ["onnx-fp32", "onnx-int8", "onnx-x86"]
    assert merged.baseline is reports[0].artifacts[0]
    assert merged.machine == reports[0].machine
    assert merged.seconds == reports[0].seconds + reports[1].seconds
    codes = [finding.code for finding in merged.findings]
    assert codes.count("few-held-back-samples") == 1  # said by both, told once
    assert codes.count("target-not-here") == 2  # about different files


def test_one_report_stays_as_it_is(small_net, samples_of):
    report = compare_plainly(
        small_net.list("onnx-fp32", "onnx-int8"), quantized=small_net.quantized, held_back=samples_of(2)
    )
    assert dataclasses.asdict(merge([report])) == dataclasses.asdict(report)
