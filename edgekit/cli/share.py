"""`edgekit share BUNDLE --out DIR`: torrents and an IPFS CAR of a bundle, for programs that are not edgekit's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.terminal import Terminal, output_options
from edgekit.units import size

if TYPE_CHECKING:
    from edgekit.share.sharing import Shared, SharedFile

EXAMPLES = """\b
Examples:
  edgekit share net.edgekit --out shared/
  edgekit share net.edgekit --out shared/ --webseed https://models.example.org/channel
  edgekit share net.tar --out shared/ --webseed https://models.example.org/files \\
      --tracker https://tracker.example.org/announce --json
"""


@click.command(epilog=EXAMPLES, short_help="Write torrents and an IPFS CAR of a bundle.")
@click.argument("bundle", type=click.Path(path_type=Path), metavar="BUNDLE")
@click.option("--out", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where they go.")
@click.option(
    "--webseed",
    metavar="URL",
    help="Where blobs/sha256/... are served, and a .tar by its name: a channel, or the bundle's folder.",
)
@click.option("--tracker", "trackers", multiple=True, metavar="URL", help="A tracker to announce to.  Repeatable.")
@output_options
@click.pass_obj
def share(terminal: Terminal, /, *, bundle: Path, folder: Path, webseed: str | None, trackers: tuple[str, ...]) -> None:
    """Write what other programs need to pass a bundle on.

    torrents/SHA256.torrent for each model file, for BitTorrent v1 and v2, named by the file's digest as in
    blobs/sha256/; NAME.car, the bundle's folder for IPFS; and a torrent of the bundle itself where it is a .tar.

    The bundle's documents and bytes are held against one another, but no key is asked and no signature looked at:
    whoever fetches verifies.
    """
    from edgekit.share.sharing import share_bundle

    with terminal.work() as progress:
        done = share_bundle(bundle, folder, trackers=trackers, webseed=webseed, progress=progress)
    if terminal.json:
        terminal.result(_document(done))
    elif not terminal.quiet:
        _show(done)


def _show(done: Shared) -> None:
    click.echo(f"{done.name} {done.semver}")
    for file in (*done.files, *([done.tar] if done.tar else [])):
        click.echo(f"{file.torrent}  {size(file.size_bytes):>8}  {file.name}\n  {file.magnet}")
    click.echo(f"{done.car}  {size(done.car_bytes):>8}  the bundle's folder\n  {done.cid}")
    click.echo("no signature was looked at: whoever fetches verifies, with edgekit verify")


def _document(done: Shared) -> dict[str, object]:
    return {
        "name": done.name,
        "semver": done.semver,
        "files": [_file(file) for file in done.files],
        "car": {"path": os.fspath(done.car), "cid": done.cid, "size_bytes": done.car_bytes},
        "tar": _file(done.tar) if done.tar else None,
    }


def _file(file: SharedFile) -> dict[str, object]:
    return {
        "name": file.name,
        "torrent": os.fspath(file.torrent),
        "size_bytes": file.size_bytes,
        "infohash": file.infohash,
        "infohash_v1": file.infohash_v1,
        "magnet": file.magnet,
    }
