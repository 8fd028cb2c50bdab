"""What a manifest must keep to beyond its shape: bounds, names without tricks, and that its parts fit one another."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from edgekit.addressing.cid import parse_cid, raw_cid
from edgekit.addressing.unixfs import CHUNK_BYTES, file_tree
from edgekit.errors import MalformedError
from edgekit.types.blob import MOST_PIECES, SMALLEST_PIECE_BYTES, Addresses, Blob, Pieces, check_sha256, check_size
from edgekit.types.manifest import (
    FILE_NAME,
    FILE_PATH,
    NAME,
    SCHEMA,
    SEMVER,
    VARIANT_NAME,
    BundleFile,
    Golden,
    Manifest,
    Mode,
    Requires,
    Role,
    Variant,
)  # fmt: skip
from edgekit.types.spec import TensorSpec

SIGNATURE_FILE = "model.sig"
"""Where a variant's signature is put beside its files; no file of a bundle may have that path, nor `manifest.json`."""
MOST_FILES, MOST_VARIANTS, MOST_TENSORS, MOST_RULES, MOST_FORCED = 256, 64, 256, 16, 64
MOST_AXES, LONGEST_AXIS = 8, 2**31 - 1
MOST_SAMPLES = 4096
MOST_STEPS = 127
"""Of a rule that counts steps: half of what 8 bits can say. With a larger one nearly any answer would count."""
LONGEST_PATH = 255
_DTYPES = ("float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "bool")
_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:() -]{0,255}")
_MEDIA_TYPE = re.compile(r"[a-z]+/[A-Za-z0-9][A-Za-z0-9.+_-]{0,126}")
_RUNTIME_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}")


def check_manifest(manifest: Manifest) -> None:
    """Everything about a manifest that can be judged without its files.

    Raises:
        MalformedError: Says which rule is broken, and where.
    """
    _need(manifest.schema == SCHEMA, "schema", f"is {manifest.schema[:80]!r}, not {SCHEMA!r}")
    _match(NAME, manifest.name, "name", 128)
    _need(1 <= manifest.version < 2**53, "version", f"is {manifest.version}; versions count from 1")
    _match(SEMVER, manifest.semver, "semver", 128)
    _match(_LICENSE, manifest.license, "license", 256)
    _text(manifest.created_with, "created_with", 128)
    for key, sha256 in vars(manifest.lineage).items():
        if sha256:
            check_sha256(sha256, where=f"{FILE_NAME}.lineage.{key}")
    _count(manifest.forced, MOST_FORCED, "forced")
    for number, text in enumerate(manifest.forced):
        _text(text, f"forced[{number}]", 500)
    _check_files(manifest.files)
    _count(manifest.variants, MOST_VARIANTS, "variants", least=1)
    _unique((variant.name for variant in manifest.variants), "variants")
    files = {file.path: file for file in manifest.files}
    for variant in manifest.variants:
        _check_variant(variant, files)
    used = {path for variant in manifest.variants for path in variant.files}
    for path in files:
        _need(path in used, "files", f"has {path!r}, which belongs to no variant")


def _check_files(files: tuple[BundleFile, ...]) -> None:
    _count(files, MOST_FILES, "files", least=1)
    paths = [file.path for file in files]
    for number, path in enumerate(paths):
        _match(FILE_PATH, path, f"files[{number}].path", LONGEST_PATH)
        reserved = path.casefold() in (FILE_NAME, SIGNATURE_FILE)
        _need(not reserved, f"files[{number}].path", f"is {path!r}, a name that every bundle uses itself")
    _need(paths == sorted(paths), "files", "is not sorted by path")
    _unique((path.casefold() for path in paths), "files")
    folders = {str(folder) for path in paths for folder in PurePosixPath(path.casefold()).parents}
    for path in paths:
        _need(path.casefold() not in folders, "files", f"has {path!r} both as a file and as a folder")
    for file in files:
        where = f"files[{file.path}]"
        _match(_MEDIA_TYPE, file.media_type, f"{where}.media_type", 128)
        check_sha256(file.sha256, where=f"{FILE_NAME}.{where}.sha256")
        check_size(file.size_bytes, where=f"{FILE_NAME}.{where}.size_bytes")
        if file.pieces:
            _check_pieces(file.pieces, file.size_bytes, f"{where}.pieces")
        if file.addresses:
            _check_addresses(file.addresses, file.blob, f"{where}.addresses")
    blobs: dict[str, Blob] = {}
    for file in files:
        same = blobs.setdefault(file.sha256, file.blob) == file.blob
        _need(
            same, f"files[{file.path}]", "has the digest of a file of another size, or with other pieces or addresses"
        )
    addressed = [blob.addresses for blob in blobs.values() if blob.addresses]
    for key in ("cid", "pieces_root", "infohash"):
        _unique((getattr(addresses, key) for addresses in addressed), f"files.addresses.{key}")


def _check_pieces(pieces: Pieces, size_bytes: int, where: str) -> None:
    length = pieces.length_bytes
    power = length >= SMALLEST_PIECE_BYTES and length & (length - 1) == 0
    _need(power, where, f"have {length} bytes each; it must be a power of two of at least {SMALLEST_PIECE_BYTES}")
    count = -(-size_bytes // length)
    fits = len(pieces.sha256) == count and 1 < count <= MOST_PIECES
    _need(fits, where, f"are {len(pieces.sha256)}; {size_bytes} bytes make {count}, and 2 to {MOST_PIECES} are allowed")
    for sha256 in pieces.sha256:
        check_sha256(sha256, where=f"{FILE_NAME}.{where}")


def _check_addresses(addresses: Addresses, blob: Blob, where: str) -> None:
    """Their form; and the CID, wherever digests that are signed beside it lead to it."""
    _need(blob.size_bytes > 0, where, "are those of an empty file, of which there is no torrent")
    check_sha256(addresses.pieces_root, where=f"{FILE_NAME}.{where}.pieces_root")
    check_sha256(addresses.infohash, where=f"{FILE_NAME}.{where}.infohash")
    parse_cid(addresses.cid, where=f"{FILE_NAME}.{where}.cid")
    expected = ""
    if blob.size_bytes <= CHUNK_BYTES:
        expected = raw_cid(blob.sha256)
    elif blob.pieces and blob.pieces.length_bytes == CHUNK_BYTES:
        root, _ = file_tree([bytes.fromhex(sha256) for sha256 in blob.pieces.sha256], blob.size_bytes)
        expected = str(root.cid)
    _need(expected in ("", addresses.cid), f"{where}.cid", f"is {addresses.cid}; its digests make {expected}")


def _check_variant(variant: Variant, files: dict[str, BundleFile]) -> None:
    _match(VARIANT_NAME, variant.name, "variants.name", 64)
    where = f"variants[{variant.name}]"
    _match(_WORD, variant.format, f"{where}.format", 64)
    _count(variant.files, MOST_FILES, f"{where}.files", least=1)
    _need(list(variant.files) == sorted(set(variant.files)), f"{where}.files", "is not sorted, or names a file twice")
    for path in variant.files:
        _need(path in files, f"{where}.files", f"names {path[:80]!r}, which the bundle does not list")
    named = ((variant.model, Role.MODEL), (variant.golden.inputs, Role.GOLDEN), (variant.golden.outputs, Role.GOLDEN))
    for path, role in named:
        _need(path in variant.files, where, f"needs {path[:80]!r}, which is none of its files")
        _need(files[path].role is role, where, f"uses {path!r} as {role.value}, but it is {files[path].role.value}")
    _check_requires(variant.requires, where)
    _check_golden(variant.golden, variant.requires.runtime.name, where)
    for side, specs in (("inputs", variant.inputs), ("outputs", variant.outputs)):
        _count(specs, MOST_TENSORS, f"{where}.{side}", least=1)
        _unique((spec.name for spec in specs), f"{where}.{side}")
        for spec in specs:
            _check_tensor(spec, f"{where}.{side}")
    for key, value in vars(variant.measured).items():
        _need(not isinstance(value, float) or math.isfinite(value), f"{where}.measured.{key}", f"is {value}")
    _text(variant.measured.metric, f"{where}.measured.metric", 128, least=0)
    _text(variant.measured.machine, f"{where}.measured.machine", 256, least=0)
    _need(variant.measured.accuracy_samples >= 0, f"{where}.measured.accuracy_samples", "is negative")


def _check_requires(requires: Requires, where: str) -> None:
    runtime = requires.runtime
    for key, word in (("os", requires.os), ("arch", requires.arch), ("runtime.name", runtime.name),
                      ("runtime.provider", runtime.provider)):  # fmt: skip
        _match(_WORD, word, f"{where}.requires.{key}", 64)
    _match(_RUNTIME_VERSION, runtime.minimum, f"{where}.requires.runtime.minimum", 32)
    for key, words in (("isa", requires.isa), ("isa_any", requires.isa_any)):
        _count(words, 64, f"{where}.requires.{key}")
        for word in words:
            _match(_WORD, word, f"{where}.requires.{key}", 64)
    check_size(requires.ram_bytes, where=f"{FILE_NAME}.{where}.requires.ram_bytes")
    check_size(requires.flash_bytes, where=f"{FILE_NAME}.{where}.requires.flash_bytes")


def _check_golden(golden: Golden, runtime: str, where: str) -> None:
    _need(golden.inputs != golden.outputs, f"{where}.golden", "has one file for inputs and outputs")
    _need(1 <= golden.samples <= MOST_SAMPLES, f"{where}.golden.samples", f"is {golden.samples}")
    _count(golden.rules, MOST_RULES, f"{where}.golden.rules", least=1)
    _unique((rule.runtime for rule in golden.rules), f"{where}.golden.rules")
    for rule in golden.rules:
        _match(_WORD, rule.runtime, f"{where}.golden.rules.runtime", 64)
        bounded = math.isfinite(rule.bound) and rule.bound >= 0 and (rule.mode is not Mode.EXACT or rule.bound == 0)
        bounded = bounded and (rule.mode is not Mode.LSB or rule.bound <= MOST_STEPS)
        _need(bounded, f"{where}.golden.rules", f"has the bound {rule.bound:g} for {rule.mode.value}")
    known = any(rule.runtime == runtime for rule in golden.rules)
    _need(known, f"{where}.golden.rules", f"has none for {runtime!r}, the runtime that it requires")


def _check_tensor(spec: TensorSpec, where: str) -> None:
    _text(spec.name, f"{where}.name", 256)
    place = f"{where}[{spec.name}]"
    axes = range(len(spec.shape))
    _need(len(axes) <= MOST_AXES, f"{place}.shape", f"has {len(axes)} axes; at most {MOST_AXES} are allowed")
    _need(all(0 <= size <= LONGEST_AXIS for size in spec.shape), f"{place}.shape", f"is {spec.shape}")
    _need(spec.dtype in _DTYPES, f"{place}.dtype", f"is {spec.dtype[:80]!r}; known are {', '.join(_DTYPES)}")
    _need(spec.batch_axis is None or spec.batch_axis in axes, f"{place}.batch_axis", f"is {spec.batch_axis}")
    permuted = spec.permutation is None or sorted(spec.permutation) == list(axes)
    _need(permuted, f"{place}.permutation", f"is {spec.permutation}, which is no order of the axes")
    scaled = spec.scale is None or (math.isfinite(spec.scale) and spec.scale > 0)
    _need(scaled, f"{place}.scale", f"is {spec.scale}; it must be positive")
    small = spec.zero_point is None or -(2**31) <= spec.zero_point < 2**31
    _need(small, f"{place}.zero_point", f"is {spec.zero_point}")


def _need(holds: bool, where: str, what: str) -> None:
    if not holds:
        raise MalformedError(f"{FILE_NAME}.{where} {what}")


def _match(pattern: re.Pattern[str], text: str, where: str, longest: int) -> None:
    allowed = len(text) <= longest and pattern.fullmatch(text) is not None
    _need(allowed, where, f"is {text[:80]!r}, which is not allowed")


def _text(text: str, where: str, longest: int, *, least: int = 1) -> None:
    """No control characters: it may be printed on a terminal."""
    fits = least <= len(text) <= longest and text.isprintable()
    _need(fits, where, f"is {text[:80]!r}; it must have {least} to {longest} printable characters")


def _count(items: tuple[object, ...], most: int, where: str, *, least: int = 0) -> None:
    _need(least <= len(items) <= most, where, f"has {len(items)} entries; {least} to {most} are allowed")


def _unique(names: Iterable[str], where: str) -> None:
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    _need(count < 2, where, f"has {name[:80]!r} twice")
