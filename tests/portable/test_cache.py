"""The cache: whole folders or none, whoever builds them and however they end."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edgekit.errors import StorageError
from edgekit.portable.cache import cache_folder, ensure_built, find_built, key_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(text: str):
    return lambda folder: (folder / "file").write_text(text)


def test_its_place_is_chosen_in_three_ways(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("EDGEKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "edgekit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "edgekit"


def test_a_key_tells_ingredients_apart():
    keys = {key_of("a", ["b"]), key_of("a", ["c"]), key_of("ab"), key_of("a", "b"), key_of(["a", "b"])}
    assert len(keys) == 5
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_what_is_there_is_not_built_again(cache):
    assert find_built("thing", "k1") is None
    built = ensure_built("thing", "k1", write("first"))
    assert built == cache / "thing-k1" == find_built("thing", "k1")
    assert (ensure_built("thing", "k1", write("second")) / "file").read_text() == "first"
    assert (ensure_built("thing", "k2", write("second")) / "file").read_text() == "second"
    assert built.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_a_build_that_fails_leaves_nothing(cache, interruption):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise interruption

    with pytest.raises(interruption):
        ensure_built("thing", "k", fail)
    assert [path.name for path in cache.iterdir()] == [".thing-k.lock"]
    ensure_built("thing", "k", write("whole"))


def test_what_a_killed_build_left_is_removed(cache):
    left = cache / ".thing-k.building-abc"
    left.mkdir(parents=True)
    (cache / ".thing-other.building-abc").mkdir()
    ensure_built("thing", "k", write(""))
    assert not left.exists()
    assert (cache / ".thing-other.building-abc").exists()


def test_two_that_come_together_build_once():
    begun, go_on, builds = threading.Event(), threading.Event(), []

    def build(folder: Path) -> None:
        builds.append(folder)
        begun.set()
        assert go_on.wait(10)
        (folder / "file").write_text("")

    threads = [threading.Thread(target=ensure_built, args=("thing", "k", build)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(builds) == 1


def test_a_place_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match=r"thing-k cannot be built: Not a directory") as caught:
        ensure_built("thing", "k", write(""))
    assert "EDGEKIT_CACHE" in caught.value.hint


def test_a_disk_that_fills_up_is_told(cache):
    def fill(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left") as caught:
        ensure_built("thing", "k", fill)
    assert "free some space" in caught.value.hint
