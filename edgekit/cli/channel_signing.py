"""`edgekit channel sign` and `apply`; and how every verb that changes a channel ends: in force, or as a request."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.channel_values import FILE, channel_option, open_keys, opened_channel, opened_place, trust_option
from edgekit.cli.passphrase import passphrase_option
from edgekit.cli.terminal import Terminal, output_options
from edgekit.errors import InputError, TrustError

if TYPE_CHECKING:
    from edgekit.publish.change import Change, Need
    from edgekit.publish.records import Records
    from edgekit.seal.keys import PrivateKey
    from edgekit.transport.transport import Transport


@click.command(short_help="Show what a signing request changes, and sign it.")
@click.argument("request_file", type=FILE, metavar="REQUEST")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Key that signs.  [default: only show]  Repeatable.")
@click.option("--channel", "place", metavar="CHANNEL", help="Hold it against the channel as it is.")
@trust_option
@click.option("--out", "-o", type=FILE, metavar="FILE", help="Where the signed copy goes.  [default: REQUEST]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@passphrase_option()
@output_options
@click.pass_obj
def sign(
    terminal: Terminal,
    /,
    *,
    request_file: Path,
    keys: tuple[str, ...],
    place: str | None,
    trust: Path | None,
    out: Path | None,
    yes: bool,
    passphrase_file: Path | None,
) -> None:
    """Show what is to be signed, and sign it.

    With --trust, your own copy of the channel's newest root, or with --channel, a copy of the channel of yours, it is
    every difference between the metadata in force and that which is to be signed. With neither, nobody knows what is in
    force, and all that would be signed is shown. Several copies of one request can be signed at the same time, each by
    another key: `edgekit channel apply` merges them.
    """
    from edgekit.publish.change import lacks_of, needs_of, sign_change
    from edgekit.publish.describing import describe
    from edgekit.publish.request import load_request, save_request

    change = load_request(request_file)
    known = _is_known(change, place, trust)
    lines = describe(change, whole=not known)
    if not terminal.json:
        if change.before and not known:
            terminal.note("all that would be signed; --trust ROOT or --channel CHANNEL shows what changes:")
        click.echo("\n".join(lines))
    told: tuple[str, ...] = ()
    if keys:
        if not yes and sys.stdin.isatty() and not terminal.json:
            click.confirm("Sign this?", abort=True, err=True)
        told = sign_change(change, open_keys(keys, passphrase_file))
        save_request(change, out or request_file)
    if terminal.json:
        document = {"about": change.about, "whole": not known, "changes": list(lines), "signed": list(told)}
        terminal.result(document | {"missing": [_plain(need) for need in lacks_of(change)]})
        return
    click.echo()
    for line in (*told, *map(str, needs_of(change))):
        click.echo(line)
    if not lacks_of(change):
        click.echo(f"complete: edgekit channel apply {out or request_file} --to CHANNEL --online-key KEY")


@click.command(short_help="Put a signing request in force, once it is signed by enough.")
@click.argument("request_files", nargs=-1, required=True, type=FILE, metavar="REQUEST...")
@channel_option
@click.option("--online-key", "online_keys", multiple=True, metavar="KEY", help="Key of snapshot and timestamp.")
@passphrase_option()
@output_options
@click.pass_obj
def apply(
    terminal: Terminal,
    /,
    *,
    request_files: tuple[Path, ...],
    place: str,
    trust: Path | None,
    online_keys: tuple[str, ...],
    passphrase_file: Path | None,
) -> None:
    """Merge the signatures of copies of one request, show what it changes, and put it in force.

    Below the threshold it is refused, and it says how many signatures are missing and whose they may be. A request
    that was made for an earlier state of the channel is refused too.
    """
    from edgekit.channel.client import utc_now
    from edgekit.publish.describing import describe
    from edgekit.publish.enforcing import put_in_force
    from edgekit.publish.request import load_request, merge

    change = merge([load_request(path) for path in request_files])
    online = open_keys(online_keys, passphrase_file)
    with terminal.work():
        if change.before:
            with opened_channel(place, trust, resuming=change.files.get("root")) as (transport, records):
                written = put_in_force(transport, records, change, online, utc_now())
        else:
            with opened_place(place) as transport:
                written = put_in_force(transport, None, change, online, utc_now())
    tell(terminal, change, written, describe(change))


def conclude(
    transport: Transport, records: Records | None, change: Change, online: Sequence[PrivateKey], now: datetime
) -> tuple[str, ...]:
    """Put a change in force if it has every signature; returns the files that were written, if any."""
    from edgekit.publish.change import lacks_of
    from edgekit.publish.enforcing import put_in_force

    if not online or lacks_of(change):
        return ()
    return put_in_force(transport, records, change, online, now)


def keep_request(change: Change, request_file: Path | None) -> Path:
    """Write a change as a request; returns where.

    Raises:
        InputError: There is one already, which others may have signed.
    """
    from edgekit.publish.request import file_name, save_request

    path = request_file or Path(file_name(change))
    if path.exists():
        raise InputError(
            f"{path} is there already", hint="have it signed and apply it, or remove it; --request FILE names another"
        )
    save_request(change, path)
    return path


@contextmanager
def kept_request(change: Change, request_file: Path | None) -> Iterator[None]:
    """Keep a change of the root as a request until it is in force: one that was interrupted has to be applied again."""
    if "root" not in change.files:
        yield
        return
    path = keep_request(change, request_file)
    try:
        yield
    except (InputError, TrustError):  # nothing was written yet
        path.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)


def tell(
    terminal: Terminal, change: Change, written: Sequence[str], told: Sequence[str], request_file: Path | None = None
) -> None:
    """Say what became of a change; one that is not in force is written as a request first."""
    request = None if written else keep_request(change, request_file)
    if terminal.json:
        terminal.result({"about": change.about, **outcome(change, written, told, request)})
        return
    if terminal.quiet:
        return
    for line in (*told, *next_steps(change, request)):
        click.echo(line)
    if written:
        click.echo(f"in force: {change.about}")


def outcome(change: Change, written: Sequence[str], told: Sequence[str], request_file: Path | None) -> dict[str, Any]:
    """The same as data."""
    from edgekit.publish.change import lacks_of

    return {
        "in_force": bool(written),
        "written": list(written),
        "signed": list(told),
        "missing": [_plain(need) for need in lacks_of(change)],
        "request": str(request_file) if request_file else None,
    }


def next_steps(change: Change, request_file: Path | None) -> list[str]:
    """What is left to do, where a change became a request."""
    from edgekit.publish.change import lacks_of

    if request_file is None:
        return []
    lacks = lacks_of(change)
    lines = [f"not in force yet: {change.about}", *(f"  {need}" for need in lacks)]
    if lacks:
        lines.append(f"let the others sign: edgekit channel sign {request_file} --key KEY")
    return [*lines, f"then: edgekit channel apply {request_file} --to CHANNEL --online-key KEY"]


def _plain(need: Need) -> dict[str, Any]:
    from edgekit.publish.key_names import name_key

    keys = sorted(name_key(key) for key in need.unsigned.values())
    return {"role": need.role, "by": need.by, "missing": need.missing, "keys": keys}


def _is_known(change: Change, place: str | None, trust: Path | None) -> bool:
    """Whether the signer knows what is in force; what a request says of that is held against it."""
    from edgekit.cli.channel_values import read_root
    from edgekit.publish.enforcing import check_fits
    from edgekit.publish.request import check_begins

    root = read_root(trust)
    if place and change.before:
        with opened_channel(place, trust) as (transport, records):
            check_fits(transport, records, change)
    elif place:
        with opened_place(place) as transport:
            check_fits(transport, None, change)
    elif root is not None:
        check_begins(change, root)
    return place is not None or root is not None
