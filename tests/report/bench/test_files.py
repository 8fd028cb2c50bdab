import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from edgekit.errors import StorageError
from edgekit.report.bench.document import read_file
from edgekit.report.bench.files import BENCH_FILES, GATE_FILES, write_bench, write_gate


def test_all_files_are_written_whole(report, tmp_path):
    out = tmp_path / "new" / "folder"
    paths = write_bench(report, out)
    assert [path.name for path in paths] == list(BENCH_FILES)
    assert sorted(out.iterdir()) == sorted(paths)
    assert read_file(out / "report.json") == report
    assert (out / "report.md").read_text(encoding="utf-8").startswith("## Benchmark of ")
    assert ElementTree.parse(out / "junit.xml").getroot().tag == "testsuites"
    assert isinstance(json.loads((out / "benchmark-action.json").read_text(encoding="utf-8")), list)
    assert (out / "index.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_gate_too(gate, tmp_path):
    paths = write_gate(gate, tmp_path)
    assert [path.name for path in paths] == list(GATE_FILES)
    assert json.loads(paths[0].read_text(encoding="utf-8"))["schema"] == "edgekit.gate/1"


def test_the_same_report_is_the_same_bytes(report, tmp_path):
    first, second = (
        [path.read_bytes() for path in write_bench(report, tmp_path / name)] for name in ("first", "second")
    )
    assert first == second


def test_last_words_that_utf_8_cannot_hold(report, tmp_path):
    broken = replace(report.devices[3], error="\udcff\ud800\x1b")
    write_bench(replace(report, devices=(*report.devices[:3], broken)), tmp_path)
    assert read_file(tmp_path / "report.json").devices[3].error == "\udcff\ud800\x1b"


def test_a_folder_that_cannot_be_made(report, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageError, match="cannot make the folder out"):
        write_bench(report, tmp_path / "out")


def test_nothing_is_left_of_a_file_that_cannot_be_replaced(report, tmp_path):
    (tmp_path / "report.md").mkdir()
    with pytest.raises(StorageError, match=r"cannot write report\.md"):
        write_bench(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]
