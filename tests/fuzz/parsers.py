"""The parsers of strangers' bytes, each as a function of bytes alone that keeps a law: what atheris drives.

A parser may raise EdgekitError, and ValueError where its contract says so; what it accepts reads the same once written.
"""

from __future__ import annotations

import bz2
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edgekit.addressing import bencode
from edgekit.addressing.car import check_car, read_header
from edgekit.addressing.torrent import LARGEST_TORRENT_BYTES, read_torrent
from edgekit.addressing.unixfs import directory, encode_file, read_node
from edgekit.bundle.manifest_file import read_manifest, write_manifest
from edgekit.bundle.tar_index import index_tar
from edgekit.delta import index as delta_index
from edgekit.delta.bsdiff_patch import apply_bsdiff
from edgekit.delta.residual import apply_residual
from edgekit.delta.residual_format import MAGIC, read_parts
from edgekit.delta.residual_numbers import NumberReader
from edgekit.delta.residual_plan_reading import read_plan
from edgekit.delta.zstd_patch import apply_zstd
from edgekit.errors import EdgekitError
from edgekit.oci.reading import check_layout, read_image_manifest, read_index
from edgekit.runtime.array_archive import read_array, read_arrays
from edgekit.seal.dsse import read_envelope
from edgekit.seal.keys import PublicKey
from edgekit.seal.oms import verify_files
from edgekit.seal.sigstore_bundle import open_sealed
from edgekit.seal.statement import read_statement
from edgekit.transparency.note import VerifierKey, read_note, write_note
from edgekit.transparency.policy import read_policy
from edgekit.transparency.proof import read_proof, write_proof
from edgekit.types.strict_json import canonical, read_canonical, read_strict
from tests.delta.files import BASE
from tests.fuzz.address_kinds import TORRENTS, blob_of, car_specimens, torrent_specimens
from tests.fuzz.archive_mutation import specimens_of_arrays
from tests.fuzz.delta_kinds import index_specimens, pairs
from tests.fuzz.log_kinds import POLICY, proof_specimens
from tests.fuzz.patch_mutation import assembled, eight_bytes
from tests.fuzz.specimens import Specimens, publisher_key

LARGEST_ARRAYS_BYTES = 2**22
LARGEST_NEW_BYTES = 2**16
OLD = BASE[: 2**13]
"""What patches are applied to: about as large as the files that the specimens were made from."""
_KEYS = [publisher_key(1).public]


@dataclass(frozen=True)
class Parser:
    """One of them.

    Attributes:
        parse: Hands it some bytes; raises what is a finding.
        corpus: Bytes to begin with.
        is_json: Whether mutations of JSON make sense.
    """

    parse: Callable[[bytes], None]
    corpus: Callable[[Specimens], list[bytes]] = field(repr=False)
    is_json: bool = True


def parse_strict_json(data: bytes) -> None:
    """Read strictly, and canonically."""
    with suppress(EdgekitError):
        assert canonical(read_canonical(data, where="it", limit_bytes=2**20)) == data
    with suppress(EdgekitError):
        read_strict(data, where="it", limit_bytes=2**20)


def parse_manifest(data: bytes) -> None:
    """`manifest.json`."""
    with suppress(EdgekitError):
        manifest = read_manifest(data)
        assert read_manifest(write_manifest(manifest)) == manifest


def parse_oci(data: bytes) -> None:
    """Each of OCI's documents."""
    for read in (read_index, read_image_manifest):
        with suppress(EdgekitError):
            read(data, where="it")
    with suppress(EdgekitError):
        check_layout(data)


def parse_dsse(data: bytes) -> None:
    """An envelope, and the statement in it."""
    with suppress(EdgekitError):
        envelope = read_envelope(data, where="it")
        assert read_envelope(envelope.to_json(), where="it") == envelope
        statement = read_statement(envelope.payload, where="it")
        assert read_statement(statement.to_bytes(), where="it") == statement


def parse_sigstore_bundle(data: bytes) -> None:
    """A sealed statement, and a model signature."""
    with suppress(EdgekitError):
        open_sealed(data, _KEYS, where="it")
    with suppress(EdgekitError):
        verify_files(data, _KEYS)


def parse_tar(data: bytes) -> None:
    """The headers of a tar file."""
    with _file(data) as descriptor, suppress(EdgekitError):
        found = index_tar(descriptor)
        assert all(start + size <= len(data) for start, size in (*found.blobs.values(), *found.documents.values()))


def parse_key(data: bytes) -> None:
    """A public key in PEM, and as did:key."""
    text = data.decode("latin-1")
    for read in (PublicKey.from_pem, PublicKey.from_did):
        with suppress(EdgekitError):
            key = read(text)
            assert PublicKey.from_pem(key.pem) == key == PublicKey.from_did(key.did)


def parse_log_proof(data: bytes) -> None:
    """A proof of a log with its signed note, and a note alone."""
    with suppress(EdgekitError):
        assert write_proof(read_proof(data)) == data
    with suppress(EdgekitError):
        assert write_note(read_note(data)) == data


def parse_policy(data: bytes) -> None:
    """A policy on logs and witnesses."""
    with suppress(EdgekitError):
        policy = read_policy(data)
        assert all(VerifierKey.parse(str(log.key)) == log.key for log in policy.logs)


def parse_torrent(data: bytes) -> None:
    """A `.torrent` of any file, and the bencode that it is written in."""
    with suppress(EdgekitError):
        assert bencode.encode(bencode.decode(data, where="it", limit_bytes=LARGEST_TORRENT_BYTES)) == data
    for torrent in TORRENTS:
        with suppress(EdgekitError):
            assert read_torrent(data, blob=blob_of(torrent)) == torrent


def parse_car(data: bytes) -> None:
    """A CAR with whatever root it names, and its nodes."""
    with suppress(EdgekitError):
        check_car(io.BytesIO(data), read_header(io.BytesIO(data)))
    with suppress(EdgekitError):
        node = read_node(data)
        entries = {link.name: link for link in node.links}
        assert (directory(entries)[1] if node.is_folder else encode_file(node.links)) == data


def parse_delta_index(data: bytes) -> None:
    """A delta index."""
    with suppress(EdgekitError):
        written = delta_index.write_index(delta_index.read_index(data))
        assert delta_index.write_index(delta_index.read_index(written)) == written


def parse_bsdiff(data: bytes) -> None:
    """A bsdiff patch; and one whose triples are these bytes, and which has as many others as they ask for."""
    with suppress(EdgekitError):
        size_bytes = min(int.from_bytes(data[24:32], "little"), LARGEST_NEW_BYTES)
        assert len(apply_bsdiff(memoryview(OLD), memoryview(data), size_bytes=size_bytes)) == size_bytes
    numbers = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
    sums, news = sum(numbers[0::3]), sum(numbers[1::3])
    if sums + news <= LARGEST_NEW_BYTES:
        blocks = [bz2.compress(block) for block in (data, b"\1" * sums, b"\2" * news)]
        head = b"".join(map(eight_bytes, (len(blocks[0]), len(blocks[1]), sums + news)))
        patch = memoryview(b"BSDIFF40" + head + b"".join(blocks))
        with suppress(EdgekitError):
            assert len(apply_bsdiff(memoryview(OLD), patch, size_bytes=sums + news)) == sums + news


def parse_zstd(data: bytes) -> None:
    """A zstd patch, of which only what is around zstd itself can be followed."""
    for size_bytes in (0, 3, 4406, 20_900):
        with suppress(EdgekitError):
            assert len(apply_zstd(memoryview(OLD), memoryview(data), size_bytes=size_bytes)) == size_bytes


def parse_residual(data: bytes) -> None:
    """A residual; and one whose plan is these bytes, with everything else made to fit."""
    with suppress(EdgekitError):
        size_bytes = min(NumberReader(data[len(MAGIC) :]).number(), LARGEST_NEW_BYTES)
        assert len(apply_residual(OLD, data, size_bytes=size_bytes)) == size_bytes
    size_bytes = len(OLD)
    with suppress(EdgekitError):
        plan = read_plan(data, old_bytes=len(OLD), new_bytes=size_bytes)
        whole = assembled(Random(0), plan, OLD, size_bytes)
        with suppress(EdgekitError):
            assert len(apply_residual(OLD, whole, size_bytes=size_bytes)) == size_bytes


def parse_arrays(data: bytes) -> None:
    """An .npz, and an .npy."""
    with _file(data) as descriptor:
        path = Path(f"/proc/self/fd/{descriptor}")
        with suppress(ValueError, OSError):
            arrays = read_arrays(path, limit_bytes=LARGEST_ARRAYS_BYTES)
            assert sum(array.nbytes for array in arrays.values()) <= LARGEST_ARRAYS_BYTES
        with suppress(ValueError, OSError):
            read_array(path, limit_bytes=LARGEST_ARRAYS_BYTES)


def _patches(specimens: Specimens, codec: str) -> list[bytes]:
    """Patches, and what is inside them."""
    found = [pair.patches[codec] for pair in pairs(specimens) if codec in pair.patches]
    if codec == "residual":
        with_sizes = [(data, len(pair.new)) for pair in pairs(specimens) if (data := pair.patches.get(codec))]
        found += [read_parts(memoryview(data), size_bytes=size_bytes).plan for data, size_bytes in with_sizes]
    if codec == "bsdiff":
        found += [bz2.decompress(data[32 : 32 + int.from_bytes(data[8:16], "little")]) for data in list(found)]
    return found


def _documents(specimens: Specimens) -> list[bytes]:
    return [data for data in specimens.bundle.files.values() if data.startswith(b"{")]


def _signed(specimens: Specimens) -> list[bytes]:
    return [specimens.bundle.provenance, *specimens.bundle.signatures.values()]


def _keys(specimens: Specimens) -> list[bytes]:
    keys = (specimens.publisher.public, specimens.node.public)
    return [text.encode() for key in keys for text in (key.pem, key.did)]


def _arrays(specimens: Specimens) -> list[bytes]:
    del specimens
    return list(specimens_of_arrays())


PARSERS = {
    "strict-json": Parser(parse_strict_json, _documents),
    "manifest": Parser(
        parse_manifest, lambda specimens: [specimens.bundle.manifest_bytes, specimens.large.manifest_bytes]
    ),
    "oci": Parser(parse_oci, _documents),
    "dsse": Parser(parse_dsse, lambda specimens: [_envelope(data) for data in _signed(specimens)]),
    "sigstore-bundle": Parser(parse_sigstore_bundle, _signed),
    "tar": Parser(parse_tar, lambda specimens: [specimens.bundle.tar], is_json=False),
    "key": Parser(parse_key, _keys, is_json=False),
    "arrays": Parser(parse_arrays, _arrays, is_json=False),
    "torrent": Parser(parse_torrent, lambda _: torrent_specimens(), is_json=False),
    "car": Parser(parse_car, lambda _: car_specimens(), is_json=False),
    "delta-index": Parser(parse_delta_index, index_specimens),
    "delta-bsdiff": Parser(parse_bsdiff, lambda specimens: _patches(specimens, "bsdiff"), is_json=False),
    "delta-zstd": Parser(parse_zstd, lambda specimens: _patches(specimens, "zstd"), is_json=False),
    "delta-residual": Parser(parse_residual, lambda specimens: _patches(specimens, "residual"), is_json=False),
    "log-proof": Parser(parse_log_proof, proof_specimens, is_json=False),
    "log-policy": Parser(parse_policy, lambda _: [POLICY.encode()], is_json=False),
}


def _envelope(data: bytes) -> bytes:
    """The envelope in a sigstore bundle."""
    return canonical(read_strict(data, where="it", limit_bytes=2**20)["dsseEnvelope"])


@contextmanager
def _file(data: bytes) -> Iterator[int]:
    """A file in memory."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)
