"""Tables say what was measured, and why a row has no numbers."""

from benchmarks.peers.compression import Attempt
from benchmarks.peers.entries import ENTRIES
from benchmarks.peers.results import Row, markdown, net_result
from benchmarks.peers.scoring import FLOAT, Score
from edgekit.types.interval import Interval
from edgekit.types.report import Latency

NNCF = next(entry for entry in ENTRIES if entry.name == "nncf-default")
OLIVE = next(entry for entry in ENTRIES if entry.peer == "olive")
QUARK = next(entry for entry in ENTRIES if entry.peer == "quark")


def _latency(ratio: float) -> Latency:
    return Latency(ratio, 1.0, Interval(ratio, ratio - 0.1, ratio + 0.1), FLOAT, 15, 1)


def _table(net: str) -> str:
    rows = [
        Row(NNCF, Attempt(cpu_seconds=12.3, peak_mb=456.0), "model.onnx", 2_000_000),
        Row(OLIVE, Attempt(failure="KeyError: 'a|b'"), "model.onnx", 0),
        Row(QUARK, Attempt(cpu_seconds=7.0, peak_mb=89.0), "model.onnx", 10),
    ]
    scores: dict[str, Score | str] = {
        FLOAT: Score(100, 0.8, 1.0, float("inf")),
        "nncf-default/model.onnx": Score(100, 0.79, 0.95, 21.04),
        "quark-a8w8/model.onnx": "cannot load",
    }
    latencies = {FLOAT: _latency(1.0), "nncf-default/model.onnx": _latency(0.5)}
    return markdown({net: net_result(net, rows, scores, latencies)})


def test_a_row_has_every_number() -> None:
    assert "| NNCF | 1.00 | 0.9500 | 21.0 | 2.00 | 0.50 (0.40-0.60) | 12.3 | 456 |" in _table("keywords")


def test_a_failure_is_a_row_with_its_reason() -> None:
    assert "| Olive: KeyError: 'a/b' |  |  |" in _table("keywords")


def test_a_file_that_does_not_run_keeps_what_it_cost() -> None:
    assert "| Quark `A8W8`: cannot load |  |  |  |  |  | 7.0 | 89 |" in _table("keywords")


def test_the_photos_accuracy_is_not_quoted() -> None:
    assert "float top-1 80.0 %" in _table("keywords")
    assert "float top-1" not in _table("lite0")
