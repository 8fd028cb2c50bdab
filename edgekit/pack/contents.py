"""Contents: the manifest of a bundle, and every file that it lists, from a compression and its rehearsal."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit import digest
from edgekit.errors import CheckError
from edgekit.pack.card import FILE_NAME as CARD
from edgekit.pack.card import render_card
from edgekit.pack.compressed import RECIPE, Compressed
from edgekit.pack.inventory import Stored, store_bytes, store_file
from edgekit.pack.measurements import measured_of, time_of
from edgekit.pack.ml_bom import FILE_NAME as BOM
from edgekit.pack.ml_bom import MEDIA_TYPE as BOM_TYPE
from edgekit.pack.ml_bom import Parts, render_bom
from edgekit.pack.refusals import MOST_RECORDED
from edgekit.pack.rehearsal import Rehearsal
from edgekit.pack.requirements import oldest_runtime, ram_bytes, requires
from edgekit.pack.settings import PackSettings
from edgekit.pack.variants import Place, in_order, place
from edgekit.runtime.array_archive import write_arrays
from edgekit.types.bench import BenchReport
from edgekit.types.manifest import BundleFile, Golden, Lineage, Manifest, Role, Variant
from edgekit.version import __version__

LICENSE = "LICENSE"


@dataclass(frozen=True)
class Contents:
    """What a bundle holds.

    Attributes:
        manifest: Told.
        files: And where the bytes are.
    """

    manifest: Manifest
    files: Sequence[Stored]


def fill(
    compressed: Compressed,
    rehearsal: Rehearsal,
    settings: PackSettings,
    *,
    bench: BenchReport | None,
    license_text: bytes | None,
    failed: Sequence[str],
) -> Contents:
    """Everything that goes into a bundle.

    Args:
        compressed: What is packed.
        rehearsal: What its files answered.
        settings: Name, version and licence.
        bench: Times on devices.
        license_text: Of the licence; None packs none.
        failed: Checks of the report that failed, and are recorded with those of the rehearsal.

    Raises:
        CheckError: No file is left that serves any machine.
        InputError: A file cannot be read.
    """
    variants, files = _variants(compressed, rehearsal, bench, settings.first)
    if not variants:
        raise CheckError("no file is left that serves any machine", hint="compress again with more formats")
    preprocessing = compressed.told.preprocessing
    draft = Manifest(
        name=settings.name,
        version=settings.version,
        semver=settings.semver,
        license=settings.license,
        created_with=f"edgekit-ml {__version__}",
        files=_sorted(files),
        variants=variants,
        lineage=_lineage(compressed),
        preprocessing=preprocessing.to_dict() if preprocessing else None,
        forced=_recorded((*failed, *rehearsal.failed)),
    )
    shared = _documents(draft, files, compressed, rehearsal, settings)
    if license_text is not None:
        shared.append(store_bytes(LICENSE, Role.LICENSE, license_text))
    return Contents(_with_shared(draft, files, shared), (*files, *shared))


def places_of(compressed: Compressed, formats: Sequence[str]) -> tuple[Place, ...]:
    """The variants that files of a compression make, in the order of the table."""
    return place(
        formats,
        host_arch=compressed.architecture,
        host_isa=tuple(sorted(compressed.told.check.machine.isa)),
        is_pair_safe=compressed.is_pair_safe,
    )


def _recorded(failed: Sequence[str]) -> tuple[str, ...]:
    """As many as a manifest holds."""
    if len(failed) <= MOST_RECORDED:
        return tuple(failed)
    kept = MOST_RECORDED - 1
    return (*failed[:kept], f"and {len(failed) - kept} more")


def _variants(
    compressed: Compressed, rehearsal: Rehearsal, bench: BenchReport | None, first: Sequence[str]
) -> tuple[tuple[Variant, ...], list[Stored]]:
    """The variants in order of preference, and the files that they need for themselves."""
    places = places_of(compressed, list(rehearsal.files))
    times = {each.name: time_of(each, compressed, bench)[0] for each in places}
    stored: dict[str, Stored] = {path: store_bytes(path, Role.GOLDEN, data) for path, data in rehearsal.inputs.items()}
    variants = []
    for each in in_order(places, times, first=first):
        own = rehearsal.files[each.format]
        parts = compressed.parts(own.entry.artifact)
        for part in parts:
            stored.setdefault(part.name, store_file(part.name, Role.MODEL, part))
        answers = f"golden/{each.name}.npz"
        stored[answers] = store_bytes(answers, Role.GOLDEN, _npz(rehearsal, each))
        paths = (*(part.name for part in parts), own.inputs, answers)
        size = sum(stored[part.name].file.size_bytes for part in parts)
        variants.append(
            Variant(
                name=each.name,
                format=each.format,
                model=own.entry.artifact.path,
                files=tuple(sorted(paths)),
                requires=requires(
                    each,
                    minimum=oldest_runtime(each, own.header),
                    ram=ram_bytes(each.runtime, size, own.trial.peak_rss_bytes),
                    flash=sum(stored[path].file.size_bytes for path in paths),
                ),
                inputs=own.border.inputs,
                outputs=own.border.outputs,
                golden=Golden(own.inputs, answers, own.samples, (rehearsal.rule_for(each, compressed),)),
                measured=measured_of(each, compressed, bench),
            )
        )
    return tuple(variants), list(stored.values())


def _npz(rehearsal: Rehearsal, each: Place) -> bytes:
    buffer = io.BytesIO()
    write_arrays(buffer, rehearsal.answers_for(each))
    return buffer.getvalue()


def _lineage(compressed: Compressed) -> Lineage:
    calibration, recipe = compressed.told.calibration, compressed.recipe
    return Lineage(
        checkpoint_sha256=compressed.told.model.digest,
        calibration_sha256=calibration.digest if calibration.samples else "",
        recipe_sha256=digest.of_bytes(recipe.to_toml().encode()) if recipe else "",
    )


def _documents(
    draft: Manifest, files: Sequence[Stored], compressed: Compressed, rehearsal: Rehearsal, settings: PackSettings
) -> list[Stored]:
    """What is written about the model and belongs to every variant: ML-BOM, card, recipe."""
    models = [stored.file for stored in files if stored.file.role is Role.MODEL]
    bom = render_bom(Parts(settings, compressed, models, draft.variants, rehearsal.packages))
    card = render_card(draft, compressed, rehearsal.packages).encode()
    found = [store_bytes(BOM, Role.BOM, bom, media_type=BOM_TYPE), store_bytes(CARD, Role.CARD, card)]
    if compressed.recipe:
        found.append(store_bytes(RECIPE, Role.RECIPE, compressed.recipe.to_toml().encode()))
    return found


def _with_shared(draft: Manifest, files: Sequence[Stored], shared: Sequence[Stored]) -> Manifest:
    """The manifest with the shared files in every variant, and on every disk."""
    paths = [stored.file.path for stored in shared]
    size = sum(stored.file.size_bytes for stored in shared)
    variants = tuple(
        dataclasses.replace(
            variant,
            files=tuple(sorted((*variant.files, *paths))),
            requires=dataclasses.replace(variant.requires, flash_bytes=variant.requires.flash_bytes + size),
        )
        for variant in draft.variants
    )
    return dataclasses.replace(draft, variants=variants, files=_sorted((*files, *shared)))


def _sorted(files: Sequence[Stored]) -> tuple[BundleFile, ...]:
    return tuple(sorted((stored.file for stored in files), key=lambda file: file.path))
