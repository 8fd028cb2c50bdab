"""The text of add-checkpoint: C2SP tlog-witness."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import MalformedError
from edgekit.transparency.witness_request import (
    LARGEST_BYTES,
    AddCheckpoint,
    read_request,
    read_told_size,
    write_request,
    write_size,
)

SIZES = st.integers(0, 2**63 - 1)
REQUESTS = st.builds(
    AddCheckpoint, SIZES, st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple), st.binary(max_size=400)
)

EXAMPLE = b"""old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\xe2\x80\x94 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""  # noqa: E501 (as the specification prints it)
"""The example of the specification."""


def test_the_example_of_the_specification() -> None:
    found = read_request(EXAMPLE)
    assert (found.old_size, len(found.proof)) == (20852014, 4)
    assert found.proof[0] == base64.b64decode("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=")
    assert found.checkpoint.startswith(b"example.com/behind-the-sofa\n20852163\n")
    assert write_request(found) == EXAMPLE


@given(REQUESTS)
def test_reads_what_it_wrote(request_: AddCheckpoint) -> None:
    assert read_request(write_request(request_)) == request_


@given(SIZES)
def test_a_told_size_is_read_back(size: int) -> None:
    assert read_told_size(write_size(size)) == size


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_read(data: bytes) -> None:
    """Nothing but MalformedError, and what is read is written the same again."""
    try:
        found = read_request(data)
    except MalformedError:
        return
    assert write_request(found) == data


HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "head",
    [
        "",
        "old",
        "old ",
        "old  7",
        "old 07",
        "old -1",
        "old +1",
        "old 1_0",
        "old 9223372036854775808",
        "old 99999999999999999999999",
        "old ٣",
        "Old 7",
        "size 7",
        "old 7 ",
        "old 7\r",
        f"old 7\n{HASH} ",
        f"old 7\n {HASH}",
        f"old 7\n{HASH[:-1]}",
        f"old 7\n{HASH[:-2]}B=",  # bits that base64 does not use
        f"old 7\n{HASH[:-4]}",
        "old 7\n" + "\n".join([HASH] * 64),
    ],
)
def test_no_requests(head: str) -> None:
    with pytest.raises(MalformedError):
        read_request(f"{head}\n\nexample.org/log\n".encode())


def test_a_request_without_an_end_and_one_too_large() -> None:
    with pytest.raises(MalformedError, match="no empty line"):
        read_request(b"old 7\n" + f"{HASH}\n".encode())
    with pytest.raises(MalformedError, match="at most"):
        read_request(b"old 7\n\n" + b"x" * LARGEST_BYTES)


@pytest.mark.parametrize("body", [b"", b"7", b"7\n\n", b"-7\n", b"\xff\n", b"1" * 30 + b"\n"])
def test_no_sizes(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read_told_size(body)
