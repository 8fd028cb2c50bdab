import pytest

from edgekit.bench.probes.cpu import describe_cores, read_cores, read_isa, read_kinds, read_name
from edgekit.bench.probes.reading import Reading, reading_of


@pytest.mark.parametrize(
    ("name", "cpu", "dot"),
    [
        ("raspberry_pi_5", "Raspberry Pi 5 Model B Rev 1.0 (2x Cortex-A76)", True),
        ("raspberry_pi_4_undervolted", "Raspberry Pi 4 Model B Rev 1.4 (1x Cortex-A72)", False),
        ("jetson_nano", "NVIDIA Jetson Nano Developer Kit (1x Cortex-A57)", False),
        ("jetson_agx_xavier", "1x Carmel", False),
        ("pixel_6", "4x Cortex-A55 + 2x Cortex-A76 + 2x Cortex-X1", True),
        ("laptop", "12th Gen Intel(R) Core(TM) i5-1240P", False),
        ("qemu_user", "1x Cortex-A76", True),
    ],
)
def test_name_and_dot_product(recorded, name, cpu, dot):
    reading = reading_of(recorded(name))
    assert read_name(reading) == cpu
    assert ("asimddp" in read_isa(reading)) is dot


def test_isa_of_x86(recorded):
    assert read_isa(reading_of(recorded("laptop"))) == ("avx", "avx2", "fma", "avx_vnni")


@pytest.mark.parametrize(
    ("implementer", "part", "name"),
    [
        ("0x41", "0xd03", "Cortex-A53"),
        ("0x41", "0xd41", "Cortex-A78"),
        ("0x41", "0xd0c", "Neoverse-N1"),
        ("0x41", "0xd4f", "Neoverse-V2"),
        ("0x51", "0x804", "Kryo-4xx-Gold"),
        ("0x48", "0xd40", "Cortex-A76"),
        ("0x41", "0xfff", "implementer 0x41 part 0xfff"),
        ("0x99", "0xd03", "implementer 0x99 part 0xd03"),
    ],
)
def test_parts_are_each_implementers_own(implementer, part, name):
    assert read_cores(f"processor : 3\nCPU implementer : {implementer}\nCPU part : {part}\n") == {3: name}


def test_cores_are_described_in_their_order():
    assert describe_cores({7: "Cortex-X1", 0: "Cortex-A55", 1: "Cortex-A55"}) == "2x Cortex-A55 + 1x Cortex-X1"
    assert describe_cores({}) == ""


def test_kinds_of_a_phone_differ_by_part_and_capacity(recorded):
    kinds = read_kinds(reading_of(recorded("pixel_6")))
    assert len(kinds) == 8
    assert kinds[0] != kinds[4] != kinds[6] == kinds[7]


def test_kinds_of_a_hybrid(recorded):
    kinds = read_kinds(reading_of(recorded("laptop")))
    assert kinds == dict.fromkeys(range(4), "performance core") | dict.fromkeys((4, 5, 7), "efficiency core")


def test_equal_cores_are_one_kind(recorded):
    assert len(set(read_kinds(reading_of(recorded("firecracker_x86"))).values())) == 1


@pytest.mark.parametrize("cores", ["0-99999999999", "3-1", "x", "-", "1-", ""])
def test_a_strange_list_of_cores_is_not_spread_out(cores):
    assert len(read_kinds(Reading(files={"/sys/devices/cpu_core/cpus": cores}))) <= 1
