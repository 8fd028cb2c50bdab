"""Deltas as an attacker would have them, T17: the node takes the file itself, and installs nothing else.

A delta is signed with the release; so a mirror can only withhold or spoil it, and whoever has the family's keys can
sign any bytes as one. Neither gets a file into a slot that the publisher has not signed, nor memory, nor time.
"""

from __future__ import annotations

import bz2
import dataclasses
import os
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import zstandard
from onnx import helper, numpy_helper

from edgekit import digest
from edgekit.channel.names import deltas_file, deltas_path
from edgekit.channel.tuf_objects import TargetFile
from edgekit.delta import codecs
from edgekit.delta.codecs import CODECS
from edgekit.delta.index import LARGEST_MEMORY_BYTES, Delta, write_index
from edgekit.delta.making import describe
from edgekit.errors import SourcesError
from edgekit.node import patching
from edgekit.publish.publishing import PublishSettings, publish
from edgekit.types.blob import Blob
from tests.attacks.distribution.forger import Forger
from tests.attacks.distribution.realm import Realm
from tests.attacks.distribution.releases import MODEL, contents_of
from tests.bundle.building import Built

FILE = "model.onnx"
BALLAST = np.random.default_rng(1).integers(-100, 100, (4, 10_000)).astype(np.int8)
CODEC_NAMES = ("bsdiff", "residual", "zstd")


def heavy(version: int, *, roll: int = 0) -> dict[str, bytes]:
    """A release whose model has 40,000 int8 weights, of which every ninth changes with the version.

    They are multiplied by the input like any others, and what comes out by 0, so that it still answers its version.
    """
    contents = contents_of(version)
    weights = np.roll(BALLAST, roll)
    weights.ravel()[::9] += np.int8(version)
    model = onnx.load_model_from_string(contents[FILE])
    graph = model.graph
    graph.node[0].output[0] = "plain"
    graph.node.extend(
        [
            helper.make_node("DequantizeLinear", ["weights", "scales"], ["heavy"], axis=1),
            helper.make_node("MatMul", ["x", "heavy"], ["product"]),
            helper.make_node("ReduceMax", ["product"], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "nothing"], ["zero"]),
            helper.make_node("Add", ["plain", "zero"], ["y"]),
        ]
    )
    named = {"weights": weights, "scales": np.full(10_000, 0.01, np.float32), "nothing": np.zeros((), np.float32)}
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in named.items())
    return {**contents, FILE: model.SerializeToString()}


def release(realm: Realm, version: int, *, deltas: bool = True) -> Built:
    """The owner publishes a heavy release."""
    keys = realm.keys
    built = realm.bundle(version, contents=heavy(version))
    settings = PublishSettings(tuple(keys.vision), tuple(keys.online), (keys.publisher.public,), deltas=deltas)
    publish(built.path, realm.place, settings, now=realm.now)
    return built


@pytest.fixture
def realm(realm: Realm) -> Realm:
    """The node runs heavy version 3, and version 4 is out, without deltas."""
    release(realm, 3)
    realm.update()
    release(realm, 4, deltas=False)
    realm.told.clear()
    return realm


def mad(realm: Realm, *deltas: tuple[Delta, bytes], index: bytes | None = None) -> Path:
    """A mirror of somebody with the family's and the online key, who signs any deltas beside the good release."""
    forger = realm.mirror("mad", *realm.keys.vision, *realm.keys.online)
    for delta, data in deltas:
        forger.blob(delta.sha256).write_bytes(data)
    sign_index(forger, write_index(delta for delta, _ in deltas) if index is None else index)
    return forger.folder


def sign_index(forger: Forger, index: bytes) -> None:
    sha256 = digest.of_bytes(index)
    (forger.folder / deltas_file(MODEL, sha256)).write_bytes(index)
    signed = forger.read("vision")
    path = deltas_path(MODEL)
    signed.targets[path] = TargetFile(len(index), {"sha256": sha256}, path)
    signed.version += 1
    forger.write("vision", signed)
    forger.lead_to(vision=signed.version)


OLD, NEW = heavy(3)[FILE], heavy(4)[FILE]
TARGET = Blob(digest.of_bytes(NEW), len(NEW))


def signed(data: bytes, *, codec: str, base: bytes = OLD) -> tuple[Delta, bytes]:
    """Any bytes, called a delta from version 3 to version 4."""
    return describe(data, codec=codec, base=base, target=TARGET), data


@cache
def good(codec: str) -> bytes:
    data = CODECS[codec].make(OLD, NEW)
    assert data
    return data


def installs_the_file_itself(realm: Realm, *mirrors: Path | str, reason: str) -> None:
    """The update ends well, with the file that was signed, fetched whole, and says why."""
    updated = realm.update(*mirrors)
    assert updated.running.version == realm.answer() == 4
    assert updated.fetched_bytes >= len(NEW)
    assert (realm.node / "current" / "files" / FILE).read_bytes() == NEW
    assert any(reason in line for line in realm.told), realm.told
    assert not (realm.node / "slots" / "next").exists()


def test_a_delta_of_the_owner_is_taken(realm: Realm) -> None:
    """What the attacks below keep a node from."""
    realm.update()
    release(realm, 5)
    updated = realm.update()
    assert updated.running.version == realm.answer() == 5
    assert updated.fetched_bytes < len(NEW) / 2 + 5_000
    assert [line for line in realm.told if "as a change" in line]


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_a_delta_for_another_base(realm: Realm, codec: str) -> None:
    """It is called one from version 3, and was made from a file of the same length that differs where it matters."""
    other = heavy(3, roll=1000)[FILE] if codec == "zstd" else heavy(7)[FILE]
    data = CODECS[codec].make(other, NEW)
    assert data
    assert len(other) == len(OLD)
    installs_the_file_itself(realm, mad(realm, signed(data, codec=codec)), reason="what the delta makes")


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_a_delta_that_makes_another_file(realm: Realm, codec: str) -> None:
    """A good one, to a model that nobody signed: under the digest of the one that was."""
    data = CODECS[codec].make(OLD, heavy(8)[FILE])
    assert data
    installs_the_file_itself(realm, mad(realm, signed(data, codec=codec)), reason="what the delta makes")


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_a_delta_to_a_file_that_is_in_no_release(realm: Realm, codec: str) -> None:
    """Its target is what it makes, and no manifest has that."""
    evil = heavy(8)[FILE]
    data = CODECS[codec].make(OLD, evil)
    assert data
    delta = describe(data, codec=codec, base=OLD, target=Blob(digest.of_bytes(evil), len(evil)))
    installs_the_file_itself(realm, mad(realm, (delta, data)), reason=f"fetching {FILE}, ")


@pytest.mark.parametrize("codec", CODEC_NAMES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_delta_that_is_cut_off(realm: Realm, codec: str, share: float) -> None:
    data = good(codec)[: max(1, int(len(good(codec)) * share))]
    installs_the_file_itself(realm, mad(realm, signed(data, codec=codec)), reason="is fetched whole")


@pytest.mark.parametrize("codec", CODEC_NAMES)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_delta_with_a_flipped_bit(realm: Realm, codec: str, share: float) -> None:
    data = bytearray(good(codec))
    data[int(len(data) * share)] ^= 4
    installs_the_file_itself(realm, mad(realm, signed(bytes(data), codec=codec)), reason="is fetched whole")


def bsdiff(control: bytes, sums: bytes, news: bytes, size_bytes: int) -> bytes:
    return b"BSDIFF40" + struct.pack("<QQQ", len(control), len(sums), size_bytes) + control + sums + news


@cache
def bombs() -> dict[str, bytes]:
    zeros, none = bz2.compress(bytes(10**8)), bz2.compress(b"")
    huge = zstandard.ZstdCompressor().compress(bytes(2**28))
    at = huge.index(struct.pack("<I", 2**28))
    return {
        "bsdiff, triples": bsdiff(zeros, none, none, len(NEW)),
        "bsdiff, sums": bsdiff(none, zeros, none, len(NEW)),
        "bsdiff, new bytes": bsdiff(none, none, zeros, len(NEW)),
        "bsdiff, a huge file": bsdiff(none, none, zeros, 10**8),
        "zstd, a huge file": huge,
        "zstd, a lie": huge[:at] + struct.pack("<I", len(NEW)) + huge[at + 4 :],
    }


@pytest.mark.parametrize("name", sorted(bombs()))
def test_a_bomb(realm: Realm, name: str) -> None:
    """A hundred megabytes and more, from some hundred bytes or kilobytes."""
    delta, data = signed(bombs()[name], codec=name.partition(",")[0])
    assert len(data) < len(NEW)
    installs_the_file_itself(realm, mad(realm, (delta, data)), reason="the delta cannot be applied")


def test_a_codec_of_the_future(realm: Realm) -> None:
    delta, data = signed(good("bsdiff"), codec="bsdiff")
    folder = mad(realm, (dataclasses.replace(delta, codec="quantum"), data))
    installs_the_file_itself(realm, folder, reason=f"fetching {FILE}, ")


def test_a_codec_whose_package_is_missing(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = mad(realm, signed(good("zstd"), codec="zstd"))
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    installs_the_file_itself(realm, folder, reason=f"fetching {FILE}, ")


@pytest.mark.parametrize(
    "claim", [{"memory_bytes": LARGEST_MEMORY_BYTES}, {"size_bytes": 2**28}], ids=["memory", "a delta above the file"]
)
def test_a_delta_that_claims_too_much(realm: Realm, claim: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """More memory than the machine has, or more bytes than the file: it is not even asked for."""
    monkeypatch.setattr(patching, "memory_bytes", lambda: 2**31)
    delta, data = signed(good("bsdiff"), codec="bsdiff")
    folder = mad(realm, (dataclasses.replace(delta, **claim), data))
    (folder / delta.blob.file_name).unlink()
    installs_the_file_itself(realm, folder, reason=f"fetching {FILE}, ")
    assert not [line for line in realm.told if "as a change" in line]


@pytest.mark.parametrize(
    "index",
    [b"", b"{}", b"[" * 1000, b'{"deltas":[],"schema":"edgekit.deltas/2"}', b"x" * 200_000, b"x" * 2_000_000],
    ids=["empty", "no schema", "deep", "a later schema", "long", "too long"],
)
def test_an_index_that_is_none(realm: Realm, index: bytes) -> None:
    installs_the_file_itself(realm, mad(realm, index=index), reason=f"fetching {FILE}, ")


Spoil = Callable[[Forger, Path], None]


def lose(forger: Forger, blob: Path) -> None:
    blob.unlink()


def alter(forger: Forger, blob: Path) -> None:
    blob.write_bytes(bytes(blob.stat().st_size))


def shorten(forger: Forger, blob: Path) -> None:
    os.truncate(blob, blob.stat().st_size // 2)


def replace_index(forger: Forger, blob: Path) -> None:
    index = next((forger.folder / "targets" / "vision").glob("*+deltas.json"))
    index.write_bytes(bytes(index.stat().st_size))


@pytest.mark.parametrize("spoil", [lose, alter, shorten, replace_index])
def test_a_mirror_that_spoils_deltas(realm: Realm, spoil: Spoil) -> None:
    """It is the only one; its lie about a delta does not cost the file."""
    delta, data = signed(good("bsdiff"), codec="bsdiff")
    folder = mad(realm, (delta, data))
    forger = Forger(folder, [], realm.now)
    spoil(forger, forger.blob(delta.sha256))
    installs_the_file_itself(realm, folder, reason="deltas cannot be used" if spoil is replace_index else "whole")


def test_a_mirror_that_signs_an_index_itself(realm: Realm) -> None:
    """Without the family's keys nobody looks at it."""
    forger = realm.mirror("liar")
    (forger.folder / deltas_file(MODEL, "a" * 64)).write_bytes(write_index([signed(good("zstd"), codec="zstd")[0]]))
    installs_the_file_itself(realm, forger.folder, reason=f"fetching {FILE}, ")
    assert not [line for line in realm.told if "change" in line]


def test_a_base_that_has_decayed(realm: Realm) -> None:
    """Another file than was installed is no base, whatever would come of it."""
    folder = mad(realm, signed(good("bsdiff"), codec="bsdiff"))
    base = realm.node / "current" / "files" / FILE
    data = bytearray(base.read_bytes())
    data[-1] ^= 1
    base.write_bytes(data)
    installs_the_file_itself(realm, folder, reason="the base has the sha256")


def test_neither_delta_nor_file(realm: Realm) -> None:
    """A bomb, and the file itself withheld: nothing is installed."""
    folder = mad(realm, signed(bombs()["zstd, a lie"], codec="zstd"))
    (folder / TARGET.file_name).unlink()
    with realm.refuses(SourcesError, learns=True):
        realm.update(folder)
    assert realm.answer() == 3
