from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgekit.errors import KeyFileError, MissingExtraError
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import MemoryKey
from edgekit.seal.opening import open_key, open_public


def test_a_path_is_a_file_and_a_did_is_a_key(tmp_path: Path, publisher: MemoryKey, node: MemoryKey) -> None:
    write_key(publisher, tmp_path / "it.key", b"open sesame")
    assert open_key(str(tmp_path / "it.key"), lambda: b"open sesame").public == publisher.public
    assert open_public(str(tmp_path / "it.pub")) == publisher.public
    assert open_public(node.public.did) == node.public
    with pytest.raises(KeyFileError, match="no did:key"):
        open_public("did:web:example.org")
    with pytest.raises(KeyFileError, match="there is no public key"):
        open_public(str(tmp_path / "none"))


def test_a_token_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PyKCS11", None)
    monkeypatch.delitem(sys.modules, "edgekit.seal.pkcs11", raising=False)
    with pytest.raises(MissingExtraError) as caught:
        open_key("pkcs11:object=model", lambda: b"1234")
    assert "edgekit-ml[hsm]" in caught.value.hint
