"""`edgekit channel refresh`, `revoke` and `prune`: for how long, and from which version on, something may run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from edgekit.cli.channel_signing import conclude, tell
from edgekit.cli.channel_values import (
    Duration,
    channel_option,
    open_keys,
    opened_channel,
    opened_place,
    signing_options,
    split_roles,
)
from edgekit.cli.passphrase import passphrase_option
from edgekit.cli.terminal import Terminal, output_options
from edgekit.errors import RecipeError
from edgekit.units import size


@click.command(short_help="Sign metadata anew before it expires.")
@click.option(
    "--role", "roles", multiple=True, default=("timestamp",), metavar="ROLE",
    help="What: timestamp, snapshot, online (both), root, targets or a family.  [default: timestamp]  Repeatable.",
)  # fmt: skip
@click.option(
    "--expires", type=Duration(), metavar="DURATION", help="Valid for that long, 90d or 12h.  [default: as before]"
)
@channel_option
@signing_options
@passphrase_option()
@output_options
@click.pass_obj
def refresh(
    terminal: Terminal,
    /,
    *,
    roles: tuple[str, ...],
    expires: timedelta | None,
    place: str,
    trust: Path | None,
    keys: tuple[str, ...],
    online_keys: tuple[str, ...],
    request_file: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Sign metadata anew, so that nodes go on believing it.

    Without --role it is the timestamp, which a timer on the online key's machine does daily; and the snapshot when half
    of its life is over. Other roles are signed by their own keys (--key), here or with a signing request.
    """
    from edgekit.channel.client import utc_now
    from edgekit.publish.change import sign_change
    from edgekit.publish.enforcing import put_in_force
    from edgekit.publish.release_changes import prolong

    now = utc_now()
    online, signing = open_keys(online_keys, passphrase_file), open_keys(keys, passphrase_file)
    with terminal.work(), opened_channel(place, trust) as (transport, records):
        change = prolong(records, split_roles(roles), expires, now)
        told = sign_change(change, signing)
        if change.files:
            written = conclude(transport, records, change, online, now)
        else:
            written = put_in_force(transport, records, change, online, now)
    tell(terminal, change, written, told, request_file)


@click.command(short_help="Forbid old versions of a model, or take it out of the channel.")
@click.argument("name", metavar="FAMILY/NAME")
@click.option("--below", type=click.IntRange(2), metavar="N", help="Lowest version that may still run.")
@click.option("--withdraw", is_flag=True, help="Take the whole model out of the channel.")
@channel_option
@signing_options
@passphrase_option()
@output_options
@click.pass_obj
def revoke(
    terminal: Terminal,
    /,
    *,
    name: str,
    below: int | None,
    withdraw: bool,
    place: str,
    trust: Path | None,
    keys: tuple[str, ...],
    online_keys: tuple[str, ...],
    request_file: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Forbid versions of a model below N: nodes leave them at their next update, and never roll back to them.

    This cannot be undone: the number only goes up. The current version cannot be forbidden: publish a better one first,
    or take the model out of the channel.
    """
    from edgekit.channel.client import utc_now
    from edgekit.publish import release_changes
    from edgekit.publish.change import sign_change

    if (below is None) == (not withdraw):
        raise RecipeError("say either --below N or --withdraw")
    now = utc_now()
    signing, online = open_keys(keys, passphrase_file), open_keys(online_keys, passphrase_file)
    with terminal.work(), opened_channel(place, trust) as (transport, records):
        if below is None:
            change = release_changes.withdraw(records, name, now)
        else:
            change = release_changes.revoke(records, name, below, now)
        told = sign_change(change, signing)
        written = conclude(transport, records, change, online, now)
    tell(terminal, change, written, told, request_file)


@click.command(short_help="Remove files that no reader can be led to any more.")
@click.argument("place", metavar="DIR")
@click.option(
    "--keep", type=Duration(), default="30d", show_default=True, metavar="DURATION",
    help="What was in force, or was written, within that time stays.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@output_options
@click.pass_obj
def prune(terminal: Terminal, /, *, place: str, keep: timedelta, dry_run: bool) -> None:
    """Remove what old releases left in the channel's folder DIR: their blobs, release indexes and metadata.

    Readers that are no further behind than --keep still find all they need. Do not prune while a publication that is
    older than that waits for signatures. Mirrors follow by a copy that deletes: rsync -r --delete-after.
    """
    from edgekit.channel.client import utc_now
    from edgekit.publish.enforcing import alone
    from edgekit.publish.pruning import find_surplus, remove_surplus
    from edgekit.publish.records import read_records
    from edgekit.transport.file import FileTransport

    with terminal.work(), opened_place(place) as transport:
        if not isinstance(transport, FileTransport):
            raise RecipeError(f"{place} is no folder", hint="prune the master copy, and let mirrors follow it")
        records = read_records(transport)
        with alone(transport):
            surplus = find_surplus(transport, records, utc_now(), keep=keep)
            if not dry_run:
                remove_surplus(transport, surplus)
    if terminal.json:
        terminal.result({"files": surplus.files, "size_bytes": surplus.size_bytes, "removed": not dry_run})
    elif not terminal.quiet:
        for name in surplus.files:
            click.echo(name)
        click.echo(f"{len(surplus.files)} files, {size(surplus.size_bytes)} {'would go' if dry_run else 'removed'}")
