"""Bundles: as folders and tar files, with documents whose digests fit, and with manifests that a trusted key signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from edgekit.bundle.extraction import extract
from edgekit.bundle.manifest_file import read_manifest, write_manifest
from edgekit.bundle.verify import Verdict, verify_bundle, verify_open
from edgekit.errors import MalformedError
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.folders import Tree, mutate_names, read_tree, write_tree
from tests.fuzz.forge import Forged, forge
from tests.fuzz.json_mutation import is_json, mutate_json
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.manifest_mutation import mutate_manifest
from tests.fuzz.specimens import Specimens
from tests.fuzz.tar_mutation import mutate_tar

NO_PROVENANCE = {"no_provenance": bytes}
"""The image index is signed by the provenance alone, which anybody may leave out."""


def bundle_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Bundles(specimens)
    same = "the bundle digest and every extracted file are the original's"
    yield Kind("bundle-folder", same, maker.draw_folder, maker.judge_folder, 900)
    yield Kind("bundle-tar", same, maker.draw_tar, maker.judge_tar, 1300)
    signed = "the bundle digest, manifest.json and every variant's files are the original's"
    yield Kind("bundle-documents", signed, maker.draw_documents, maker.judge_documents, 1500)
    lawful = "manifest.json is the one that was signed, keeps every rule, and extracts to the files that it names"
    yield Kind("bundle-resigned", lawful, maker.draw_resigned, maker.judge_resigned, 1300)
    yield Kind("manifest", "read(write(read(it))) == read(it)", maker.draw_manifest, _judge_manifest, 900)


class _Bundles:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens
        self._keys = [specimens.publisher.public]

    def draw_folder(self, random: Random) -> Tree:
        tree: Tree = dict(self._specimens.bundle.files)
        others = self._specimens.successor.files
        for _ in range(random.choice((1, 1, 2, 3))):
            if random.random() < 0.5:
                mutate_names(random, tree, others=others)
                continue
            name = random.choice(sorted(name for name, entry in tree.items() if isinstance(entry, bytes)))
            data = tree[name]
            assert isinstance(data, bytes)
            mutate = mutate_json if is_json(data) and random.random() < 0.5 else mutate_bytes
            tree[name] = mutate(random, data)
        return tree

    def judge_folder(self, tree: Tree, place: Path) -> None:
        write_tree(place / "net.edgekit", tree)
        self._judge_path(place / "net.edgekit", place)

    def draw_tar(self, random: Random) -> bytes:
        return mutate_tar(random, self._specimens.bundle.tar, [self._specimens.successor.tar])

    def judge_tar(self, data: bytes, place: Path) -> None:
        path = place / "net.tar"
        path.write_bytes(data)
        self._judge_path(path, place)

    def draw_documents(self, random: Random) -> Forged:
        source = self._specimens.bundle
        others = [self._specimens.successor.index, self._specimens.bundle.manifest_bytes]
        parts = ["image_index", "index", "provenance_manifest", "provenance"]
        parts += [
            f"{part}:{one.name}" for part in ("image", "config", "oms", "signature") for one in source.manifest.variants
        ]
        alter = {}
        for part in random.sample(parts, random.choice((1, 1, 1, 2))):
            alter[part] = lambda data: mutate_json(random, data, others, canonical=0.97) if is_json(data) else data
        return forge(source, alter=(alter | NO_PROVENANCE) if random.random() < 0.5 else alter)

    def judge_documents(self, made: Forged, place: Path) -> None:
        del place
        verdict, source = verify_open(made.opened(), self._keys), self._specimens.bundle
        hold(verdict.bundle_digest == source.digest, "a bundle of another digest was accepted")
        hold(verdict.release.manifest_bytes == source.manifest_bytes, "another manifest.json was accepted")
        _hold_images(verdict)

    def draw_resigned(self, random: Random) -> Forged:
        source = self._specimens.large if random.random() < 0.2 else self._specimens.bundle
        others = [self._specimens.successor.manifest_bytes, self._specimens.bundle.index]
        written = mutate_manifest(random, source.manifest_bytes, others)
        alter = NO_PROVENANCE if random.random() < 0.3 else {}
        return forge(source, manifest=written, signer=self._specimens.publisher, alter=alter)

    def judge_resigned(self, made: Forged, place: Path) -> None:
        verdict = verify_open(made.opened(), self._keys)
        path = place / "net.tar"
        path.write_bytes(made.tar())
        again = verify_bundle(path, self._keys)
        hold(again == verdict, "a folder and a tar file of the same bundle are judged differently")
        _judge_manifest(verdict.release.manifest_bytes, place)
        _hold_extracted(path, verdict, place / "out")

    def draw_manifest(self, random: Random) -> bytes:
        source = random.choice((self._specimens.bundle, self._specimens.large)).manifest_bytes
        if random.random() < 0.2:
            return mutate_bytes(random, source, [self._specimens.successor.manifest_bytes])
        return mutate_manifest(random, source, [self._specimens.successor.manifest_bytes])

    def _judge_path(self, path: Path, place: Path) -> None:
        verdict, source = verify_bundle(path, self._keys), self._specimens.bundle
        hold(verdict.bundle_digest == source.digest, "a bundle of another digest was accepted")
        hold(verdict.release.manifest_bytes == source.manifest_bytes, "another manifest.json was accepted")
        _hold_extracted(path, verdict, place / "out")


def _judge_manifest(data: bytes, place: Path) -> None:
    del place
    manifest = read_manifest(data)
    try:
        again = read_manifest(write_manifest(manifest))
    except MalformedError as error:
        hold(False, f"a manifest that was accepted cannot be written: {error}")
    hold(again == manifest, "a manifest that was accepted reads differently once it is written")


def _hold_images(verdict: Verdict) -> None:
    for name, image in verdict.images.items():
        files = {path: layer.sha256 for path, layer in image.layers.items()}
        said = {path: verdict.release.manifest.file(path).sha256 for path in image.variant.files}
        said["manifest.json"] = hashlib.sha256(verdict.release.manifest_bytes).hexdigest()
        hold(files == said, f"the image of {name} has other files than manifest.json says")


def _hold_extracted(path: Path, verdict: Verdict, folder: Path) -> None:
    """What is written is what the manifest names, and nothing else."""
    extract(path, verdict, folder)
    expected: dict[str, str] = {}
    for name, image in verdict.images.items():
        expected |= {f"{name}/{path}": verdict.release.manifest.file(path).sha256 for path in image.variant.files}
        expected[f"{name}/manifest.json"] = hashlib.sha256(verdict.release.manifest_bytes).hexdigest()
        expected[f"{name}/model.sig"] = hashlib.sha256(image.signature).hexdigest()
    hold(_digests(read_tree(folder)) == expected, "other files were extracted than were verified")


def _digests(tree: Tree) -> Mapping[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in tree.items() if isinstance(data, bytes)}
