"""What a publisher is told where nodes would change to another variant."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgekit.publish.preference import changed_preferences
from edgekit.publish.publishing import publish
from edgekit.types.manifest import Manifest, Requires, RuntimeNeed
from tests.bundle.building import Draft, draft, write_bundle
from tests.publish.lab import MODEL, Lab

ARCHS = {"vnni": "amd64", "x86": "amd64", "tflite": "amd64", "arm": "arm64", "tflite-arm": "arm64", "qop": "any"}
"""Variant -> what it is for."""


def content(folder: Path, version: int, *names: str) -> Draft:
    """Files of a bundle with these variants, in this order."""
    made = draft(folder / str(version), variants=1, name=MODEL, version=version, semver=f"{version}.0.0")
    (one,) = made.manifest.variants
    variants = tuple(
        dataclasses.replace(
            one,
            name=name,
            format=f"format-of-{name}",
            requires=Requires("linux", ARCHS[name], RuntimeNeed("onnxruntime", "1.22.0"), 1, 10**6),
        )
        for name in names
    )
    return Draft(dataclasses.replace(made.manifest, variants=variants), made.sources)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("x86 tflite qop", "x86 tflite qop", []),
        ("x86 tflite", "tflite x86", [("tflite", "x86")]),
        ("vnni x86 tflite", "tflite vnni x86", [("tflite", "vnni"), ("tflite", "x86")]),
        ("vnni x86 tflite", "vnni tflite x86", [("tflite", "x86")]),
        ("x86 arm", "arm x86", []),
        ("x86", "tflite x86", [("tflite", "x86")]),
        ("x86 tflite", "tflite", []),
        ("x86 tflite arm tflite-arm", "x86 tflite tflite-arm arm", [("tflite-arm", "arm")]),
    ],
)
def test_whose_nodes_take_another_one(old: str, new: str, changes: list[tuple[str, str]], tmp_path: Path) -> None:
    def manifest(names: str, version: int) -> Manifest:
        return content(tmp_path, version, *names.split()).manifest

    lines = list(changed_preferences(manifest(old, 1), manifest(new, 2)))
    assert len(lines) == len(changes)
    for line, (after, before) in zip(lines, changes, strict=True):
        assert f"on linux/{ARCHS[before]} {after} comes before {before} now" in line
        assert f"`edgekit pack --first format-of-{before}`" in line


def test_it_is_told_as_a_release_is_published(lab: Lab, tmp_path: Path) -> None:
    for version, names in enumerate((("x86", "tflite"), ("tflite", "x86"), ("tflite", "x86")), 1):
        built = write_bundle(content(tmp_path, version, *names), tmp_path / f"{version}.edgekit", lab.publisher)
        done = publish(built.path, lab.place, lab.settings(), now=lab.now)
        told = [note for note in done.deltas.notes if "comes before" in note]
        assert len(told) == (version == 2)
