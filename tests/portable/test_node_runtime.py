"""A node in one folder: what is in it, and the real one unpacked and run with nothing of this machine's."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgekit.errors import InputError
from edgekit.portable.node_runtime import NODE_WHEELS, add_edgekit, build_node_runtime
from edgekit.portable.wheels import WHEELS
from edgekit.version import __version__
from tests.devices.parts import lack

PYTHON = {"python_version": "3.11", "python_full_version": "3.11.2", "extra": ""}


def needed(name: str) -> set[str]:
    """What a distribution asks for on the portable runtime, extras left out."""
    asked = map(Requirement, importlib.metadata.requires(name) or ())
    return {canonical(each.name) for each in asked if not each.marker or each.marker.evaluate(PYTHON)}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_has_all_that_the_base_installation_needs_and_no_more():
    found, left = set(), [*needed("edgekit-ml"), "cryptography", "tuf"]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(needed(name))
    assert found | set(WHEELS) == {canonical(name) for name in NODE_WHEELS}


def test_edgekit_is_put_into_a_runtime_without_what_a_node_never_runs(tmp_path):
    add_edgekit(tmp_path)
    package = tmp_path / "lib/python3/dist-packages/edgekit"
    assert (package / "node" / "update.py").is_file()
    assert (package / "bundle" / "manifest.schema.json").is_file()
    assert not (package / "testing").exists()
    assert list(package.rglob("*.cpython-311.pyc")) or platform.python_version_tuple()[:2] != ("3", "11")
    assert os.access(tmp_path / "edgekit", os.X_OK)


def test_an_unknown_architecture_is_refused(tmp_path):
    with pytest.raises(InputError, match="no portable runtime for 'sparc'"):
        build_node_runtime("sparc", tmp_path / "node.tar.gz")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The node for this machine's processor, built, moved and unpacked as on a device."""
    if os.environ.get("EDGEKIT_DEVICES") != "required":
        lack("a minute to build the portable node for this machine: EDGEKIT_DEVICES=required")
    folder = tmp_path_factory.mktemp("two words")
    archive = build_node_runtime(platform.machine(), folder / "node.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
    return folder / "runtime"


def start(*words: str | Path, cwd: Path) -> str:
    """Standard output of a program that succeeds, with nothing but PATH in its environment."""
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_command_line_starts_from_anywhere(unpacked, tmp_path):
    assert start(unpacked / "edgekit", "--version", cwd=tmp_path) == f"edgekit, version {__version__}\n"
    assert start("runtime/edgekit", "--version", cwd=unpacked.parent) == f"edgekit, version {__version__}\n"


def test_it_speaks_https_and_has_the_runtimes(unpacked, tmp_path):
    program = (
        "import httpcore2, json, ssl, tuf.ngclient; from pathlib import Path; from edgekit.node.probe import probe;"
        "from edgekit.runtime.own_python import python_words;"
        "print(json.dumps([ssl.OPENSSL_VERSION, sorted(probe(Path('.')).runtimes), python_words()]))"
    )
    version, runtimes, words = json.loads(start(unpacked / "python", "-c", program, cwd=tmp_path))
    assert version.startswith("OpenSSL 3.")
    assert runtimes == ["litert", "onnxruntime"]
    assert words == ["sh", str(unpacked / "python")]


def test_a_models_process_is_started_by_its_launcher(unpacked, tmp_path):
    program = (
        "import subprocess; from edgekit.runtime.own_python import python_words;"
        "print(subprocess.run([*python_words(), '-c', 'import onnxruntime, sys; print(sys.prefix)'],"
        " capture_output=True, text=True, check=True).stdout)"
    )
    assert start(unpacked / "python", "-c", program, cwd=tmp_path).strip() == str(unpacked)
