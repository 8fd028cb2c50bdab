"""`edgekit log witness` and `audit`: others look at a log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.listen_address import ListenAddress
from edgekit.cli.log_values import (
    FILE,
    FOLDER,
    known_logs,
    opened_log,
    policy_option,
    read_policy_file,
    read_small,
    told_time,
    write_whole,
)
from edgekit.cli.passphrase import passphrase_option, passphrase_source
from edgekit.cli.terminal import Terminal, output_options, visible
from edgekit.errors import RecipeError, TrustError
from edgekit.types.plain import to_plain
from edgekit.units import counted

if TYPE_CHECKING:
    from edgekit.seal.keys import PrivateKey
    from edgekit.transparency.audit import Audit
    from edgekit.transparency.memory import CheckpointMemory
    from edgekit.transparency.note import VerifierKey
    from edgekit.transparency.witness import Witness

SHOWN = 20
"""Releases that are listed without --json."""


@click.command(short_help="Cosign logs: as a server, or once.")
@click.argument("places", nargs=-1, metavar="[DIR|URL]...")
@click.option("--listen", type=ListenAddress(), help="Be a server (c2sp.org/tlog-witness) at this address.")
@click.option("--state", type=FOLDER, metavar="DIR", help="Folder of what it has seen. Never lose it, never copy it.")
@click.option("--key", metavar="KEY", help="Its key, ed25519: a file or a PKCS #11 URI.")
@click.option("--name", metavar="NAME", help="Its name, like a URL without a scheme: witness.example.org/w1")
@click.option("--node", type=FOLDER, metavar="DIR", help="A node's key, name and memory instead of the three.")
@click.option("--log", "vkeys", multiple=True, metavar="VKEY", help="A log that it cosigns.  Repeatable.")
@policy_option
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="Where the cosigned head goes.  [default: a file in DIR/cosigned of --state, or in the node's trust/cosigned]",
)
@click.option(
    "--for", "seconds", type=click.FloatRange(0.1, 10**9), metavar="SECONDS", help="End by itself after that time."
)
@passphrase_option()
@output_options
@click.pass_obj
def witness(
    terminal: Terminal,
    /,
    *,
    places: tuple[str, ...],
    listen: tuple[str, int] | None,
    state: Path | None,
    key: str | None,
    name: str | None,
    node: Path | None,
    vkeys: tuple[str, ...],
    policy_file: Path | None,
    out: Path | None,
    seconds: float | None,
    passphrase_file: Path | None,
) -> None:
    """Cosign the heads of logs: that each log only grew, as far as this witness has seen.

    With --listen it answers whoever asks, and a log's owner names it in a policy. With DIR or URL, mirrors of one log,
    it reads that log once, and writes the head with its cosignature to a file, which the owner takes over with
    `edgekit log append --cosigned FILE`. With neither it shows its key, for policies.
    """
    if listen and places:
        raise RecipeError("--listen and mirrors of a log exclude one another", hint="give one of them")
    if (out and not places) or (seconds and not listen):
        raise RecipeError("--out goes with mirrors of a log, --for with --listen")
    memory, called, secret = _identity(state, key, name, node, passphrase_file)
    if not (listen or places):
        _show_key(terminal, called, secret)
        return
    if memory is None:
        raise RecipeError("a witness has to remember what it has seen", hint="add --state DIR")
    from edgekit.transparency.witness import Witness

    logs = known_logs(read_policy_file(policy_file), vkeys)
    it = Witness(memory, called, secret, logs)
    if listen:
        _serve(terminal, it, *listen, seconds)
    else:
        _cosign(terminal, it, lambda log: out or _cosigned_file(memory, log, node), memory, places)


@click.command(short_help="Read a whole log, and compare its mirrors.")
@click.argument("places", nargs=-1, metavar="[DIR|URL]...")
@click.option("--log", "vkeys", multiple=True, metavar="VKEY", help="Key of the log.")
@policy_option
@click.option(
    "--state", type=FOLDER, metavar="DIR", help="Remember the newest head there, and hold the next against it."
)
@click.option("--evidence", type=FILE, metavar="FILE", help="Only check this evidence of a split view.")
@output_options
@click.pass_obj
def audit(
    terminal: Terminal,
    /,
    *,
    places: tuple[str, ...],
    vkeys: tuple[str, ...],
    policy_file: Path | None,
    state: Path | None,
    evidence: Path | None,
) -> None:
    """Read every entry and every tile of a log, and compare what its mirrors show with each other and with before.

    A log that signed two histories is shown with both signed heads, and evidence of it goes into a file in DIR/evidence
    of --state. The exit code is 6 then, and also where a model's versions go backwards, where one version is two
    releases, or where too few witnesses of the policy cosigned the newest head.
    """
    if evidence:
        if places or vkeys or policy_file or state:
            raise RecipeError("--evidence goes alone")
        _show_evidence(terminal, evidence)
        return
    if not places:
        raise RecipeError("no log is given", hint="give its folder or URL, and further mirrors of it")
    from edgekit.transparency.audit import audit as look
    from edgekit.transparency.memory import CheckpointMemory

    policy = read_policy_file(policy_file)
    memory = CheckpointMemory(state) if state else None
    with terminal.work() as progress, opened_log(places, known_logs(policy, vkeys)) as (log, readers):
        found = look(readers, log, memory=memory, policy=policy, progress=progress)
    if terminal.json:
        terminal.result(to_plain(found))
    elif not terminal.quiet:
        _show(found)
        if memory is None:
            terminal.note("nothing is remembered: with --state DIR the next audit sees whether the log only grew")
    if found.findings:
        raise TrustError(
            f"{found.origin} holds what no honest log does, or lacks what the policy demands:"
            + "".join(f"\n  {finding}" for finding in found.findings),
            hint="ask the log's owner, and others who rely on it",
        )


def _identity(
    state: Path | None, key: str | None, name: str | None, node: Path | None, passphrase_file: Path | None
) -> tuple[CheckpointMemory | None, str, PrivateKey]:
    """Memory, name and key of the witness."""
    from edgekit.transparency.memory import CheckpointMemory

    if node:
        if key or name or state:
            raise RecipeError("--node stands in the place of --key, --name and --state", hint="give one or the other")
        from edgekit.node.folder import find_node
        from edgekit.node.identity import load_identity
        from edgekit.node.log_policy import log_memory

        folder = find_node(node)
        secret = load_identity(node, passphrase_source(passphrase_file, key="the node's key"))
        return log_memory(folder), secret.public.did, secret
    if not (key and name):
        raise RecipeError("a witness has a key and a name", hint="give --key and --name, or --node")
    from edgekit.seal.opening import open_key

    found = open_key(key, passphrase_source(passphrase_file, key=key))
    return CheckpointMemory(state) if state else None, name, found


def _show_key(terminal: Terminal, name: str, secret: PrivateKey) -> None:
    from edgekit.transparency.note import COSIGNATURE, VerifierKey

    vkey = VerifierKey(name, secret.public, COSIGNATURE)
    if terminal.json:
        terminal.result({"name": name, "vkey": str(vkey)})
    else:
        click.echo(vkey)
        terminal.note("in a policy: witness NAME VKEY [URL]")


def _serve(terminal: Terminal, it: Witness, host: str, port: int, seconds: float | None) -> None:
    from edgekit.transparency.witness_server import serve

    with serve(it, host, port, tell=terminal.note) as server:
        shown = f"[{server.host}]" if ":" in server.host else server.host
        url, names = f"http://{shown}:{server.port}", [each.name for each in it.logs]
        if terminal.json:
            terminal.result({"url": url, "vkey": str(it.key), "logs": names})
        elif not terminal.quiet:
            click.echo(f"{it.key}\nanswers at {url} for {', '.join(names)}")
        threading.Event().wait(seconds)


def _cosign(
    terminal: Terminal,
    it: Witness,
    file_of: Callable[[VerifierKey], Path],
    memory: CheckpointMemory,
    places: Sequence[str],
) -> None:
    from edgekit.transparency.shown import look, told

    with terminal.work(), opened_log(places, it.logs) as (log, readers):
        shown = look(readers, log, memory)
        note = it.cosign(shown.newest.note, *shown.ordered)
    path = file_of(log)
    write_whole(path, note)
    size = shown.newest.checkpoint.size
    for reader, error in shown.faults.items():
        terminal.note(f"passed over {reader.url}: {told(reader, error)}")
    if terminal.json:
        terminal.result({"origin": log.name, "size": size, "vkey": str(it.key), "cosigned": str(path)})
    elif not terminal.quiet:
        click.echo(f"{log.name} at {counted(size, 'entry', 'entries')}, cosigned by {it.key.name}: {path}")


def _cosigned_file(memory: CheckpointMemory, log: VerifierKey, node: Path | None) -> Path:
    """Where a cosigned head goes by default; of a node where its own do, so that it gives this one out as well."""
    if node:
        from edgekit.node.folder import find_node
        from edgekit.node.witnessing import cosigned_file

        return cosigned_file(find_node(node), log)
    from edgekit import digest

    return memory.folder / "cosigned" / f"{digest.of_bytes(log.name.encode())}.checkpoint"


def _show_evidence(terminal: Terminal, path: Path) -> None:
    """Say what evidence shows; evidence that shows nothing is an error."""
    from edgekit.transparency.splitview import LARGEST_BYTES, read_evidence

    found = read_evidence(read_small(path, LARGEST_BYTES + 1))
    heads = [head.decode() for head in found.heads]
    if terminal.json:
        terminal.result({"log": str(found.log), "split_view": True, "heads": heads})
    elif not terminal.quiet:
        click.echo(visible(f"the evidence holds: {found.log}\nsigned two histories that cannot both be true:\n"))
        click.echo(visible("\n".join(heads)), nl=False)


def _show(found: Audit) -> None:
    before = f"; it had {found.before} before" if found.before is not None else ""
    click.echo(f"{found.origin}: all {counted(found.size, 'entry', 'entries')} hash to its head{before}")
    click.echo(f"  root {found.root}")
    for mirror in found.mirrors:
        size = "no head" if mirror.size is None else counted(mirror.size, "entry", "entries")
        click.echo(visible(f"  {mirror.url}: {size}{'; ' + mirror.fault if mirror.fault else ''}"))
    for name, when in found.witnesses.items():
        click.echo(visible(f"  cosigned by {name} at {told_time(when)}"))
    if len(found.releases) > SHOWN:
        click.echo(f"  ... {len(found.releases) - SHOWN} earlier releases, which --json lists")
    for listed in found.releases[-SHOWN:]:
        leaf = listed.release
        click.echo(f"  {listed.index}: {leaf.name} version {leaf.version} ({leaf.semver})  {leaf.release}")
    if found.others:
        click.echo(f"  {counted(found.others, 'entry', 'entries')} of other kinds")
