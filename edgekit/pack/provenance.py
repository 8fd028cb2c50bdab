"""Provenance: how the files of a bundle came to be, as SLSA's provenance v1 in an in-toto statement.

It is said by whoever packs, on the machine that compressed: build level 1 of SLSA, no more. Nothing in it depends on
the time or the machine's folders.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.oci.media_types import PROVENANCE_PREDICATE
from edgekit.pack.compressed import Compressed
from edgekit.seal.statement import Statement, Subject
from edgekit.types.blob import Descriptor
from edgekit.types.manifest import Manifest, Role
from edgekit.version import __version__

BUILD_TYPE = "https://edgekit.dev/build/compress/v1"
BUILDER = "https://edgekit.dev/builder/local/v1"


def provenance(manifest: Manifest, index: Descriptor, compressed: Compressed, packages: Mapping[str, str]) -> Statement:
    """The statement over a bundle and its model files.

    Args:
        manifest: What the bundle holds.
        index: The image index: the bundle's identity.
        compressed: What it was made from.
        packages: Package -> version of the runtimes that gave the golden answers.
    """
    models = [file for file in manifest.files if file.role is Role.MODEL]
    subjects = (Subject(manifest.name, index.sha256), *(Subject(file.path, file.sha256) for file in models))
    recipe = compressed.recipe
    settings: dict[str, Any] = tomllib.loads(recipe.to_toml()) if recipe else {}
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "name": manifest.name,
                "version": manifest.version,
                "semver": manifest.semver,
                "recipe": settings,
            },
            "internalParameters": {"forced": list(manifest.forced)},
            "resolvedDependencies": _materials(manifest, compressed, packages),
        },
        "runDetails": {
            "builder": {
                "id": BUILDER,
                "version": {"edgekit-ml": __version__, "edgekit-ml (compress)": compressed.told.version},
            },
        },
    }
    return Statement(subjects, PROVENANCE_PREDICATE, predicate)


def _materials(manifest: Manifest, compressed: Compressed, packages: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    """What went in: resource descriptors of in-toto."""
    lineage = manifest.lineage
    named = (
        (f"checkpoint: {compressed.told.model.name}", lineage.checkpoint_sha256),
        ("calibration samples", lineage.calibration_sha256),
        ("recipe.toml", lineage.recipe_sha256),
    )
    found: list[dict[str, Any]] = [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in named if sha256]
    found += [{"uri": f"pkg:pypi/{name}@{version}"} for name, version in sorted(packages.items())]
    return found
