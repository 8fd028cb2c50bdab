import pytest

from edgekit.check.machine import describe_machine
from edgekit.types.report import Machine


@pytest.mark.parametrize(
    ("isa", "saturates", "dot"),
    [
        (("avx2",), True, False),
        (("avx2", "avx_vnni"), False, True),
        (("avx2", "avx512bw", "avx512_vnni"), False, True),
        (("asimd",), False, False),
        (("asimd", "asimddp"), False, True),
    ],
)
def test_which_cpus_saturate(isa, saturates, dot):
    machine = Machine("", isa, 1, "", {})
    assert (machine.saturates_pairs, machine.has_int8_dot) == (saturates, dot)


def test_this_machine_is_described():
    machine = describe_machine()
    assert machine.cpu
    assert machine.cores >= 1
    assert "onnxruntime" in machine.runtimes
