import pytest

from edgekit.check.plainly import compare_plainly
from edgekit.errors import CheckError


def test_the_plain_meaning_does_not_depend_on_kernels(loud_net, samples_of):
    """Weights that saturate AVX2's pair sums: the runtime may be wrong, the meaning of the file is right."""
    net = loud_net("full")
    report = compare_plainly(net.list("onnx-fp32", "onnx-x86"), quantized=net.quantized, held_back=net.samples)
    entry = report.artifacts[1]
    assert entry.signal.sqnr_db > 25
    assert entry.latency is None
    assert entry.fusion is None


def test_what_is_wrong_in_the_file_shows(small_net, rewrite, samples_of):
    broken = dict(small_net.quantized.integers)
    broken["w1"] = -broken["w1"]
    quantized, files = rewrite(small_net.quantized, integers=broken)
    report = compare_plainly(list(files.values()), quantized=quantized, held_back=samples_of(4))
    assert report.artifacts[1].signal.sqnr_db < 15
    assert "low-agreement" in [finding.code for finding in report.findings]


def test_without_the_float_file_there_is_nothing_to_compare_with(small_net, samples_of):
    with pytest.raises(CheckError, match="no onnx-fp32 file"):
        compare_plainly(small_net.list("onnx-int8"), quantized=small_net.quantized, held_back=samples_of(2))
