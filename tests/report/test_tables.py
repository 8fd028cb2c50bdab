import math
from dataclasses import replace

from edgekit.report.tables import NONE, decibels, tabulate_files, tabulate_layers, tabulate_pairs


def test_one_row_per_file(report):
    table = tabulate_files(report)
    assert [row[0] for row in table.rows] == ["model.fp32.onnx", "model.int8.onnx", "model.int8.tflite"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    cells = dict(zip(table.columns, table.rows[1], strict=True))
    assert cells == {
        "file": "model.int8.onnx",
        "size": "270.0 kB",
        "of float": "27.0 %",
        "SQNR": "24.1 dB",
        "same top-1": "97.5 % (93.0-99.0)",
        "LSB off": "1",
        "time": "5.2 ms",
        "time ratio": "0.65 (0.62-0.68)",
        "int8/float": "12/1",
        "accuracy": "87.5 %",
    }


def test_ends_of_intervals_can_be_left_out(report):
    table = tabulate_files(report, ends=False)
    cells = dict(zip(table.columns, table.rows[1], strict=True))
    assert (cells["same top-1"], cells["time ratio"]) == ("97.5 %", "0.65")


def test_what_was_not_measured_is_a_dash(report):
    lite = dict(zip(tabulate_files(report).columns, tabulate_files(report).rows[2], strict=True))
    assert (lite["time"], lite["time ratio"], lite["accuracy"]) == (NONE, NONE, NONE)


def test_accuracy_only_where_labels_were_given(report, report_with):
    bare = tuple(replace(entry, accuracy=None) for entry in report.check.artifacts)
    assert "accuracy" not in tabulate_files(report_with(check={"artifacts": bare})).columns


def test_a_file_that_failed_says_so(report, report_with):
    broken = replace(report.check.artifacts[1], error="bad", signal=None)
    table = tabulate_files(report_with(check={"artifacts": (report.check.artifacts[0], broken)}))
    assert "does not run" in table.rows[1]


def test_decibels_of_the_extremes():
    words = [decibels(value) for value in (math.inf, -math.inf, math.nan, None, 3.14)]
    assert words == ["exact", "lost", "not a number", NONE, "3.1 dB"]


def test_layers_that_were_scanned_and_priced(report):
    (layer,) = report.check.layers
    known = replace(layer, output_share=0.31, float_ms=-0.4, float_bytes=120_000, crest_factor=17.24)
    table = tabulate_layers((known, replace(layer, output_share=0.1)))
    first, second = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (first["of output noise"], first["float: time"], first["float: size"]) == ("31.0 %", "-400 µs", "+120.0 kB")
    assert first["peak/RMS"] == "17.2"
    assert (second["of output noise"], second["float: time"], second["float: size"]) == ("10.0 %", NONE, NONE)


def test_layers_and_pairs(report):
    (layer,) = tabulate_layers(report.check.layers).rows
    assert layer == ("features.3.conv (Conv)", "12.5 dB", "exact", "-1 to 3", "1.0", "40.0", "1.2 %", "too | narrow")
    (pair,) = tabulate_pairs(report).rows
    assert pair == ("model.int8.onnx and model.int8.tflite", "1", "100.0 %", "32")
