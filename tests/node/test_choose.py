"""Which variant a machine gets, and what it is told of those that it cannot run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.errors import NoVariantError
from edgekit.node.choose import choose
from edgekit.types.capabilities import Capabilities
from edgekit.types.manifest import Golden, Lineage, Manifest, Requires, RuntimeNeed, Variant

MB = 10**6
ORT, LITERT = RuntimeNeed("onnxruntime", "1.22.0"), RuntimeNeed("litert", "2.1.0")
VNNI = ("avx512_vnni", "avx_vnni")
SERVER = Capabilities(
    os="linux",
    arch="amd64",
    isa=("avx2", "avx512_vnni"),
    cpu="a server",
    ram_bytes=8000 * MB,
    disk_bytes=1000 * MB,
    runtimes={"onnxruntime": "1.32.0", "litert": "2.3.0"},
    providers={"onnxruntime": ("cpu",), "litert": ("cpu", "xnnpack")},
)
PI = replace(SERVER, arch="arm64", isa=("asimd",), cpu="a Pi", runtimes={"litert": "2.3.0"})


def variant(name: str, *, arch: str = "amd64", runtime: RuntimeNeed = ORT, **needs) -> Variant:
    requires = Requires("linux", arch, runtime, **{"ram_bytes": 100 * MB, "flash_bytes": 10 * MB, **needs})
    return Variant(name, "onnx-int8", "m", ("m",), requires, (), (), Golden("i", "o", 1, ()))


def manifest(*variants: Variant) -> Manifest:
    return Manifest("vision/resnet8", 3, "1.2.0", "MIT", "edgekit-ml 0", (), variants, Lineage("", "", ""))


BUNDLE = manifest(
    variant("x86-vnni", isa_any=VNNI),
    variant("x86", isa=("avx2",)),
    variant("arm", arch="arm64"),
    variant("tflite-arm", arch="arm64", runtime=LITERT),
    variant("audit", arch="any"),
)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (SERVER, "x86-vnni"),
        (replace(SERVER, isa=("avx2", "avx_vnni")), "x86-vnni"),
        (replace(SERVER, isa=("avx2",)), "x86"),
        (replace(SERVER, isa=()), "audit"),
        (PI, "tflite-arm"),
        (replace(PI, runtimes={"onnxruntime": "1.22.0"}), "arm"),
        (replace(PI, arch="riscv64", runtimes={"onnxruntime": "1.22.0"}), "audit"),
    ],
)
def test_the_first_that_fits_in_the_publishers_order(machine, expected):
    assert choose(BUNDLE, machine).name == expected


def reason(needed: Variant, machine: Capabilities, **settings) -> str:
    """Why the only variant does not fit."""
    with pytest.raises(NoVariantError) as caught:
        choose(manifest(needed), machine, **settings)
    assert list(caught.value.reasons) == [needed.name]
    return caught.value.reasons[needed.name]


@pytest.mark.parametrize(
    ("needed", "machine", "expected"),
    [
        (variant("v", arch="arm64"), SERVER, "is for arm64, this is amd64"),
        (variant("v", isa=("avx2", "amx_int8")), SERVER, "needs amx_int8, which the processor has not"),
        (
            variant("v", isa_any=VNNI),
            replace(SERVER, isa=("avx2",)),
            "needs one of avx512_vnni, avx_vnni, none of which the processor has",
        ),
        (variant("v", ram_bytes=9000 * MB), SERVER, "needs 9.0 GB of memory, there are 8.0 GB"),
        (variant("v", flash_bytes=1200 * MB), SERVER, "needs 1.2 GB of disk, 1.0 GB are free"),
        (variant("v"), replace(SERVER, runtimes={}), "needs onnxruntime 1.22.0 or newer, which is not installed"),
        (
            variant("v"),
            replace(SERVER, runtimes={"onnxruntime": "1.9.0"}),
            "needs onnxruntime 1.22.0 or newer, installed is 1.9.0",
        ),
        (
            variant("v"),
            replace(SERVER, runtimes={"onnxruntime": "1.22.0rc1"}),
            "needs onnxruntime 1.22.0 or newer, installed is 1.22.0rc1",
        ),
        (
            variant("v"),
            replace(SERVER, runtimes={"onnxruntime": "nightly"}),
            "needs onnxruntime 1.22.0 or newer, installed is nightly: 'nightly' is no version",
        ),
        (
            variant("v", runtime=RuntimeNeed("onnxruntime", "1.22.0", "cuda")),
            SERVER,
            "needs onnxruntime with cuda, here it has cpu",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_figures(needed, machine, expected):
    assert reason(needed, machine) == expected


def test_another_system_and_several_reasons_at_once():
    needed = variant("v", ram_bytes=9000 * MB)
    needed = replace(needed, requires=replace(needed.requires, os="windows"))
    assert reason(needed, SERVER) == "is for windows, this is linux; needs 9.0 GB of memory, there are 8.0 GB"


def test_what_an_update_frees_counts_as_free_disk():
    needed = variant("v", flash_bytes=1200 * MB)
    assert choose(manifest(needed), SERVER, installed_bytes=200 * MB) == needed
    assert "1.1 GB are free" in reason(needed, SERVER, installed_bytes=100 * MB)


def test_exactly_enough_is_enough():
    needed = variant("v", ram_bytes=SERVER.ram_bytes, flash_bytes=SERVER.disk_bytes)
    assert choose(manifest(needed), SERVER) == needed


def test_a_gpu_variant_is_taken_where_there_is_one():
    needed = variant("v", runtime=RuntimeNeed("onnxruntime", "1.22.0", "cuda"))
    gpu = replace(SERVER, providers={"onnxruntime": ("cpu", "cuda", "tensorrt")})
    assert choose(manifest(needed), gpu) == needed


@pytest.mark.parametrize(("version", "fits"), [("2.14.0", True), ("2.13.0", False), ("2.5.0.post1", False)])
def test_tflite_runtime_stands_in_for_litert_by_its_own_count_of_versions(version, fits):
    needed = variant("v", arch="arm64", runtime=RuntimeNeed("litert", "3.0.0"))
    machine = replace(PI, runtimes={"tflite-runtime": version})
    if fits:
        assert choose(manifest(needed), machine) == needed
    else:
        assert reason(needed, machine) == f"needs tflite-runtime 2.14.0 or newer, installed is {version}"


def test_litert_itself_goes_before_tflite_runtime():
    needed = variant("v", arch="arm64", runtime=LITERT)
    machine = replace(PI, runtimes={"tflite-runtime": "2.14.0", "litert": "1.4.0"})
    assert reason(needed, machine) == "needs litert 2.1.0 or newer, installed is 1.4.0"


def test_the_message_names_the_machine_and_every_variant():
    with pytest.raises(NoVariantError) as caught:
        choose(BUNDLE, replace(PI, runtimes={}))
    text = str(caught.value)
    assert "vision/resnet8 1.2.0 has no variant for this machine (linux/arm64, a Pi):" in text
    assert "\n  x86-vnni: is for amd64, this is arm64" in text
    assert "\n  tflite-arm: needs litert 2.1.0 or newer, which is not installed" in text
    assert caught.value.hint == "install its runtime: pip install 'onnxruntime>=1.22.0'"


def test_where_no_runtime_would_help_the_publisher_is_asked():
    with pytest.raises(NoVariantError) as caught:
        choose(BUNDLE, replace(PI, ram_bytes=MB))
    assert "ask its publisher" in caught.value.hint


def test_where_only_the_disk_is_too_small_that_is_what_to_do():
    with pytest.raises(NoVariantError) as caught:
        choose(BUNDLE, replace(SERVER, disk_bytes=1 * MB))
    assert caught.value.hint == "free some space: 10.0 MB are needed"
