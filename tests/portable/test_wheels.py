"""Wheels: the versions of this machine, and nothing but names handed to pip."""

from __future__ import annotations

import importlib.metadata

import pytest

from edgekit.errors import DeviceError, InputError
from edgekit.portable.architectures import find_architecture
from edgekit.portable.wheels import install_wheels, pin_installed, remove_matches


def test_a_package_that_is_installed_is_pinned():
    version = importlib.metadata.version("onnxruntime")
    asked = ("onnxruntime", "onnxruntime==1.0", "no-such-package-here")
    assert pin_installed(asked) == (f"onnxruntime=={version}", "onnxruntime==1.0", "no-such-package-here")


def test_numpy_is_pinned_by_the_python_of_the_runtime_only(monkeypatch):
    assert pin_installed(["numpy"])[0].startswith("numpy==")
    monkeypatch.setattr("sys.version_info", (3, 14, 0))
    assert pin_installed(["numpy"]) == ("numpy",)


def test_an_option_is_no_package(tmp_path):
    with pytest.raises(InputError, match="'--index-url=x' is not the name of a package"):
        install_wheels(["numpy", "--index-url=x"], find_architecture("aarch64"), tmp_path)


def test_a_wheel_that_does_not_exist_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        DeviceError, match=r"cannot fetch the aarch64 wheels of edgekit-absent==1: .*No matching"
    ) as caught:
        install_wheels(["edgekit-absent==1"], find_architecture("aarch64"), tmp_path / "site")
    assert "CPython 3.11 on aarch64" in caught.value.hint


def test_an_unknown_architecture_is_told_with_the_known_ones():
    with pytest.raises(InputError, match="no portable runtime for 'armv7l'") as caught:
        find_architecture("armv7l")
    assert "aarch64 or x86_64" in caught.value.hint


def test_matches_are_removed_and_the_rest_stays(tmp_path):
    for name in ("a/tests/x.py", "a/b/tests/y.py", "a/keep.py", "lib.so.1", "lib.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "link").symlink_to("a")
    remove_matches(tmp_path, ("a/**/tests", "lib.so.*", "link", "absent/*"))
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["keep.py", "lib.so"]
    assert not (tmp_path / "link").is_symlink()
