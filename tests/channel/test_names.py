"""Names of a channel's files, and what a channel says of a release."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.channel.names import ReleaseNotice, check_family, check_model
from edgekit.errors import InputError, MalformedError
from edgekit.seal.keys import generate

PEM = generate("p256").public.pem


@given(version=st.integers(1, 2**31 - 1), oldest=st.integers(1, 2**31 - 1), count=st.integers(1, 16))
def test_from_custom(version: int, oldest: int, count: int) -> None:
    notice = ReleaseNotice(max(version, oldest), "1.2.3-rc.1+b", oldest, (PEM,) * count)
    assert ReleaseNotice.from_custom(notice.to_custom(), where="it") == notice


def test_fields_of_a_later_version_are_left_out() -> None:
    notice = ReleaseNotice(1, "1.0.0", 1, (PEM,))
    custom = notice.to_custom()
    custom["edgekit"]["more"] = 1
    custom["other"] = 2
    assert ReleaseNotice.from_custom(custom, where="it") == notice


def test_a_signer_that_is_no_key() -> None:
    with pytest.raises(MalformedError, match="no public key"):
        _ = ReleaseNotice(1, "1.0.0", 1, ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",)).keys


@pytest.mark.parametrize("family", ["vision", "a", "a-b.c_d", "0"])
def test_families(family: str) -> None:
    assert check_family(family) == family
    assert check_model(f"{family}/x") == f"{family}/x"


@pytest.mark.parametrize(
    "family", ["", ".", "..", "a/b", "A", "-a", "a-", "a..b", "root", "targets", "snapshot", "timestamp", "a" * 65]
)
def test_what_cannot_be_a_family(family: str) -> None:
    with pytest.raises(InputError):
        check_family(family)
