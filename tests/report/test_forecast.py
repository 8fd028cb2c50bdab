from edgekit.report.forecast import tell
from edgekit.types.forecast import Forecast, Verdict, group_verdicts


def verdicts(op, count, runs, reason=""):
    return [Verdict(op, f"{op.lower()}{number}", runs, reason) for number in range(count)]


def told(*found, target="arm", **options):
    return list(tell(Forecast(target, "rules", group_verdicts([each for part in found for each in part]), **options)))


def test_nodes_that_fall_back_for_one_reason_are_one_line():
    lines = told(
        verdicts("Conv", 12, "float", "its result is not quantized"),
        verdicts("Gemm", 1, "float", "its result is not quantized"),
        verdicts("Add", 2, "int8"),
        verdicts("Shape", 3, "index"),
        remarks=("odd",),
    )
    assert lines == [
        "arm: 2 of 15 nodes on int8, 13 in float (64-bit ARM CPUs, ONNX Runtime)",
        "  note: odd",
        "  float: 12 Conv, 1 Gemm: its result is not quantized [conv0, conv1, conv2, and 10 more]",
        "  int8: 2 Add",
    ]


def test_a_file_that_is_refused_as_a_whole():
    assert told(verdicts("Conv", 2, "refused", "free size"))[0].startswith("arm: cannot use this file")


def test_what_was_executed_names_the_runtime():
    found = Forecast("host", "onnxruntime 1.0 on X", group_verdicts(verdicts("QLinearConv", 2, "int8")))
    assert list(tell(found)) == [
        "host: 2 of 2 nodes on int8 (as executed: onnxruntime 1.0 on X)",
        "  int8: 2 QLinearConv",
    ]
