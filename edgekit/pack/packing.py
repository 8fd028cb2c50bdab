"""The story of `edgekit pack`: a compressed model in, a signed bundle out; the same input and key, the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import digest
from edgekit.errors import InputError, KeyFileError
from edgekit.pack.assembly import check_place, make_documents, write_bundle
from edgekit.pack.compressed import Compressed, open_compressed
from edgekit.pack.contents import fill, places_of
from edgekit.pack.measurements import refuse_unrelated
from edgekit.pack.refusals import failed_checks, refuse_failed
from edgekit.pack.rehearsal import rehearse
from edgekit.pack.settings import PackSettings, read_license
from edgekit.seal.keys import PrivateKey
from edgekit.types.bench import BenchReport
from edgekit.types.manifest import Manifest
from edgekit.types.progress import Progress, Silent


@dataclass(frozen=True)
class Packed:
    """What was written.

    Attributes:
        path: The folder, or the .tar.
        bundle_digest: "sha256:<hex>" of the image index: the identity, whoever signs.
        release_digest: "sha256:<hex>" of index.json: what a channel publishes.
        manifest: What the bundle holds.
        size_bytes: Of all files of the model, each counted once.
    """

    path: Path
    bundle_digest: str
    release_digest: str
    manifest: Manifest
    size_bytes: int


def pack(
    folder: Path,
    out: Path,
    *,
    key: PrivateKey,
    settings: PackSettings,
    bench: BenchReport | None = None,
    progress: Progress | None = None,
) -> Packed:
    """Pack what `edgekit compress` left into a signed bundle.

    Args:
        folder: Holds report.json and the model files.
        out: Where the bundle is written: whole, or not at all. A bundle that is there is replaced.
        key: P-256; it signs every variant, and the provenance.
        settings: Name, version, licence and how.
        bench: Times of the same files on devices, which win over those of the report.
        progress: Who watches.

    Raises:
        InputError: The folder, the licence or the golden inputs cannot be used, or something else is at `out`.
        KeyFileError: The key is none for models.
        CheckError: A check failed, or no file serves any machine.
        StorageError: The disk is full, or `out` not writable.
    """
    watcher = progress or Silent()
    if key.public.kind != "p256":
        raise KeyFileError(
            "a bundle is signed with a P-256 key, and this one is ed25519",
            hint="make one with: edgekit keys new NAME --type p256",
        )
    compressed = open_compressed(folder)
    license_text = read_license(settings.license_file) if settings.license_file else None
    if bench:
        refuse_unrelated(bench, compressed)
    formats = _formats(compressed)
    _check_first(settings.first, formats)
    check_place(out, tar=settings.tar)
    with watcher.stage("check"):
        failed = failed_checks(compressed)
    refuse_failed(failed, force=settings.force)
    rehearsal = rehearse(compressed, formats, settings, watcher)
    refuse_failed(rehearsal.failed, force=settings.force)
    contents = fill(compressed, rehearsal, settings, bench=bench, license_text=license_text, failed=failed)
    with watcher.stage("sign"):
        documents = make_documents(contents.manifest, compressed, rehearsal.packages, key)
    write_bundle(out, documents, contents.files, tar=settings.tar, progress=watcher)
    sizes = {file.sha256: file.size_bytes for file in contents.manifest.files}
    release = f"sha256:{digest.of_bytes(documents.release)}"
    return Packed(out, documents.index.digest, release, contents.manifest, sum(sizes.values()))


def _formats(compressed: Compressed) -> list[str]:
    """Formats of the files that are there and serve some machine."""
    there = [
        entry.artifact.format
        for entry in compressed.told.check.artifacts
        if (compressed.folder / entry.artifact.path).is_file()
    ]
    return list(dict.fromkeys(each.format for each in places_of(compressed, there)))


def _check_first(first: Sequence[str], formats: Sequence[str]) -> None:
    """That there is a file of each format that is to come first.

    Raises:
        InputError: There is none.
    """
    for each in first:
        if each not in formats:
            raise InputError(
                f"no file of the format {each[:40]!r} is there to come first",
                hint=f"those that are packed: {', '.join(formats) or 'none'}",
            )
