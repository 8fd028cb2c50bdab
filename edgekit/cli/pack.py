"""`edgekit pack DIR --key KEY`: what `edgekit compress` left becomes one signed bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.passphrase import key_option, passphrase_option, passphrase_source
from edgekit.cli.terminal import Terminal, needing, output_options
from edgekit.errors import RecipeError
from edgekit.types.bench import BenchReport
from edgekit.types.plain import to_plain
from edgekit.units import size

if TYPE_CHECKING:
    from edgekit.pack.packing import Packed

EXAMPLES = """\b
Examples:
  edgekit pack demo-out/resnet8 --key publisher.key --name demo/resnet8 --version 1
  edgekit pack edgekit-out/ --key publisher.key --name vision/lite0 --version 7 --semver 1.4.0 \\
      --license Apache-2.0 --license-file LICENSE -o lite0.edgekit
  edgekit pack edgekit-out/ --key publisher.key --name vision/lite0 --version 8 --tar \\
      --golden photos.npz --bench bench-out/report.json
  edgekit pack edgekit-out/ --key 'pkcs11:token=models;object=publisher' --name vision/lite0 --version 9
"""
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog=EXAMPLES, short_help="Pack compressed files into a signed bundle.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@key_option("--key", help="P-256 key that signs the model.")
@passphrase_option()
@click.option("--name", required=True, metavar="FAMILY/NAME", help="What the bundle is called; a channel lists it so.")
@click.option(
    "--version", "number", required=True, type=int, metavar="N", help="Counts up with every release: 1, 2, 3 ..."
)
@click.option("--semver", default="", metavar="X.Y.Z", help="Version for people.  [default: N.0.0]")
@click.option(
    "--license",
    "license_name",
    metavar="SPDX",
    help="SPDX licence expression, or LicenseRef-NAME.  [default: LicenseRef-unstated]",
)
@click.option("--license-file", type=_FILE, metavar="FILE", help="Text of the licence, packed as LICENSE.")
@click.option("--golden", type=_FILE, metavar="FILE.npz", help="Golden inputs by name.  [default: drawn at random]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the golden inputs that are drawn.")
@click.option(
    "--first", multiple=True, metavar="FORMAT",
    help="Format whose file nodes try first, whatever was measured.  [default: what is clearly faster]  Repeatable.",
)  # fmt: skip
@click.option("--bench", type=_FILE, metavar="FILE", help="report.json of `edgekit bench` on the same files.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="PATH", help="The bundle.  [default: NAME.edgekit]"
)
@click.option("--tar", is_flag=True, help="Write one .tar file instead of a folder.")
@click.option("--force", is_flag=True, help="Pack although checks failed; the manifest says which.")
@output_options
@click.pass_obj
def pack(
    terminal: Terminal, /, *, folder: Path, key: str, passphrase_file: Path | None, out: Path | None, **options: Any
) -> None:
    """Pack what `edgekit compress` or `edgekit demo` left in DIR into one signed bundle.

    Every file is run here on golden inputs first; a node repeats that before it switches to the model. A bundle is an
    OCI image layout that registries take as it is, with an OpenSSF model signature for each variant, provenance
    (SLSA), an ML-BOM (CycloneDX) and a model card. The same files, key and versions give the same bytes.

    Refused are files whose check failed: that do not run, miss the budget, or are no longer those that were checked.
    """
    with needing("pack"):
        from edgekit.pack.packing import pack as pack_folder
        from edgekit.pack.settings import PackSettings
    from edgekit.seal.opening import open_key

    place = out or Path(f"{options['name'].rpartition('/')[2]}.edgekit")
    if place.name in ("", ".."):
        raise RecipeError(f"-o {place} names no new folder or file", hint="for example -o net.edgekit")
    is_tar = options["tar"] or place.suffix == ".tar"
    settings = PackSettings(
        name=options["name"],
        version=options["number"],
        semver=options["semver"],
        **({"license": options["license_name"]} if options["license_name"] else {}),
        license_file=options["license_file"],
        golden=options["golden"],
        seed=options["seed"],
        first=options["first"],
        force=options["force"],
        tar=is_tar,
    )
    bench = _read_bench(options["bench"]) if options["bench"] else None
    signer = open_key(key, passphrase_source(passphrase_file, key=key))
    with terminal.work() as progress:
        packed = pack_folder(
            folder,
            place if not is_tar or place.suffix == ".tar" else place.with_name(f"{place.name}.tar"),
            key=signer,
            settings=settings,
            bench=bench,
            progress=progress,
        )
    if terminal.json:
        terminal.result(_document(packed))
    elif not terminal.quiet:
        _tell(packed)


def _read_bench(path: Path) -> BenchReport:
    from edgekit.report.bench.document import read_file

    return read_file(path)


def _document(packed: Packed) -> Mapping[str, Any]:
    return {
        "path": str(packed.path),
        "bundle_digest": packed.bundle_digest,
        "release_digest": packed.release_digest,
        "size_bytes": packed.size_bytes,
        "manifest": to_plain(packed.manifest),
    }


def _tell(packed: Packed) -> None:
    manifest = packed.manifest
    click.echo(
        f"{packed.path}  {manifest.name} {manifest.semver}, version {manifest.version}, {size(packed.size_bytes)}"
    )
    click.echo(f"  bundle  {packed.bundle_digest}")
    click.echo(f"  release {packed.release_digest}")
    wide = max(len(variant.name) for variant in manifest.variants)
    for variant in manifest.variants:
        needs, ratio = variant.requires, variant.measured.latency_ratio
        time = "" if ratio is None else f", {ratio:.2f} of float's time"
        click.echo(
            f"  {variant.name:{wide}}  {needs.os}/{needs.arch}, {needs.runtime.name} >= {needs.runtime.minimum}{time}"
        )
    for text in manifest.forced:
        click.echo(f"  forced: {text}")
