"""`edgekit log`: keep a transparency log, cosign and audit those of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.log_values import policy_option, read_policy_file, told_time
from edgekit.cli.terminal import Terminal, output_options, visible
from edgekit.cli.verb_group import VerbGroup
from edgekit.errors import AbsentError, WitnessError
from edgekit.units import counted

if TYPE_CHECKING:
    from edgekit.transparency.checkpoint import Checkpoint
    from edgekit.transparency.note import SignedNote
    from edgekit.transparency.policy import Policy

VERBS: Mapping[str, str] = {
    "init": "edgekit.cli.log_writing:init",
    "append": "edgekit.cli.log_writing:append",
    "prove": "edgekit.cli.log_writing:prove",
    "witness": "edgekit.cli.log_watching:witness",
    "audit": "edgekit.cli.log_watching:audit",
    "status": "edgekit.cli.log:status",
}

EXAMPLES = """\b
Examples:
  edgekit log init channel/log --origin models.example.org/log --key log.key --policy policy.txt
  edgekit log append channel/log net.edgekit --key log.key --policy policy.txt --proof net.tlog-proof
  edgekit log prove channel/log net.edgekit --out net.tlog-proof
  edgekit log witness --key w1.key --name witness.example.org/w1 --policy policy.txt --state w1 --listen 127.0.0.1:8180
  edgekit log audit https://models.example.org/channel/log --policy policy.txt --state audit
  edgekit log status channel/log --policy policy.txt
"""


@click.group(cls=VerbGroup, verbs=VERBS, epilog=EXAMPLES, short_help="Keep a transparency log, cosign it, audit it.")
def log() -> None:
    """Keep, cosign and audit transparency logs: everybody sees that everybody was shown the same releases.

    A log is a folder of static files (c2sp.org/tlog-tiles), which may lie in a channel. Its head is signed; entries are
    only ever added, which witnesses see to and sign as well. Whoever has an entry's proof, and a policy that says which
    log and which witnesses count, needs nobody to check it. docs/log.md tells it whole.
    """


@click.command(short_help="Show the head of a log, and who signed it.")
@click.argument("place", metavar="DIR|URL")
@policy_option
@output_options
@click.pass_obj
def status(terminal: Terminal, /, *, place: str, policy_file: Path | None) -> None:
    """Show the head of a log: its size, its root hash, and the signatures on it.

    With --policy these are verified, and the exit code is 6 where too few witnesses signed. The entries are not read;
    `edgekit log audit` does that.
    """
    from edgekit.transparency.checkpoint import read_checkpoint
    from edgekit.transparency.log_reader import CHECKPOINT
    from edgekit.transparency.note import LARGEST_NOTE_BYTES, read_note
    from edgekit.transport.opening import opened
    from edgekit.transport.reading import read_all

    policy = read_policy_file(policy_file)
    with opened([place]) as (transport,):
        try:
            note = read_note(read_all(transport, CHECKPOINT, limit_bytes=LARGEST_NOTE_BYTES))
        except AbsentError as error:
            hint = "give the log itself; in a channel that is its folder log"
            raise AbsentError(f"no log is here: there is no file {CHECKPOINT}", source=place, hint=hint) from error
    head, unfinished = read_checkpoint(note.text), _is_unfinished(place)
    met, times, fault = _judged(policy, note)
    if terminal.json:
        terminal.result(
            {
                "origin": head.origin,
                "size": head.size,
                "root": head.root.hex(),
                "signatures": [each.name for each in note.signatures],
                "verified": policy is not None,
                "witnesses": dict(times),
                "policy_met": met,
                "unfinished": unfinished,
            }
        )
    elif not terminal.quiet:
        _show(head, note, [*_told(policy, times, note), *(["an append was cut off: append again"] * unfinished)])
    if fault:
        raise fault


def _judged(policy: Policy | None, note: SignedNote) -> tuple[bool | None, Mapping[str, int], WitnessError | None]:
    """Whether a policy is met, and who cosigned when.

    Raises:
        SignatureError: No log of the policy signed it.
    """
    if policy is None:
        return None, {}, None
    try:
        return True, policy.check(note).witnesses, None
    except WitnessError as error:
        from edgekit.transparency.cosignature import check_cosignature

        signed = [each for each in policy.witnesses if note.by(each.key)]
        return False, {each.shown: check_cosignature(note, each.key) for each in signed}, error


def _told(policy: Policy | None, times: Mapping[str, int], note: SignedNote) -> Sequence[str]:
    if policy is None:
        return [f"signature by {each.name}, not verified" for each in note.signatures]
    return ["signed by the log", *(f"cosigned by {name} at {told_time(when)}" for name, when in times.items())]


def _show(head: Checkpoint, note: SignedNote, lines: Sequence[str]) -> None:
    click.echo(visible(f"{head.origin}\n{counted(head.size, 'entry', 'entries')}, root {head.root.hex()}"))
    for line in lines:
        click.echo(visible(f"  {line}"))


def _is_unfinished(place: str) -> bool:
    """Whether a log of this machine waits for its key."""
    from edgekit.transparency.tile_log import TileLog

    folder = Path(place.removeprefix("file:"))
    return folder.is_dir() and TileLog.open(folder).is_unfinished
