"""The list of who takes part fits what is there to run them."""

from importlib.util import find_spec

import pytest

from benchmarks.peers import environments
from benchmarks.peers.entries import ENTRIES, chosen


def test_names_are_unique() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("peer", sorted({entry.peer for entry in ENTRIES}))
def test_each_peer_has_a_driver_and_an_environment(peer: str) -> None:
    assert find_spec(f"benchmarks.peers.{peer}") is not None
    assert peer == "edgekit" or peer in environments.names()


def test_an_unknown_peer_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown peers tensort; there are aimet, edgekit"):
        chosen(["tensort"])


def test_peers_choose_their_entries_and_nobody_chooses_all() -> None:
    assert [entry.setting for entry in chosen(["nncf"])] == ["default", "mixed"]
    assert chosen([]) == list(ENTRIES)


@pytest.mark.parametrize("name", environments.names())
def test_requirements_pin_every_package(name: str) -> None:
    pins = (environments.REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").split()
    assert pins
    assert all(pin.count("==") == 1 for pin in pins)


def test_torch_is_installed_first_and_alone() -> None:
    first, rest = environments.split_torch(["onnx==1.23.2", "torch==2.13.0", "torchao==0.18.0"])
    assert first == ["torch==2.13.0"]
    assert rest == ["onnx==1.23.2", "torchao==0.18.0"]
