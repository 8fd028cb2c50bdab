"""Names in a registry."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.transport.oci_place import OciPlace, blob_of, parse_place, tag_of

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("url", "place", "origin"),
    [
        ("oci://localhost:5000/net", OciPlace("localhost:5000", "net"), "http://localhost:5000"),
        ("oci://127.0.0.1:5000/lab/net:1.0", OciPlace("127.0.0.1:5000", "lab/net", "1.0"), "http://127.0.0.1:5000"),
        ("oci://[::1]:80/a__b:x", OciPlace("[::1]:80", "a__b", "x"), "http://[::1]:80"),
        ("oci://[::1]/net", OciPlace("[::1]", "net"), "http://[::1]"),
        ("oci://h.example/a.b/c-d", OciPlace("h.example", "a.b/c-d"), "https://h.example"),
        ("oci://h.example/n:1.0_b", OciPlace("h.example", "n", "1.0_b"), "https://h.example"),
        ("oci://localhost.example/n", OciPlace("localhost.example", "n"), "https://localhost.example"),
        (f"oci://h:443/n@sha256:{HEX}", OciPlace("h:443", "n", f"sha256:{HEX}"), "https://h:443"),
    ],
)
def test_url_is_taken_apart_and_put_together_again(url: str, place: OciPlace, origin: str) -> None:
    found = parse_place(url)
    assert (found, found.origin, str(found)) == (place, origin, url)


@pytest.mark.parametrize(
    "url",
    [
        "http://h/n", "oci:h/n", "oci://", "oci://h", "oci://h/", "oci:///n", "oci://h:0/n", "oci://h:65536/n",
        "oci://h:x/n", "oci://h/N", "oci://h/a//b", "oci://h/../n", "oci://h/a/", "oci://h/n:", "oci://h/n:.x",
        "oci://h/n:a b", f"oci://h/n:{'a' * 129}", "oci://h/n@", "oci://h/n@sha256:12", f"oci://h/n@{HEX}",
        f"oci://h/n:1@sha512:{HEX}", "oci://h/n?x=1", "oci://h/n#x", "oci://h\n/n", "oci://h/n:1\n",
        f"oci://h/{'a' * 256}", "oci://ä/n", "oci://-h/n",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_repository_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        parse_place(url)


def test_password_in_a_url_is_refused_and_not_repeated() -> None:
    for url in ("oci://ann:s3cret@h/n", "oci://ann:s3cret/n@h"):
        with pytest.raises(InputError) as caught:
            parse_place(url)
        assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_names_without_a_digest_become_tags() -> None:
    assert tag_of("metadata/1.root.json") == "edgekit-metadata__1.root.json"
    assert re.fullmatch(r"edgekit-sha256-[0-9a-f]{64}", tag_of(f"targets/{'f' * 60}/{HEX}.net.json"))
    assert blob_of(f"blobs/sha256/{HEX}") == HEX
    assert blob_of(f"blobs/sha256/{HEX}x") is blob_of(f"x/blobs/sha256/{HEX}") is blob_of(f"blobs/sha256/{HEX}\n")


@given(st.lists(st.text("a_./-+", max_size=6) | st.text(max_size=140), min_size=2, max_size=2, unique=True))
def test_two_names_never_have_the_same_tag(names: list[str]) -> None:
    first, second = map(tag_of, names)
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", first)
