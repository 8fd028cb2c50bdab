"""Choosing the variant of a bundle for a machine: the first that fits, in the publisher's order of preference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekit.errors import NoVariantError
from edgekit.node.installed import LITERT, TFLITE_RUNTIME
from edgekit.node.versions import is_at_least
from edgekit.types.capabilities import Capabilities
from edgekit.types.manifest import Manifest, Requires, RuntimeNeed, Variant
from edgekit.units import size

ANY = "any"
OLDEST_TFLITE_RUNTIME = "2.14.0"
"""The `tflite-runtime` that runs the files of edgekit in its tests. Its versions are another count than LiteRT's, so a
manifest's minimum says nothing about it: a file that it cannot run fails the self-test."""
_PACKAGES = {LITERT: "ai-edge-litert"}


def choose(manifest: Manifest, capabilities: Capabilities, *, installed_bytes: int = 0) -> Variant:
    """The first variant that the machine can run.

    Args:
        manifest: Lists them in order of preference.
        capabilities: Of the machine.
        installed_bytes: Bytes that an update will free, or need not write since they are there: they count as free.

    Raises:
        NoVariantError: None fits; says of each why.
    """
    reasons, installable = {}, []
    for variant in manifest.variants:
        hardware = tuple(_hardware_misfits(variant.requires, capabilities, installed_bytes))
        runtime = tuple(_runtime_misfits(variant.requires.runtime, capabilities))
        if not hardware and not runtime:
            return variant
        if not hardware:
            installable.append(variant.requires.runtime)
        is_foreign = variant.requires.arch not in (capabilities.arch, ANY)
        reasons[variant.name] = "; ".join(hardware if is_foreign else (*hardware, *runtime))
    raise NoVariantError(
        f"{manifest.name} {manifest.semver} has no variant for this machine"
        f" ({capabilities.os}/{capabilities.arch}, {capabilities.cpu or 'unknown processor'}):",
        reasons=reasons,
        hint=_hint(manifest, capabilities, installable),
    )


def _hardware_misfits(needs: Requires, machine: Capabilities, installed_bytes: int) -> Iterator[str]:
    """Why the machine itself does not fit; nothing when it does."""
    if needs.os not in (machine.os, ANY):
        yield f"is for {needs.os}, this is {machine.os}"
    if needs.arch not in (machine.arch, ANY):
        yield f"is for {needs.arch}, this is {machine.arch}"
        return  # what else it lacks is said in another processor's words
    missing = [flag for flag in needs.isa if flag not in machine.isa]
    if missing:
        yield f"needs {', '.join(missing)}, which the processor has not"
    if needs.isa_any and not set(needs.isa_any) & set(machine.isa):
        yield f"needs one of {', '.join(needs.isa_any)}, none of which the processor has"
    if machine.ram_bytes < needs.ram_bytes:
        yield f"needs {size(needs.ram_bytes)} of memory, there are {size(machine.ram_bytes)}"
    if machine.disk_bytes + installed_bytes < needs.flash_bytes:
        yield f"needs {size(needs.flash_bytes)} of disk, {size(machine.disk_bytes + installed_bytes)} are free"


def _runtime_misfits(need: RuntimeNeed, machine: Capabilities) -> Iterator[str]:
    name, minimum = need.name, need.minimum
    if name == LITERT and name not in machine.runtimes and TFLITE_RUNTIME in machine.runtimes:
        name, minimum = TFLITE_RUNTIME, OLDEST_TFLITE_RUNTIME
    version = machine.runtimes.get(name)
    if version is None:
        yield f"needs {need.name} {minimum} or newer, which is not installed"
        return
    try:
        if not is_at_least(version, minimum):
            yield f"needs {name} {minimum} or newer, installed is {version}"
    except ValueError as error:
        yield f"needs {name} {minimum} or newer, installed is {version}: {error}"
    offered = machine.providers.get(name, ())
    if need.provider != "cpu" and need.provider not in offered:
        yield f"needs {name} with {need.provider}, here it has {', '.join(offered or ('cpu',))}"


def _hint(manifest: Manifest, machine: Capabilities, installable: Sequence[RuntimeNeed]) -> str:
    """What to do where only a runtime, or room on the disk, is in the way."""
    for need in installable:
        if need.provider == "cpu":
            return f"install its runtime: pip install '{_PACKAGES.get(need.name, need.name)}>={need.minimum}'"
    short = [
        variant.requires.flash_bytes
        for variant in manifest.variants
        if not any(_hardware_misfits(variant.requires, machine, variant.requires.flash_bytes))
    ]
    if short:
        return f"free some space: {size(min(short))} are needed"
    return "ask its publisher for a variant of this kind; edgekit node status shows what this machine has"
