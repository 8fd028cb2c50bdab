"""`edgekit log init`, `append` and `prove`: the log's owner at work."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.log_values import (
    FILE,
    FOLDER,
    policy_option,
    read_policy_file,
    read_small,
    witness_option,
    write_whole,
)
from edgekit.cli.passphrase import key_option, passphrase_option, passphrase_source
from edgekit.cli.terminal import Terminal, output_options, visible
from edgekit.errors import EdgekitError, InputError, RecipeError

if TYPE_CHECKING:
    from edgekit.seal.keys import PrivateKey
    from edgekit.transparency.policy import Policy
    from edgekit.transparency.submission import Submitted
    from edgekit.transparency.tile_log import TileLog


@click.command(short_help="Begin a log.")
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option(
    "--origin", required=True, metavar="NAME", help="Its name for ever, like a URL without a scheme: example.org/log"
)
@key_option(help="Key of the log, ed25519.")
@click.option("--policy", "policy_file", type=FILE, metavar="FILE", help="Write a policy that knows it there.")
@passphrase_option()
@output_options
@click.pass_obj
def init(
    terminal: Terminal,
    /,
    *,
    folder: Path,
    origin: str,
    key: str,
    policy_file: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Begin a log without entries in DIR, which may be the folder `log` of a channel.

    Shown are its key, which whoever relies on the log needs (vkey), and a policy that asks for no witness yet: add a
    line `witness NAME VKEY URL` for each, and name them in the quorum.
    """
    from edgekit.seal.opening import open_key
    from edgekit.transparency.note import VerifierKey
    from edgekit.transparency.tile_log import found_log

    if policy_file and policy_file.exists():
        raise InputError(f"{policy_file} is there already", hint="choose another name: it may name witnesses")
    secret = open_key(key, passphrase_source(passphrase_file, key=key))
    vkey = VerifierKey(origin, secret.public)
    policy = f"log {vkey}\nquorum none\n"
    if policy_file:  # first: whoever has the log and not its key would have nothing to hand out
        write_whole(policy_file, policy.encode())
    try:
        found_log(folder, origin, secret)
    except EdgekitError:
        if policy_file:
            policy_file.unlink(missing_ok=True)
        raise
    if terminal.json:
        terminal.result({"origin": origin, "folder": str(folder), "vkey": str(vkey), "policy": policy})
        return
    click.echo(vkey)
    if not policy_file:
        terminal.note("a policy without witnesses:")
        click.echo(policy, nl=False)
    terminal.note(f"next: edgekit log append {shlex.quote(str(folder))} BUNDLE --key KEY")


@click.command(short_help="Add an entry, and have the head cosigned.")
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.argument("bundle", type=click.Path(path_type=Path), required=False, metavar="[BUNDLE]")
@click.option("--entry", type=FILE, metavar="FILE", help="Any file instead of a bundle, of at most 65535 bytes.")
@key_option(help="Key of the log.")
@policy_option
@witness_option
@click.option(
    "--cosigned", type=FILE, multiple=True, metavar="FILE",
    help="The log's present head as a witness cosigned it by itself; taken over before anybody is asked.  Repeatable.",
)  # fmt: skip
@click.option("--proof", "out", type=FILE, metavar="FILE", help="Write the entry's proof there.")
@passphrase_option()
@output_options
@click.pass_obj
def append(
    terminal: Terminal,
    /,
    *,
    folder: Path,
    bundle: Path | None,
    entry: Path | None,
    key: str,
    policy_file: Path | None,
    witnesses: tuple[str, ...],
    cosigned: tuple[Path, ...],
    out: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Add a release to the log in DIR, or any entry, and ask the witnesses of the policy to cosign the new head.

    Of a BUNDLE its name, version and digests are logged; its signatures are not looked at, which `edgekit publish`
    does before it logs. What is in the log is not added twice. Without BUNDLE and --entry only the present head is
    cosigned. Too few cosignatures for the policy are an error, and the entry stays: do the same again.
    """
    from edgekit.seal.opening import open_key
    from edgekit.transparency.submission import submit
    from edgekit.transparency.tile_log import TileLog

    if bundle and entry:
        raise RecipeError("BUNDLE and --entry exclude one another", hint="give one of them")
    if out and not (bundle or entry):
        raise RecipeError("--proof is of an entry", hint="give BUNDLE or --entry; edgekit log prove makes others")
    policy = read_policy_file(policy_file)
    opened = TileLog.open(folder)
    data = _entry_of(bundle, entry)
    secret = open_key(key, passphrase_source(passphrase_file, key=key))
    if cosigned:
        _adopt(terminal, opened, policy, cosigned)
    with terminal.work():
        if data is None:
            faults = _gather(opened, policy, witnesses, secret)
            done = None
        else:
            done = submit(opened, data, secret, policy=policy, witnesses=witnesses)
            faults = done.faults
    if out and done:
        write_whole(out, done.proof)
    for url, fault in faults.items():
        terminal.note(f"passed over {url}: {fault}")
    _tell(terminal, opened, policy, done, {"faults": dict(faults), "proof": str(out) if out else None})


@click.command(short_help="Write the proof that an entry is in a log.")
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.argument("what", metavar="BUNDLE|INDEX")
@click.option("--out", type=FILE, required=True, metavar="FILE", help="Where the proof goes; ends in .tlog-proof.")
@policy_option
@output_options
@click.pass_obj
def prove(terminal: Terminal, /, *, folder: Path, what: str, out: Path, policy_file: Path | None) -> None:
    """Write the proof (c2sp.org/tlog-proof) of an entry of the log in DIR: of a bundle, or by its number.

    It holds the log's present head with all cosignatures, so that nobody has to be asked to check it. With --policy it
    is written only where it satisfies that.
    """
    from edgekit.transparency.merkle import leaf_hash
    from edgekit.transparency.proof import check_proof
    from edgekit.transparency.submission import prove as proof_of
    from edgekit.transparency.tile_log import TileLog

    policy = read_policy_file(policy_file)
    opened = TileLog.open(folder)
    if what.isascii() and what.isdigit():
        index: int | None = int(what[:20])
    else:
        data = _entry_of(Path(what), None)
        assert data is not None
        index = opened.find(leaf_hash(data))
    if index is None:
        raise InputError(
            f"{what} is not in the log {opened.origin}",
            hint=f"edgekit log append {shlex.quote(str(folder))} {shlex.quote(what)} --key KEY",
        )
    proof = proof_of(opened, index)
    if policy:
        check_proof(proof, opened.entry(index), policy)
    write_whole(out, proof)
    head = opened.checkpoint
    if terminal.json:
        terminal.result({"origin": head.origin, "index": index, "size": head.size, "proof": str(out)})
    elif not terminal.quiet:
        click.echo(visible(f"entry {index} of {head}: {out}"))


def _entry_of(bundle: Path | None, entry: Path | None) -> bytes | None:
    """What is to be logged.

    Raises:
        MalformedError: The bundle breaks its format.
        InputError: It, or the file, cannot be read; or the file is too long.
    """
    if bundle:
        from edgekit.bundle.opening import open_bundle
        from edgekit.bundle.release import read_release

        with open_bundle(bundle) as opened:
            return read_release(opened.blobs, opened.index_bytes).leaf.to_bytes()
    if entry:
        from edgekit.transparency.tiles import LARGEST_ENTRY_BYTES, check_entry

        return check_entry(read_small(entry, LARGEST_ENTRY_BYTES + 1))
    return None


def _adopt(terminal: Terminal, opened: TileLog, policy: Policy | None, files: tuple[Path, ...]) -> None:
    from edgekit.transparency.note import LARGEST_NOTE_BYTES
    from edgekit.transparency.submission import adopt

    if policy is None:
        raise RecipeError("nothing says whose cosignatures count", hint="add --policy FILE")
    for file in files:
        taken = adopt(opened, policy, [read_small(file, LARGEST_NOTE_BYTES + 1)])
        terminal.note(f"{file}: {'cosigned by ' + ', '.join(taken) if taken else 'no cosignature that counts'}")


def _gather(opened: TileLog, policy: Policy | None, witnesses: Sequence[str], secret: PrivateKey) -> Mapping[str, str]:
    """Nothing to append: the present head, cosigned; URL of a witness -> why there is none of it."""
    from edgekit.transparency.note import VerifierKey
    from edgekit.transparency.submission import gather, witness_places

    opened.finish(secret)
    return gather(opened, VerifierKey(opened.origin, secret.public), witness_places(policy, witnesses))


def _tell(
    terminal: Terminal,
    opened: TileLog,
    policy: Policy | None,
    done: Submitted | None,
    more: dict[str, object],
) -> None:
    """Show the head, and the entry if there is one.

    Raises:
        WitnessError: Too few witnesses cosigned a head to which nothing was added; `submit` sees to the others.
    """
    from edgekit.transparency.note import read_note

    head = opened.checkpoint
    times = policy.check(read_note(opened.note)).witnesses if policy else {}
    entry = {"index": done.index, "new": done.is_new} if done else {}
    if terminal.json:
        document = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "witnesses": dict(times)}
        terminal.result(document | entry | more)
    elif not terminal.quiet:
        seen = f", cosigned by {', '.join(times)}" if times else ""
        what = (f"entry {done.index} of " if done.is_new else f"was there: entry {done.index} of ") if done else ""
        click.echo(visible(f"{what}{head}{seen}"))
