"""What a machine has: the real one, and others from recorded texts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.node import installed
from edgekit.node import probe as looking
from edgekit.node.arm_features import feature_names
from edgekit.node.installed import installed_runtimes, offered_providers
from edgekit.node.memory_limit import memory_bytes
from edgekit.node.probe import architecture, probe

GIB = 2**30
MEMINFO = "MemTotal:        8388608 kB\nMemFree:          123456 kB\n"


def test_this_machine(tmp_path):
    found = probe(tmp_path)
    assert (found.os, found.cpu != "") == ("linux", True)
    assert found.arch in ("amd64", "arm64")
    assert set(found.isa) & {"avx2", "asimd"}
    assert 2**28 < found.ram_bytes < 2**44
    free = shutil.disk_usage(tmp_path).free
    assert abs(found.disk_bytes - free) < GIB
    assert found.runtimes["onnxruntime"].split(".")[0] == "1"
    assert found.providers["onnxruntime"][0] == "cpu"


def test_a_folder_that_is_not_there_yet_lies_where_its_parents_do(tmp_path):
    assert probe(tmp_path / "no" / "such").disk_bytes > 0


def test_nothing_is_imported_for_it(tmp_path):
    program = (
        "import sys; from pathlib import Path; from edgekit.node.probe import probe; from edgekit.node import choose;"
        "print(sorted(probe(Path('.')).runtimes));"
        "print([name for name in ('numpy', 'onnxruntime', 'ai_edge_litert', 'torch', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[1] == "[]"
    assert "onnxruntime" in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("machine", "is_64_bit", "expected"),
    [
        ("x86_64", True, "amd64"),
        ("aarch64", True, "arm64"),
        ("aarch64", False, "arm"),
        ("armv7l", False, "arm"),
        ("x86_64", False, "386"),
        ("riscv64", True, "riscv64"),
    ],
)
def test_architectures_are_called_as_oci_calls_them(machine, is_64_bit, expected):
    assert architecture(machine, is_64_bit=is_64_bit) == expected


def test_arm_features_are_bits_of_the_auxiliary_vector():
    a53, a76 = 0x8FF, 0x119FFF  # of real cores: Raspberry Pi 3 and 5
    assert feature_names(a53, 0) == {"asimd"}
    assert feature_names(a76, 0) == {"asimd", "asimddp"}
    assert feature_names(1 << 1 | 1 << 20 | 1 << 22, 1 << 1 | 1 << 13) == {"asimd", "asimddp", "sve", "sve2", "i8mm"}


def test_on_arm_the_auxiliary_vector_counts_and_cpuinfo_where_there_is_none(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("CPU part\t: 0xd0b\nFeatures\t: fp asimd asimddp crc32\n")
    monkeypatch.setattr(looking, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(looking.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(looking, "read_features", lambda: frozenset({"asimd"}))
    assert probe(tmp_path).isa == ("asimd",)
    monkeypatch.setattr(looking, "read_features", lambda: frozenset())
    assert probe(tmp_path).isa == ("asimd", "asimddp")


def control_groups(root: Path, membership: str, limits: dict[str, str]) -> dict[str, Path]:
    """Files of a kernel, with limits at some of its control groups."""
    for name, limit in limits.items():
        file = root / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{limit}\n")
    (root / "meminfo").write_text(MEMINFO)
    (root / "membership").write_text(membership)
    return {"meminfo": root / "meminfo", "membership": root / "membership", "hierarchy": root / "cgroup"}


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/\n", {}, 8 * GIB),
        ("0::/\n", {"memory.max": "max"}, 8 * GIB),
        ("0::/\n", {"memory.max": str(GIB)}, GIB),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": str(2 * GIB), "memory.max": str(3 * GIB)}, 2 * GIB),
        ("0::/../../other\n", {"memory.max": str(GIB)}, GIB),
        ("0::/\n", {"memory.max": str(64 * GIB)}, 8 * GIB),
        ("5:cpu:/x\n4:memory:/docker/id\n", {"memory/docker/id/memory.limit_in_bytes": str(GIB)}, GIB),
        ("4:memory:/docker/id\n", {"memory/memory.limit_in_bytes": str(GIB)}, GIB),
        ("4:memory:/\n0::/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 8 * GIB),
        ("4:cpu,memory:/\n", {"memory/memory.limit_in_bytes": str(GIB)}, GIB),
        ("nonsense\n", {"memory.max": "-1"}, 8 * GIB),
        ("0::/\n", {"memory.max": "9" * 30}, 8 * GIB),
    ],
)
def test_the_memory_limit_of_a_container(tmp_path, membership, limits, expected):
    assert memory_bytes(**control_groups(tmp_path, membership, limits)) == expected


def test_without_proc_nothing_is_known_of_memory(tmp_path):
    assert memory_bytes(meminfo=tmp_path / "no", membership=tmp_path / "no", hierarchy=tmp_path) == 0


def distribution(folder: Path, name: str, version: str, module: str) -> None:
    """What pip leaves of a package."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if module:
        (folder / module).mkdir(exist_ok=True)
        (folder / module / "__init__.py").write_text("raise SystemExit('imported')\n")


@pytest.fixture
def packages(tmp_path, monkeypatch) -> Path:
    """A folder in the place of this environment's packages."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for module in installed.MODULES.values():  # another test may have imported it: then it is there, wherever from
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def test_no_runtime(packages):
    assert installed_runtimes() == {}


def test_distributions_of_one_module(packages):
    distribution(packages, "onnxruntime-gpu", "1.20.1", "onnxruntime")
    distribution(packages, "tflite-runtime", "2.14.0", "tflite_runtime")
    assert installed_runtimes() == {"onnxruntime": "1.20.1", "tflite-runtime": "2.14.0"}
    distribution(packages, "onnxruntime", "1.9.0", "onnxruntime")
    distribution(packages, "ai-edge-litert", "2.1.0", "ai_edge_litert")
    assert installed_runtimes() == {"onnxruntime": "1.9.0", "litert": "2.1.0", "tflite-runtime": "2.14.0"}


def test_what_uninstalling_left_behind_does_not_count(packages):
    distribution(packages, "onnxruntime", "1.22.0", "")
    assert installed_runtimes() == {}


def test_a_gpu_build_offers_its_providers_where_there_is_a_gpu(packages):
    distribution(packages, "onnxruntime-gpu", "1.22.0", "onnxruntime")
    assert offered_providers(["onnxruntime"], gpu_files=()) == {"onnxruntime": ("cpu",)}
    there = offered_providers(["onnxruntime"], gpu_files=[packages])
    assert there == {"onnxruntime": ("cpu", "cuda", "tensorrt")}
    assert installed.GPU_FILES
