"""`edgekit node`: keep a node up to date, look at it, and run what is installed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.node_world import download_limit_option, node_world
from edgekit.cli.passphrase import passphrase_option
from edgekit.cli.terminal import Terminal, needing, output_options
from edgekit.cli.verb_group import VerbGroup
from edgekit.errors import NodeStateError
from edgekit.types.plain import to_plain

if TYPE_CHECKING:
    from edgekit.node.run_once import Round
    from edgekit.node.update import Updated
    from edgekit.types.receipt import Deployed

EXAMPLES = """\b
Examples:
  edgekit node init /var/lib/edgekit --channel https://models.example.org/channel --trust root.json \\
      --model vision/resnet8
  edgekit node init node --channel https://models.example.org/channel --trust root.json --model vision/resnet8 \\
      --source torrent:https://models.example.org/channel --policy policy.txt
  edgekit node run-once /var/lib/edgekit          (for a timer: update, check, go back where it is not well)
  edgekit node update /var/lib/edgekit --download-limit 100kB
  edgekit node status /var/lib/edgekit --json
  edgekit node infer /var/lib/edgekit inputs.npz --out outputs.npz
  edgekit node seed /var/lib/edgekit --gateway 0.0.0.0:8080 --listen 0.0.0.0:6881
"""
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


VERBS: Mapping[str, str] = {
    "init": "edgekit.cli.node_init:init",
    "update": "edgekit.cli.node:update",
    "run-once": "edgekit.cli.node:run_once",
    "status": "edgekit.cli.node:status",
    "infer": "edgekit.cli.node:infer",
    "seed": "edgekit.cli.node_seed:seed",
}


@click.group(
    cls=VerbGroup,
    verbs=VERBS,
    epilog=EXAMPLES,
    short_help="Install, check and run what a channel says is current, on a device.",
)
def node() -> None:
    """Be a node: a machine that installs what a channel calls current, and proves what it did.

    Nothing that a mirror sends is trusted. A release runs only after its signatures, and a self-test on this machine's
    runtime; one that fails leaves what ran before where it was (docs/node.md).
    """


@node.command(short_help="Install what the channel calls current.")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--retry", is_flag=True, help="Try a release that failed here once more, and choose the variant anew.")
@download_limit_option()
@passphrase_option()
@output_options
@click.pass_obj
def update(
    terminal: Terminal, /, *, folder: Path, retry: bool, download_limit: int | None, passphrase_file: Path | None
) -> None:
    """Install what the channel calls current, if it is not what runs already.

    Fetched from all mirrors at once, verified, tried out, and switched to in one moment. Whatever goes wrong, what ran
    before runs on. `run-once` also checks what runs, and is the one for a timer.
    """
    from edgekit.node.opened import open_node
    from edgekit.node.update import update as bring_up

    world = node_world(terminal, passphrase_file, download_limit)
    with _logs(terminal), open_node(folder, world) as opened:
        updated = bring_up(opened, retry=retry)
    if terminal.json:
        terminal.result(to_plain(updated))
        return
    _tell_update(terminal, updated)


@node.command("run-once", short_help="Update, check what runs, go back where it is not well.")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@download_limit_option()
@passphrase_option()
@output_options
@click.pass_obj
def run_once(terminal: Terminal, /, *, folder: Path, download_limit: int | None, passphrase_file: Path | None) -> None:
    """One round of an unattended node, for a timer.

    Hash what runs, update, and try what runs then out. Where it is not well the other slot runs again, if it is whole,
    passes its self-test and the channel still allows it; else nothing runs. The exit code is that of an update that
    failed, also when what ran before runs on.
    """
    from edgekit.node.opened import open_node
    from edgekit.node.run_once import run_once as round_of

    world = node_world(terminal, passphrase_file, download_limit)
    with _logs(terminal), open_node(folder, world) as opened:
        done = round_of(opened)
    if terminal.json:
        terminal.result(_round(done))
    else:
        if done.updated:
            _tell_update(terminal, done.updated)
        click.echo(f"{_title(done.running)} is well: {done.tested.runtime} {done.tested.runtime_version}")
    if done.error:
        raise done.error


@node.command(short_help="Show what a node is, knows and runs.")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--check", is_flag=True, help="Hash every file of both slots, and verify every receipt.")
@output_options
@click.pass_obj
def status(terminal: Terminal, /, *, folder: Path, check: bool) -> None:
    """Show a node: its name, its hardware, what the channel said last, what runs, and what it signed last."""
    from edgekit.cli.node_status import tell
    from edgekit.node.opened import look_at
    from edgekit.node.status import read_status
    from edgekit.node.world import World

    found = read_status(look_at(folder, World()), thorough=check)
    if terminal.json:
        terminal.result(to_plain(found))
        return
    for line in tell(found):
        click.echo(line)


@node.command(short_help="Run the installed model.")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.argument("inputs", type=_FILE, metavar="INPUTS")
@click.option("--out", type=_FILE, required=True, metavar="FILE", help="Where the outputs go, .npz by output name.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Of the runtime.")
@output_options
@click.pass_obj
def infer(terminal: Terminal, /, *, folder: Path, inputs: Path, out: Path, threads: int) -> None:
    """Run the installed model on INPUTS: .npz by input name, or .npy for a model with one input.

    Every file of the model is hashed before. One that was revoked, damaged, or failed its self-test is refused.
    """
    from edgekit.node.opened import look_at
    from edgekit.node.rollback import serving
    from edgekit.node.world import World

    slot = serving(look_at(folder, World()))
    variant = slot.variant()
    with needing("run"):
        from edgekit.node.infer import infer as run_model
        from edgekit.node.infer import read_inputs, write_outputs
    answers = run_model(slot.files, variant, read_inputs(inputs, variant), threads=threads)
    if not slot.is_still_there():  # what was hashed is then not what was run
        raise NodeStateError("the model was replaced by an update while it ran", hint="run it again")
    write_outputs(out, answers)
    shapes = {name: list(array.shape) for name, array in answers.items()}
    if terminal.json:
        terminal.result({"out": str(out), "outputs": shapes, "model": to_plain(slot.record.deployed)})
        return
    for name, shape in shapes.items():
        click.echo(f"{name}  {'x'.join(map(str, shape))}")
    terminal.note(f"{_title(slot.record.deployed)}, {out}")


def _tell_update(terminal: Terminal, updated: Updated) -> None:
    for url, fault in updated.faults.items():
        terminal.note(f"passed over {url}: {fault}")
    what = {"unchanged": "is current", "installed": "is installed, and runs"}.get(updated.outcome.value)
    if what:
        click.echo(f"{updated.target} {_title(updated.running)} {what}")
        return
    click.echo(
        f"{updated.target} version {updated.offered} failed on this machine, and is quarantined; "
        f"{_title(updated.running)} runs on"
    )
    terminal.note(f"edgekit node update --retry tries version {updated.offered} again")


def _title(deployed: Deployed) -> str:
    return f"{deployed.semver} (version {deployed.version}, {deployed.variant})"


def _round(done: Round) -> dict[str, object]:
    error = done.error
    return {
        "running": to_plain(done.running),
        "tested": to_plain(done.tested),
        "updated": to_plain(done.updated),
        "error": error and {"type": type(error).__name__, "message": str(error), "exit_code": error.exit_code},
    }


@contextmanager
def _logs(terminal: Terminal) -> Iterator[None]:
    """What libraries log shows with `--verbose` only.

    `Terminal.work` would draw bars, which a journal has no use for, and import more than a node needs that finds
    nothing new.
    """
    root, level = logging.getLogger(), logging.getLogger().level
    handler = logging.StreamHandler() if terminal.verbose else logging.NullHandler()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if terminal.verbose else level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
