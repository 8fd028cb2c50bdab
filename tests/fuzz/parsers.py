"""The parsers of strangers' bytes, each as a function of bytes alone that keeps a law: what atheris drives.

A parser may raise EdgekitError, and ValueError where its contract says so; what it accepts reads the same once written.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.addressing import bencode
from edgekit.addressing.car import check_car, read_header
from edgekit.addressing.torrent import LARGEST_TORRENT_BYTES, read_torrent
from edgekit.addressing.unixfs import directory, encode_file, read_node
from edgekit.bundle.manifest_file import read_manifest, write_manifest
from edgekit.bundle.tar_index import index_tar
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
from tests.fuzz.address_kinds import TORRENTS, blob_of, car_specimens, torrent_specimens
from tests.fuzz.archive_mutation import specimens_of_arrays
from tests.fuzz.log_kinds import POLICY, proof_specimens
from tests.fuzz.specimens import Specimens, publisher_key

LARGEST_ARRAYS_BYTES = 2**22
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


def parse_arrays(data: bytes) -> None:
    """An .npz, and an .npy."""
    with _file(data) as descriptor:
        path = Path(f"/proc/self/fd/{descriptor}")
        with suppress(ValueError, OSError):
            arrays = read_arrays(path, limit_bytes=LARGEST_ARRAYS_BYTES)
            assert sum(array.nbytes for array in arrays.values()) <= LARGEST_ARRAYS_BYTES
        with suppress(ValueError, OSError):
            read_array(path, limit_bytes=LARGEST_ARRAYS_BYTES)


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
