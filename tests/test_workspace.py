import errno
import os
import shutil

import pytest

from edgekit.errors import StorageError
from edgekit.workspace import open_workspace


def test_files_appear_together_and_nothing_else_remains(tmp_path):
    target = tmp_path / "out"
    with open_workspace(target) as space:
        (space.files / "a").write_text("new")
        (space.scratch / "b").write_text("")
        assert not target.exists()
        space.publish()
    assert sorted(os.listdir(tmp_path)) == ["out"]
    assert os.listdir(target) == ["a"]


def test_a_second_run_replaces_its_own_files_and_keeps_the_others(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "mine").write_text("kept")
    with open_workspace(tmp_path) as space:
        (space.files / "a").write_text("new")
        space.publish()
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), ValueError("no")])
def test_whatever_interrupts_leaves_the_old_files_and_no_scratch(tmp_path, error):
    target = tmp_path / "out"
    target.mkdir()
    (target / "a").write_text("old")

    def run():
        with open_workspace(target) as space:
            (space.files / "a").write_text("half")
            raise error

    with pytest.raises(type(error)):
        run()
    assert sorted(os.listdir(tmp_path)) == ["out"]
    assert (target / "a").read_text() == "old"


def test_a_full_disk_anywhere_in_the_run_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="No space") as caught, open_workspace(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "--out" in caught.value.hint


def test_an_error_about_something_else_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), open_workspace(tmp_path / "out"):
        raise FileNotFoundError(errno.ENOENT, "gone")


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(StorageError, match="is a file"), open_workspace(tmp_path / "out"):
        pass


def test_a_file_in_the_path_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is a file") as caught, open_workspace(tmp_path / "file" / "out"):
        pass
    assert "space" not in caught.value.hint


def test_a_name_of_any_length_that_the_file_system_takes(tmp_path):
    with open_workspace(tmp_path / ("n" * 255)) as space:
        space.publish()
    assert os.listdir(tmp_path) == ["n" * 255]
    with pytest.raises(StorageError, match="too long"), open_workspace(tmp_path / ("n" * 256)):
        pass
    assert os.listdir(tmp_path) == ["n" * 255]


@pytest.mark.parametrize(("present", "kept"), [(["report", "a", "b", "mine"], False), (["a", "b", "mine"], True)])
def test_what_only_an_earlier_run_wrote_is_removed(tmp_path, present, kept):
    for name in present:
        (tmp_path / name).write_text("old")
    with open_workspace(tmp_path) as space:
        (space.files / "report").write_text("new")
        (space.files / "a").write_text("new")
        space.publish(known=["a", "b"])
    assert (tmp_path / "b").exists() == kept
    assert (tmp_path / "mine").read_text() == "old"


def test_a_second_interruption_while_cleaning_up_leaves_nothing_either(tmp_path, monkeypatch):
    remove, calls = shutil.rmtree, []

    def interrupted_once(path, **options):
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted_once)
    with pytest.raises(KeyboardInterrupt), open_workspace(tmp_path / "out"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
