"""Malformed contents, T21: names that are paths, JSON that two programs read differently, archives that explode.

All of it is signed by the publisher whose key the node trusts: a publisher whose build machine is taken over can sign,
and must not thereby get at anything but its own model.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.verify import verify_bundle
from edgekit.channel.tuf_objects import MetaFile
from edgekit.cli.app import run
from edgekit.errors import InputError, LengthError, MalformedError, TrustError
from edgekit.node.disk import Disk
from edgekit.node.identity import load_identity
from edgekit.node.opened import look_at
from edgekit.node.receipts import open_receipt
from edgekit.node.settings import NodeSettings
from edgekit.node.setup import set_up
from edgekit.node.status import read_status
from edgekit.node.world import no_passphrase
from edgekit.oci.tarball import write_tar
from edgekit.seal.key_files import write_key
from edgekit.seal.statement import read_statement, sign_statement
from edgekit.transport.oci_place import tag_of
from edgekit.types.strict_json import canonical
from tests.attacks.distribution.realm import Realm

ESCAPES = [
    "../evil", "../../../../evil", "/etc/evil", "a/../../evil", "a//evil", "./evil", ".evil", "a/.evil", "evil/",
    "a\\..\\evil", "C:evil", "evil\0.onnx", "evil\n", "\u202eevil", "evil\u00e9", "-rf", "model.sig", "MANIFEST.JSON",
    "a/b/c/d/e", "x" * 300, "", "golden.inputs.npz/evil", "MODEL.onnx",
]  # fmt: skip


def edited(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def work(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return canonical(document)

    return work


@pytest.mark.parametrize("path", ESCAPES, ids=lambda path: repr(path)[:20])
def test_names_of_files_that_are_paths(realm: Realm, path: str) -> None:
    def change(document: Any) -> None:
        for file in document["files"]:
            if file["path"] == "other.onnx":
                file["path"] = path
        for variant in document["variants"]:
            variant["files"] = [path if name == "other.onnx" else name for name in variant["files"]]
            variant["model"] = path if variant["model"] == "other.onnx" else variant["model"]

    mirror = realm.offer(realm.bundle(3, alter={"manifest": edited(change)}))
    before = realm.outside()
    with realm.refuses(MalformedError, match="manifest.json", learns=True):
        realm.update(mirror)
    assert realm.outside() == before


@pytest.mark.parametrize("name", ["../../x", "a b", "..", "", "A", "x" * 100])
def test_names_of_variants_that_are_paths(realm: Realm, name: str) -> None:
    def change(document: Any) -> None:
        document["variants"][0]["name"] = name

    with realm.refuses(MalformedError, match="manifest.json", learns=True):
        realm.update(realm.offer(realm.bundle(3, alter={"manifest": edited(change)})))


NESTED = b'{"a":' * 500 + b"1" + b"}" * 500
JSON: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("a key twice", lambda data: data.replace(b'"version":3', b'"version":3,"version":4')),
    ("a key twice by an escape", lambda data: data.replace(b'"version":3', b'"version":3,"\\u0076ersion":4')),
    ("a huge integer", lambda data: data.replace(b'"version":3', b'"version":3' + b"0" * 4000)),
    ("an integer beyond a double", lambda data: data.replace(b'"version":3', b'"version":9007199254740993')),
    ("NaN", lambda data: data.replace(b'"version":3', b'"version":NaN')),
    ("a huge exponent", lambda data: data.replace(b'"version":3', b'"version":1e999')),
    ("a negative version", lambda data: data.replace(b'"version":3', b'"version":-3')),
    ("a version that is a text", lambda data: data.replace(b'"version":3', b'"version":"3"')),
    ("a version that is true", lambda data: data.replace(b'"version":3', b'"version":true')),
    ("deep nesting", lambda data: b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("deep nesting in preprocessing", lambda data: data.replace(b'"preprocessing":null', b'"preprocessing":' + NESTED)),
    ("white space", lambda data: data.replace(b",", b", ")),
    ("a byte order mark", lambda data: b"\xef\xbb\xbf" + data),
    ("UTF-16", lambda data: data.decode().encode("utf-16")),
    ("a lone surrogate", lambda data: data.replace(b'"Apache-2.0"', b'"\\ud800"')),
    ("an escape sequence for terminals", lambda data: data.replace(b'"Apache-2.0"', b'"\\u001b[2J"')),
    ("more behind its end", lambda data: data + b"{}"),
    ("no JSON", lambda data: b"\x80\x04K\x01."),
    ("no object", lambda data: b"[]"),
    ("a later schema", lambda data: data.replace(b"edgekit.manifest/1", b"edgekit.manifest/2")),
    ("two million golden samples", lambda data: data.replace(b'"samples":2', b'"samples":2000000')),
    ("a tensor of 2**62 values", lambda data: data.replace(b'"shape":[1,4]', b'"shape":[2147483647,2147483648]')),
    ("a file of an exabyte", lambda data: data.replace(b'"size_bytes":', b'"size_bytes":9')),
]  # fmt: skip


@pytest.mark.parametrize("change", [change for _, change in JSON], ids=[name for name, _ in JSON])
def test_manifests_that_are_no_plain_json(realm: Realm, change: Callable[[bytes], bytes]) -> None:
    changed: list[bool] = []

    def work(data: bytes) -> bytes:
        changed.append(change(data) != data)
        return change(data)

    mirror = realm.offer(realm.bundle(3, alter={"manifest": work}))
    with realm.refuses(MalformedError, learns=True):
        realm.update(mirror)
    assert changed == [True]


METADATA: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("a key twice", lambda data: data.replace(b'"signatures"', b'"signatures":[],"signatures"', 1)),
    ("deep nesting", lambda data: b"[" * 16_000),
    ("a huge integer", lambda data: data.replace(b'"version":', b'"version":' + b"9" * 5000, 1)),
    ("NaN", lambda data: data.replace(b'"version":', b'"x":NaN,"version":', 1)),
    ("a page of a proxy", lambda data: b"<!doctype html><title>Log in</title>"),
    ("nothing", lambda data: b""),
    ("other types", lambda data: b'{"signatures":{"a":1},"signed":[]}'),
    ("an unknown role", lambda data: data.replace(b'"_type":"timestamp"', b'"_type":"mirrors"')),
]


@pytest.mark.parametrize("change", [change for _, change in METADATA], ids=[name for name, _ in METADATA])
def test_timestamps_that_are_no_plain_json(realm: Realm, change: Callable[[bytes], bytes]) -> None:
    mirror = realm.mirror("mirror")
    place = mirror.path("timestamp")
    place.write_bytes(change(place.read_bytes()))
    with realm.refuses(MalformedError, match=str(mirror.folder)):
        realm.update(mirror.folder)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2**63}, {"version": True}, {"version": "3"}, {"oldest": 4}, {"oldest": 0}, {"semver": "3"},
        {"semver": "3.0.0\x1b[2J"}, {"signers": []}, {"signers": ["x"] * 17}, {"signers": ["x" * 2000]},
        {"signers": ["-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----\n"]}, {"signers": [{}]},
    ],
    ids=str,
)  # fmt: skip
def test_notices_that_cannot_be(realm: Realm, change: dict[str, Any]) -> None:
    """Signed by the family: what the channel says of a release is held to bounds too."""
    keys = realm.keys
    owner = realm.mirror("mirror", *keys.vision, *keys.online)
    owner.offer(realm.bundle(3), signers=[keys.publisher.public])
    family = owner.read("vision")
    family.targets["vision/net.json"].unrecognized_fields["custom"]["edgekit"].update(change)
    owner.write("vision", family)
    with realm.refuses(MalformedError, learns=True):
        realm.update(owner.folder)


def test_a_snapshot_that_lists_a_million_roles_is_too_long(realm: Realm) -> None:
    """Stolen: the online key."""
    thief = realm.mirror("mirror", *realm.keys.online)
    snapshot = thief.read("snapshot")
    snapshot.meta.update({f"r{number}.json": MetaFile(1) for number in range(20_000)})
    snapshot.version += 1
    thief.write("snapshot", snapshot)
    stamp = thief.read("timestamp")
    stamp.version += 1
    stamp.snapshot_meta = MetaFile(snapshot.version)
    thief.write("timestamp", stamp)
    with realm.refuses(LengthError):
        realm.update(thief.folder)


# Tar files.


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"evil"
) -> Callable[[tarfile.TarFile], None]:
    def add(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        info.size = len(data) if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(data) if info.size else None)

    return add


TARS = [
    ("a path above", member("../evil")),
    ("a deep path above", member("blobs/sha256/../../../evil")),
    ("an absolute path", member("/tmp/edgekit-evil")),
    ("a link", member("blobs/sha256/" + "ab" * 32, tarfile.SYMTYPE, "/etc/passwd")),
    ("a hard link", member("blobs/sha256/" + "ab" * 32, tarfile.LNKTYPE, "index.json")),
    ("a device", member("blobs/sha256/" + "ab" * 32, tarfile.CHRTYPE)),
    ("a pipe", member("blobs/sha256/" + "ab" * 32, tarfile.FIFOTYPE)),
    ("index.json twice", member("index.json", data=b"{}")),
    ("a long name", member("blobs/sha256/" + "a" * 200)),
    ("a blob that nobody named", member("blobs/sha256/" + "ab" * 32)),
]


@pytest.mark.parametrize("add", [add for _, add in TARS], ids=[name for name, _ in TARS])
def test_tar_files_with_more_than_a_bundle(
    realm: Realm, add: Callable[[tarfile.TarFile], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """`edgekit verify --extract` writes nothing, anywhere."""
    built = realm.bundle(3)
    tar = realm.folder / "net.tar"
    write_tar(built.path, tar)
    with tarfile.open(tar, "a") as archive:
        add(archive)
    write_key(realm.keys.publisher, realm.folder / "maker.key", None)
    before = realm.outside()
    with pytest.raises(MalformedError):
        verify_bundle(tar, [realm.keys.publisher.public])
    out = realm.folder / "out" / "files"
    assert run(["verify", str(tar), "--trust", str(realm.folder / "maker.pub"), "--extract", str(out)]) == 6
    assert "Traceback" not in capfd.readouterr().err
    assert realm.outside() - before == set()
    assert not Path("/tmp/edgekit-evil").exists()


# Names elsewhere.


@pytest.mark.parametrize(
    "name", ["../../x", "metadata/../../x", "a" * 600, "metadata/1.root.json\n", "x?y#z", "%2e%2e/x"]
)
def test_tags_are_no_paths(name: str) -> None:
    """Whatever the name of a file is, the tag made of it is one segment of a URL, or none is made."""
    try:
        tag = tag_of(name)
    except MalformedError:
        return
    assert len(tag) <= 128
    assert set(tag) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not tag.startswith((".", "-"))


def test_receipts_of_strangers_in_the_book_change_nothing(realm: Realm) -> None:
    """Files under any name among the receipts: none is read as one of this node's."""
    book = realm.node / "receipts"
    for name in ("00000003.json.json", "99999999999.json", "\u00b3.json"):
        (book / name).write_bytes(b"{}")
    secret = realm.folder / "secret"
    secret.write_bytes(b"not for receipts")
    (book / "00000003.json").symlink_to(secret)
    status = read_status(look_at(realm.node, realm.world), thorough=True)
    assert any("receipts" in fault for fault in status.faults)
    assert "not for receipts" not in str(status)
    realm.publish(3)
    assert realm.update().running.version == realm.answer() == 3
    assert secret.read_bytes() == b"not for receipts"


@pytest.mark.parametrize(
    "change",
    [
        {"counter": 0},
        {"counter": -1},
        {"event": "../x"},
        {"node": "../x"},
        {"previous": 7},
        {"deployed": []},
        {"tested": {}},
    ],
    ids=str,
)
def test_a_receipt_that_cannot_be(realm: Realm, change: dict[str, Any]) -> None:
    """A node that lies signs what it likes, by its own good key; a reader takes nothing of another form."""
    with pytest.raises(TrustError):
        open_receipt(forged_receipt(realm, change), where="receipt")


@pytest.mark.parametrize("change", [{"target": "../../evil"}, {"reason": "\x1b[2J"}, {"time": "x" * 10_000}], ids=str)
def test_a_receipt_with_odd_texts_takes_nobody_anywhere(realm: Realm, change: dict[str, str]) -> None:
    """They are texts to whoever reads them, or refused; the next update makes no path of them."""
    (realm.node / "receipts" / "00000003.json").write_bytes(forged_receipt(realm, change))
    realm.publish(3)
    before = realm.outside()
    assert realm.update().running.version == realm.answer() == 3
    assert realm.outside() == before


def forged_receipt(realm: Realm, change: dict[str, Any]) -> bytes:
    """The node's first receipt with other contents, signed by it."""
    data = (realm.node / "receipts" / "00000001.json").read_bytes()
    payload = json.loads(base64.b64decode(json.loads(data)["payload"]))
    payload["predicate"].update(change)
    said = read_statement(canonical(payload), where="receipt")
    return sign_statement(said, load_identity(realm.node, no_passphrase)).to_json()


@pytest.mark.parametrize("root", [b"", b"{}", b"[" * 100_000, b'{"signed":{"_type":"root"},"signed":{}}', b"\xff" * 10])
def test_a_root_of_trust_that_is_none(realm: Realm, root: bytes) -> None:
    with pytest.raises(InputError):
        set_up(realm.folder / "new", NodeSettings("vision/net", (str(realm.channel),)), root, None, disk=Disk())
    assert not (realm.folder / "new").exists()
