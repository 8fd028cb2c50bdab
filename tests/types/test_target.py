from pathlib import Path

import pytest

from edgekit.types.forecast import Verdict, group_verdicts
from edgekit.types.recipe import FILES
from edgekit.types.report import Machine
from edgekit.types.target import TARGETS, HostCandidate, HostChoice, HostTrial, processor_of

PAGE = Path(__file__).parents[2] / "docs" / "targets.md"


def machine(system, *isa):
    return Machine("", isa, 1, system, {})


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (machine("Linux x86_64", "avx2"), {"x86-avx2", "xnnpack", "host"}),
        (machine("Windows AMD64", "avx2", "avx_vnni"), {"x86-avx2", "x86-vnni", "xnnpack", "host"}),
        (machine("Darwin arm64", "asimddp"), {"arm", "xnnpack", "host"}),
        (machine("Linux riscv64"), {"xnnpack", "host"}),
    ],
)
def test_a_machine_runs_the_targets_of_its_processor(found, names):
    assert {target.name for target in TARGETS.values() if target.runs_on(found)} == names


def test_processors_are_known_by_their_names():
    names = {"Linux x86_64": "x86", "Windows AMD64": "x86", "Linux aarch64": "arm", "Linux armv7l": "arm", "": ""}
    assert {system: processor_of(machine(system)) for system in names} == names


def test_the_choice_names_its_candidate():
    candidate = HostCandidate("b", "uint8", "int8", "full")
    other = HostCandidate("a", "uint8", "int8", "full")
    assert HostChoice("b", "", (HostTrial(other), HostTrial(candidate)), 1, 1.0).candidate is candidate


def test_groups_put_what_falls_back_first():
    verdicts = [Verdict("Add", "a", "int8"), Verdict("Conv", "b", "float", "why"), Verdict("Conv", "c", "float", "why")]
    groups = group_verdicts(verdicts)
    assert [(group.op, group.count, group.labels) for group in groups] == [("Conv", 2, ("b", "c")), ("Add", 1, ("a",))]


def test_the_page_of_targets_names_them_all_with_their_files():
    text = PAGE.read_text(encoding="utf-8")
    for target in TARGETS.values():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{target.name}`"))
        assert all(f"`{FILES[format]}`" in row for format in target.formats)
        assert target.name == "host" or target.activations in row
