import json

import pytest

from edgekit.errors import StorageError
from edgekit.report.files import write_reports


def test_both_files_are_written_whole(report, tmp_path):
    json_path, markdown_path = write_reports(report, tmp_path)
    assert json.loads(json_path.read_text(encoding="utf-8"))["schema"] == "edgekit.report/1"
    assert markdown_path.read_text(encoding="utf-8").startswith("# net\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_an_older_report_is_replaced(report, tmp_path):
    (tmp_path / "report.md").write_text("an earlier run")
    write_reports(report, tmp_path)
    assert "an earlier run" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_folder_that_is_not_there(report, tmp_path):
    with pytest.raises(StorageError, match=r"report\.json"):
        write_reports(report, tmp_path / "missing")


def test_a_target_that_cannot_be_replaced_leaves_nothing_behind(report, tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(StorageError):
        write_reports(report, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
