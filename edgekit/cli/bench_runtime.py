"""`edgekit bench bundle` and `edgekit bench emulator`: what devices need that they do not have."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit import digest
from edgekit.cli.terminal import Terminal, output_options
from edgekit.units import size

ARCHITECTURES = ("aarch64", "x86_64")
EMULATORS = ("user", "system", "all")

BUNDLE_EXAMPLES = """\b
Examples:
  edgekit bench bundle --arch aarch64
  edgekit bench model.int8.onnx --on ssh://pi@raspberrypi --runtime runtime-aarch64.tar.gz
Needs Debian (apt) and pip; docs/devices.md has the details.
"""
EMULATOR_EXAMPLES = """\b
Examples:
  edgekit bench emulator --kind user           (for --on qemu-user:cortex-a72: what ARM computes)
  edgekit bench emulator                       (also for --on qemu-system:cortex-a76: counts of instructions)
"""


@click.command(epilog=BUNDLE_EXAMPLES, short_help="Build a portable Python with runtimes for a bare device.")
@click.option(
    "--arch",
    type=click.Choice(ARCHITECTURES),
    default="aarch64",
    show_default=True,
    help="What `uname -m` prints on the device.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="[default: runtime-ARCH.tar.gz]"
)
@output_options
@click.pass_obj
def bundle(terminal: Terminal, /, *, arch: str, out: Path | None) -> None:
    """Build a tar.gz of Python, ONNX Runtime and LiteRT that runs on a device which has none of them.

    `edgekit bench --runtime FILE` brings it along and takes it away again. The same packages give the same bytes.
    """
    from edgekit.portable.runtime import build_runtime

    with terminal.work() as progress:
        path = build_runtime(arch, out or Path(f"runtime-{arch}.tar.gz"), progress=progress)
        found = {"file": str(path), "size_bytes": path.stat().st_size, "sha256": digest.of_file(path)}
    if terminal.json:
        terminal.result(found)
    elif not terminal.quiet:
        click.echo(f"{path}  {size(path.stat().st_size)}  sha256 {found['sha256']}")


@click.command(epilog=EMULATOR_EXAMPLES, short_help="Build the emulated ARM machines.")
@click.option("--kind", type=click.Choice(EMULATORS), default="all", show_default=True, help="Which to build.")
@output_options
@click.pass_obj
def emulator(terminal: Terminal, /, *, kind: str) -> None:
    """Build what the devices qemu-user: and qemu-system: run on, from Debian's packages, in the user's cache.

    It is built once; the cache is $EDGEKIT_CACHE, else ~/.cache/edgekit.
    """
    from edgekit.portable.emulator import ensure_system_emulator, ensure_user_emulator

    with terminal.work() as progress:
        places = []
        if kind in ("user", "all"):
            places.append(ensure_user_emulator(progress).folder)
        if kind in ("system", "all"):
            places.append(ensure_system_emulator(progress).folder)
    if terminal.json:
        terminal.result({"folders": [str(place) for place in places]})
    elif not terminal.quiet:
        for place in places:
            click.echo(str(place))
