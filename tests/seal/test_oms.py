from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import KeyFileError, MalformedError, SignatureError
from edgekit.seal.keys import MemoryKey, generate
from edgekit.seal.oms import PREDICATE_TYPE, SignedFiles, sign_files, verify_files
from edgekit.seal.sigstore_bundle import open_sealed, seal_statement
from edgekit.seal.statement import Statement, Subject

KEY = generate("p256")
FILES = {
    "manifest.json": hashlib.sha256(b"manifest").hexdigest(),
    "model.int8.onnx": hashlib.sha256(b"model").hexdigest(),
    "golden/inputs.npz": hashlib.sha256(b"inputs").hexdigest(),
    "golden.txt": hashlib.sha256(b"text").hexdigest(),
}
SIGNED = sign_files(FILES, name="vision/resnet8", key=KEY)
PATHS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,8}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,8}){0,3}", fullmatch=True)


@given(
    st.dictionaries(PATHS, st.binary(min_size=32, max_size=32).map(bytes.hex), min_size=1, max_size=8).filter(
        lambda files: len({path.lower() for path in files}) == len(files)
    )
)
def test_what_was_signed_is_what_is_verified(files: dict[str, str]) -> None:
    """Law: verify_files(sign_files(files, name=n, key=k), [k.public]).files == files."""
    signature = sign_files(files, name="family/name", key=KEY)
    assert verify_files(signature, [KEY.public]) == SignedFiles("family/name", files, KEY.public)
    assert sign_files(dict(reversed(files.items())), name="family/name", key=KEY) == signature


@given(place=st.integers(0, len(SIGNED) - 1), change=st.integers(1, 255))
def test_every_changed_byte_is_refused(place: int, change: int) -> None:
    broken = bytearray(SIGNED)
    broken[place] ^= change
    with pytest.raises((MalformedError, SignatureError)):
        verify_files(bytes(broken), [KEY.public])


def test_another_key_is_refused(stranger: MemoryKey) -> None:
    with pytest.raises(SignatureError, match="no signature by a trusted key"):
        verify_files(SIGNED, [stranger.public])


def test_ed25519_is_refused_in_plain_words(node: MemoryKey) -> None:
    with pytest.raises(KeyFileError, match="signed with P-256 keys"):
        sign_files(FILES, name="a/b", key=node)
    with pytest.raises(SignatureError, match="signed with P-256 keys"):
        verify_files(SIGNED, [node.public])


def said(**fields: Any) -> Statement:
    """The statement of SIGNED, with other fields in its predicate."""
    found, _ = open_sealed(SIGNED, [KEY.public], where="it")
    return Statement(found.subjects, found.predicate_type, {**found.predicate, **fields})


def verified(statement: Statement) -> SignedFiles:
    """By the right key: what is wrong with it is what it says."""
    return verify_files(seal_statement(statement, KEY), [KEY.public])


def resource(name: str, digest: str = "ab" * 32, **fields: Any) -> dict[str, Any]:
    return {"name": name, "algorithm": "sha256", "digest": digest, **fields}


def listed(*resources: dict[str, Any]) -> Statement:
    """Those files, under the digest that belongs to them."""
    root = hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources)).hexdigest()
    return Statement((Subject("m", root),), PREDICATE_TYPE, {**said().predicate, "resources": list(resources)})


def test_the_statement_is_that_of_the_specification() -> None:
    found = said()
    assert [item["name"] for item in found.predicate["resources"]] == [
        "golden/inputs.npz",
        "golden.txt",
        "manifest.json",
        "model.int8.onnx",
    ]
    raw = b"".join(bytes.fromhex(item["digest"]) for item in found.predicate["resources"])
    assert found.subjects == (Subject("vision/resnet8", hashlib.sha256(raw).hexdigest()),)
    assert found.predicate_type == "https://model_signing/signature/v1.0"
    assert found.predicate["serialization"] == {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


def test_the_digest_of_the_whole_is_computed_anew() -> None:
    wrong = Statement((Subject("m", "00" * 32),), PREDICATE_TYPE, said().predicate)
    with pytest.raises(MalformedError, match="digest of its subject is not that of its files"):
        verified(wrong)


@pytest.mark.parametrize(
    "path",
    [
        "../up", "/root", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a b", "a:b", "a\nb", "", "é", "con?",
        "-rf", "a/b/c/d/e", "x" * 200,
    ],
)  # fmt: skip
def test_a_name_that_no_file_of_a_bundle_has_is_refused_on_both_sides(path: str) -> None:
    with pytest.raises(MalformedError, match="no name that a bundle's file may have"):
        sign_files({path: "ab" * 32}, name="m", key=KEY)
    with pytest.raises(MalformedError, match="no name that a bundle's file may have"):
        verified(listed(resource(path)))


def test_names_that_differ_only_in_case_are_refused_on_both_sides() -> None:
    with pytest.raises(MalformedError, match="differ only in case"):
        sign_files({"Model.onnx": "ab" * 32, "model.onnx": "cd" * 32}, name="m", key=KEY)
    with pytest.raises(MalformedError, match="differ only in case"):
        verified(listed(resource("Model.onnx"), resource("model.onnx")))
    with pytest.raises(MalformedError, match="differ only in case"):
        verified(listed(resource("A/x"), resource("a/x")))


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(MalformedError, match="have the same name"):
        verified(listed(resource("model.onnx"), resource("model.onnx", "cd" * 32)))


def test_names_out_of_order_are_refused() -> None:
    with pytest.raises(MalformedError, match="not sorted"):
        verified(listed(resource("b"), resource("a")))


def test_a_renamed_or_lost_file_is_another_statement() -> None:
    """Nobody but the signer can make these: they verify, and say what they say."""
    renamed = {path.replace("model", "other"): sha256 for path, sha256 in FILES.items()}
    assert verify_files(sign_files(renamed, name="m", key=KEY), [KEY.public]).files != FILES


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (Statement(said().subjects, "https://model_signing/Digests/v0.1", said().predicate), "predicateType"),
        (Statement(said().subjects * 2, PREDICATE_TYPE, said().predicate), "2 subjects; exactly one"),
        (said(serialization=None), "how files became digests"),
        (said(serialization={"method": "shards", "hash_type": "sha256"}), "method is 'shards'"),
        (said(serialization={"method": "files", "hash_type": "blake3"}), "hash_type is 'blake3'"),
        (said(serialization={"method": "files"}), "hash_type is 'None'"),
        (said(resources={}), "no list"),
        (said(resources=[]), "1 to 4096 files"),
        (said(resources=[7]), "no JSON object"),
        (said(resources=[resource("a", "zz")]), "no sha256"),
        (said(resources=[resource("a", algorithm="sha512")]), "has no name, or no sha256"),
        (said(resources=[resource("a", more=1)]), "has 'more'"),
        (said(resources=[{"name": 7, "algorithm": "sha256", "digest": "ab" * 32}]), "has no name"),
    ],
)
def test_what_contradicts_the_specification_is_refused(statement: Statement, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        verified(statement)


def test_what_cannot_be_read_again_is_not_signed() -> None:
    for files in ({}, {f"file-{number}": "ab" * 32 for number in range(4097)}):
        with pytest.raises(MalformedError, match="1 to 4096 files"):
            sign_files(files, name="m", key=KEY)
    for sha256 in ("", "AB" * 32, "ab" * 31):
        with pytest.raises(MalformedError, match="no sha256"):
            sign_files({"a": sha256}, name="m", key=KEY)


def test_fields_that_the_specification_does_not_know_are_ignored() -> None:
    """A verifier of v1.0 ignores them in the predicate: they are signed, and mean nothing to it."""
    assert verified(said(edgekit={"x": 1})).files == FILES


def test_a_provenance_does_not_pass_for_a_model_signature() -> None:
    other = Statement((Subject("m", "ab" * 32),), "https://slsa.dev/provenance/v1", {})
    with pytest.raises(MalformedError, match=re.escape("predicateType is 'https://slsa.dev/provenance/v1'")):
        verified(other)


def test_the_signature_is_canonical_json() -> None:
    assert json.dumps(json.loads(SIGNED), sort_keys=True, separators=(",", ":")).encode() == SIGNED
