import pytest

from edgekit.types.cpu import read_cpuinfo

X86 = "processor\t: 0\nmodel name\t: Some CPU @ 2GHz\nflags\t\t: fpu avx2 avx_vnni\n\nmodel name\t: Other\n"
PI = (
    "processor\t: 0\nFeatures\t: fp asimd crc32\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n"
    "Hardware\t: BCM2835\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"


@pytest.mark.parametrize(
    ("text", "name", "flag"),
    [
        (X86, "Some CPU @ 2GHz", "avx_vnni"),
        (PI, "Raspberry Pi 4 Model B Rev 1.4", "asimd"),
        (ARM, "ARM implementer 0x41 part 0xd0b", "asimddp"),
        ("", "", None),
    ],
)
def test_cpuinfo_of_each_kind(text, name, flag):
    found, flags = read_cpuinfo(text)
    assert found == name
    assert flag is None or flag in flags


def test_x86_model_number_is_not_its_name():
    assert read_cpuinfo("model\t\t: 1\nmodel name\t: AMD EPYC\nflags\t: avx2\n")[0] == "AMD EPYC"
