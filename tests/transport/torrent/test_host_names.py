"""Names that are looked up while nobody waits."""

from __future__ import annotations

import threading
import time

import pytest

from edgekit.transport.host_names import MOST_LOOKUPS, HostNames, addresses_of, is_address


def test_addresses_need_no_lookup() -> None:
    found: list[list[str]] = []
    HostNames(lambda host: pytest.fail(host)).find("127.0.0.1", found.append, failed=pytest.fail)
    assert found == [["127.0.0.1"]]
    assert is_address("::1")
    assert not is_address("localhost")


def test_this_machine_has_addresses() -> None:
    assert set(addresses_of("localhost")) <= {"127.0.0.1", "::1"}


def test_what_is_found_and_what_is_not() -> None:
    def lookup(host: str) -> list[str]:
        if host == "bad.example.org":
            raise OSError("no such name")
        return ["192.0.2.1"]

    names, found, faults = HostNames(lookup), [], []  # type: ignore[var-annotated]
    names.find("good.example.org", found.append, failed=faults.append)
    names.find("bad.example.org", found.append, failed=faults.append)
    assert names.answers(5.0)
    assert found == [["192.0.2.1"]]
    assert faults == ["no address of bad.example.org: no such name"]


def test_a_server_that_never_answers_is_noticed_and_not_waited_for() -> None:
    ending = threading.Event()

    def lookup(host: str) -> list[str]:
        ending.wait(30)
        return []

    names, faults = HostNames(lookup), []  # type: ignore[var-annotated]
    began = time.monotonic()
    for number in range(MOST_LOOKUPS + 3):
        names.find(f"host-{number}.example.org", lambda addresses: None, failed=faults.append)
    assert not names.answers(0.1)
    assert time.monotonic() - began < 5
    assert len(faults) == 3
    ending.set()
    assert names.answers(5.0)


def test_a_server_that_no_longer_answers_is_noticed() -> None:
    """It was well when the name was first looked up."""
    ending, down = threading.Event(), threading.Event()

    def lookup(host: str) -> list[str]:
        if down.is_set():
            ending.wait(30)
        return ["192.0.2.1"]

    names = HostNames(lookup)
    names.find("host.example.org", lambda addresses: None, failed=pytest.fail)
    assert names.answers(5.0)
    down.set()
    assert not names.answers(0.1)
    ending.set()
