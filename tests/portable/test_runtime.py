"""The portable runtime: its launcher in every shell, its key, and the real one under emulation."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
from pathlib import Path

import pytest

from edgekit.errors import InputError, StorageError
from edgekit.portable.architectures import find_architecture
from edgekit.portable.runtime import build_runtime, launcher_text, runtime_key
from edgekit.portable.tarball import write_tarball
from edgekit.types.progress import Silent
from tests.devices.parts import find_program, lack
from tests.portable.built import user_emulator

AARCH64 = find_architecture("aarch64")
STAND_IN = """\
#!/bin/sh
printf '%s\\n' "$@" > "$OUT"
env | sort > "$OUT.environment"
[ -z "$AGAIN" ] || { unset AGAIN; PYTHONPATH=mine exec "$AGAIN_AT" again; }
"""
"""In the place of the loader: writes down how it was called."""
SHELLS = {"dash": "dash", "bash": "bash", "busybox": "busybox-static", "mksh": "mksh"}
"""Program -> its package; mksh is Android's."""


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A runtime whose loader only tells how it was called, in a folder whose name needs quoting."""
    folder = tmp_path / "two words" / "runtime"
    (folder / "lib").mkdir(parents=True)
    (folder / "python").write_text(launcher_text(AARCH64))
    (folder / "lib" / AARCH64.loader).write_text(STAND_IN)
    for file in (folder / "python", folder / "lib" / AARCH64.loader):
        file.chmod(0o755)
    return folder


def start(words: tuple[str | Path, ...], out: Path, cwd: Path, **environment: str) -> tuple[list[str], dict[str, str]]:
    """Words and environment that the loader was called with."""
    subprocess.run(words, cwd=cwd, env={"PATH": os.environ["PATH"], "OUT": str(out), **environment}, check=True)
    lines = out.with_name(f"{out.name}.environment").read_text().splitlines()
    return out.read_text().splitlines(), dict(line.split("=", 1) for line in lines if "=" in line)


def expected(runtime: Path) -> list[str]:
    loader = ["--inhibit-cache", "--library-path", f"{runtime}/lib", f"{runtime}/bin/python3.11"]
    return [*loader, "-s", "-B", "-X", "utf8", "agent.pyz", "a b", "*", "$HOME"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_launcher_is_the_same_in_every_shell(shell, runtime, tmp_path):
    found = find_program(shell, SHELLS[shell])
    words = (found, "sh") if shell == "busybox" else (found,)
    called, _ = start((*words, runtime / "python", "agent.pyz", "a b", "*", "$HOME"), tmp_path / "out", tmp_path)
    assert called == expected(runtime)


def test_it_starts_from_anywhere(runtime, tmp_path):
    (tmp_path / "link").symlink_to(runtime)
    arguments = ("agent.pyz", "a b", "*", "$HOME")
    for words, cwd in (
        ((str(runtime / "python"),), Path("/")),
        (("./python",), runtime),
        (("runtime/python",), runtime.parent),
        (("../runtime/python",), runtime),
        (("sh", "python"), runtime),
        ((str(tmp_path / "link" / "python"),), tmp_path),
    ):
        assert start((*words, *arguments), tmp_path / "out", cwd)[0] == expected(runtime), words
    called, _ = start(
        ("python", *arguments), tmp_path / "out", tmp_path, PATH=f"{runtime}:{os.environ['PATH']}", CDPATH="/"
    )
    assert called == expected(runtime)


def test_the_environment_of_another_python_is_kept_out(runtime, tmp_path):
    theirs = dict.fromkeys(("LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP"), "")
    theirs |= {"PYTHONHOME": "/usr", "PYTHONPATH": "/usr/lib/theirs", "KEPT": "yes"}
    _, found = start((runtime / "python",), tmp_path / "out", tmp_path, **theirs)
    assert found["KEPT"] == "yes"
    assert not set(found) & {"LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP"}


def test_what_it_tells_its_own_children_reaches_them(runtime, tmp_path):
    again = {"AGAIN": "1", "AGAIN_AT": str(runtime / "python"), "PYTHONPATH": "theirs"}
    called, found = start((runtime / "python", "once"), tmp_path / "out", tmp_path, **again)
    assert called[-1] == "again"
    assert found["PYTHONPATH"] == "mine"


def test_a_key_has_packages_and_architecture_in_it():
    keys = {
        runtime_key(AARCH64, ("numpy",)),
        runtime_key(AARCH64, ("numpy", "onnxruntime")),
        runtime_key(AARCH64, ("numpy==2.0.0",)),
        runtime_key(find_architecture("x86_64"), ("numpy",)),
    }
    assert len(keys) == 4


def test_an_unknown_architecture_is_refused(tmp_path):
    with pytest.raises(InputError, match="no portable runtime for 'sparc'"):
        build_runtime("sparc", tmp_path / "out.tar.gz")


@pytest.fixture(scope="module")
def real() -> Path:
    """The runtime that the emulators run."""
    return user_emulator().runtime


def emulated(real: Path, program: str) -> list[str]:
    """Lines that a program prints under emulation."""
    words = (*user_emulator().command("cortex-a53", real), "-c", program)
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd="/", timeout=300)
    return done.stdout.splitlines()


def test_it_has_the_versions_of_this_machine(real):
    names = ("numpy", "onnxruntime", "ai-edge-litert")
    found = emulated(real, f"import importlib.metadata as m; print(*(m.version(n) for n in {names}), sep='\\n')")
    assert found == [importlib.metadata.version(name) for name in names]


def test_it_uses_nothing_of_the_system(real):
    program = """
import json, sys, hashlib, random, ctypes, bz2, lzma, zipfile, resource, subprocess
import numpy, onnxruntime
from ai_edge_litert.interpreter import Interpreter
print(json.dumps([sys.path, sys.prefix, [m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)]]))
print(numpy.linalg.norm([3.0, 4.0]), hashlib.sha256(b'').hexdigest()[:8], *onnxruntime.get_available_providers())
"""
    first, second = emulated(real, program)[-2:]
    path, prefix, files = json.loads(first)
    assert prefix == str(real)
    assert all(place.startswith(str(real)) for place in (*files, *filter(None, path)))
    assert len(files) > 150
    assert second.split()[:2] == ["5.0", "e3b0c442"]
    assert "CPUExecutionProvider" in second


def test_its_modules_are_compiled(real):
    compiled = [path for path in real.rglob("*.pyc") if "unused" not in path.name]
    assert len(compiled) > 600
    flags = {int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled}
    assert flags == {1}, "bytecode that is checked against times or sources would be compiled anew"


def test_what_is_packed_is_what_was_built(real, tmp_path):
    """The file comes from the cache; no network is needed once it is there."""
    out = build_runtime("aarch64", tmp_path / "new" / "runtime.tar.gz", progress=Silent())
    write_tarball(real, tmp_path / "again.tar.gz")
    assert out.read_bytes() == (tmp_path / "again.tar.gz").read_bytes()
    assert 30e6 < out.stat().st_size < 70e6


def test_a_place_that_cannot_be_written_is_told(real, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"out cannot be written: Not a directory|File exists"):
        build_runtime("aarch64", tmp_path / "file" / "out")


def test_licences_come_along(real):
    names = {path.name for path in (real / "licenses").iterdir()}
    assert {"libc6", "libgcc-s1", "libstdc++6", "python3.11-minimal", "zlib1g"} <= names
    if not list(real.rglob("onnxruntime-*.dist-info")):
        lack("onnxruntime in the runtime")
    assert (real / "lib/python3/dist-packages/onnxruntime/LICENSE").is_file()
