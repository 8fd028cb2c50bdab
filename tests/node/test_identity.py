"""A node's key: made once, readable by its owner only, and of the right kind."""

from __future__ import annotations

import stat

import pytest

from edgekit.errors import KeyFileError, NodeStateError
from edgekit.node.identity import create_identity, load_identity, read_did
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import PublicKey, generate


def never():
    raise AssertionError("no passphrase is needed")


def test_it_is_ed25519_and_names_the_node(tmp_path):
    made = create_identity(tmp_path / "node", None)
    loaded = load_identity(tmp_path / "node", never)
    did = read_did(tmp_path / "node")
    assert did == made.public.did == loaded.public.did
    assert did.startswith("did:key:z6Mk")  # multicodec 0xed in base58
    PublicKey.from_did(did).verify(loaded.sign(b"receipt"), b"receipt")
    assert stat.S_IMODE((tmp_path / "node" / "identity.key").stat().st_mode) == 0o600


def test_it_is_made_once(tmp_path):
    create_identity(tmp_path, None)
    before = (tmp_path / "identity.key").read_bytes()
    with pytest.raises(NodeStateError, match=r"has an identity already: identity\.key"):
        create_identity(tmp_path, None)
    (tmp_path / "identity.key").unlink()
    with pytest.raises(NodeStateError, match=r"identity\.pub"):
        create_identity(tmp_path, None)
    assert before.startswith(b"-----BEGIN PRIVATE KEY-----")


def test_a_passphrase_encrypts_it(tmp_path):
    made = create_identity(tmp_path, b"correct horse")
    assert b"ENCRYPTED" in (tmp_path / "identity.key").read_bytes()
    assert load_identity(tmp_path, lambda: b"correct horse").public == made.public
    with pytest.raises(KeyFileError, match="passphrase is wrong") as caught:
        load_identity(tmp_path, lambda: b"battery staple")
    assert "battery" not in str(caught.value)
    assert "battery" not in caught.value.hint
    assert read_did(tmp_path) == made.public.did


def test_a_key_of_another_kind_is_refused(tmp_path):
    write_key(generate("p256"), tmp_path / "identity.key", None)
    for read in (lambda: load_identity(tmp_path, never), lambda: read_did(tmp_path)):
        with pytest.raises(KeyFileError, match="of the kind p256; a node's is ed25519"):
            read()


def test_a_key_that_others_may_read_is_refused(tmp_path):
    create_identity(tmp_path, None)
    (tmp_path / "identity.key").chmod(0o644)
    with pytest.raises(KeyFileError, match="others may read"):
        load_identity(tmp_path, never)


def test_without_one_it_says_so(tmp_path):
    with pytest.raises(KeyFileError, match="there is no private key"):
        load_identity(tmp_path, never)
