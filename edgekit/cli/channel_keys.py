"""`edgekit channel init`, `rotate` and `family`: who may sign."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.channel_signing import conclude, kept_request, tell
from edgekit.cli.channel_values import (
    FILE,
    Duration,
    channel_option,
    named_key,
    open_keys,
    opened_channel,
    opened_place,
    read_signers,
    signing_options,
    split_family,
    split_roles,
)
from edgekit.cli.passphrase import passphrase_option
from edgekit.cli.terminal import Terminal, output_options
from edgekit.errors import RecipeError

if TYPE_CHECKING:
    from edgekit.publish.founding import Signers
    from edgekit.seal.keys import PrivateKey

_KEY = "A key file, a .pub of somebody else's, or a PKCS #11 URI"
_NUMBER = click.IntRange(1, 32)


@click.command(short_help="Make a channel.")
@click.argument("place", metavar="CHANNEL")
@click.option("--root-key", "root_keys", multiple=True, required=True, metavar="KEY", help=f"{_KEY}.  Repeatable.")
@click.option("--root-threshold", type=_NUMBER, default=1, show_default=True, help="Signatures that a root needs.")
@click.option("--targets-key", "targets_keys", multiple=True, required=True, metavar="KEY", help="As --root-key.")
@click.option("--targets-threshold", type=_NUMBER, default=1, show_default=True, help="Signatures that targets need.")
@click.option(
    "--family",
    "families",
    multiple=True,
    metavar="NAME=KEY[,KEY][:N]",
    help="A family of models and who signs its releases, N of them each.  Repeatable.",
)
@click.option(
    "--online-key", "online_keys", multiple=True, required=True, metavar="KEY", help="Key of snapshot and timestamp."
)
@click.option(
    "--expires",
    "expires",
    multiple=True,
    metavar="ROLE=DURATION",
    help="How long a role's metadata is valid.  [default: root=365d targets=90d FAMILY=90d snapshot=30d timestamp=7d]",
)
@click.option("--request", "request_file", type=FILE, metavar="FILE", help="Where a signing request goes.")
@passphrase_option()
@output_options
@click.pass_obj
def init(
    terminal: Terminal,
    /,
    *,
    place: str,
    families: tuple[str, ...],
    expires: tuple[str, ...],
    request_file: Path | None,
    passphrase_file: Path | None,
    root_keys: tuple[str, ...],
    root_threshold: int,
    targets_keys: tuple[str, ...],
    targets_threshold: int,
    online_keys: tuple[str, ...],
) -> None:
    """Make a channel at CHANNEL, a folder or a URL that can be written to.

    Private keys sign at once. Where a role needs more signatures than there are private keys here, nothing is written
    there, but a signing request for the others. Give the nodes metadata/1.root.json of the channel: it is all that they
    have to trust.
    """
    from edgekit.channel.client import utc_now
    from edgekit.publish.change import sign_change
    from edgekit.publish.founding import ChannelPlan, plan_channel

    now = utc_now()
    root, root_here = read_signers(root_keys, root_threshold, passphrase_file)
    targets, targets_here = read_signers(targets_keys, targets_threshold, passphrase_file)
    online, online_here = read_signers(online_keys, 1, passphrase_file)
    named, families_here = _families(families, passphrase_file)
    periods = dict(_period(text) for text in expires)
    change = plan_channel(ChannelPlan(root, targets, online, named, periods), now)
    told = sign_change(change, (*root_here, *targets_here, *families_here))
    with terminal.work(), opened_place(place) as transport:
        written = conclude(transport, None, change, online_here, now)
    tell(terminal, change, written, told, request_file or Path("channel.request.json"))


@click.command(short_help="Replace, add or remove keys of a role, or change its threshold.")
@click.option(
    "--role", "roles", multiple=True, required=True, metavar="ROLE",
    help="root, targets, snapshot, timestamp, online (the last two), or a family.  Repeatable.",
)  # fmt: skip
@click.option("--add", multiple=True, metavar="KEY", help=f"A key that may sign from now on: {_KEY}.  Repeatable.")
@click.option(
    "--remove", multiple=True, metavar="KEY",
    help="A key that may no longer: its file, or how its fingerprint begins (edgekit channel status).  Repeatable.",
)  # fmt: skip
@click.option("--threshold", type=_NUMBER, help="How many have to sign.  [default: as before]")
@click.option(
    "--restart",
    is_flag=True,
    help="Let versions of snapshot and timestamp begin at 1 again, after their keys were stolen.",
)
@channel_option
@signing_options
@passphrase_option()
@output_options
@click.pass_obj
def rotate(
    terminal: Terminal,
    /,
    *,
    roles: tuple[str, ...],
    add: tuple[str, ...],
    remove: tuple[str, ...],
    threshold: int | None,
    restart: bool,
    place: str,
    trust: Path | None,
    keys: tuple[str, ...],
    online_keys: tuple[str, ...],
    request_file: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Change whose signatures count.

    A new root is signed by the old root's threshold and by the new one's. What the new keys have to sign themselves is
    in the same request. Nodes follow by themselves, and believe a removed key no more from their next update on.
    """
    from edgekit.channel.client import utc_now
    from edgekit.publish.change import sign_change
    from edgekit.publish.key_changes import Rotation, rotate_keys

    now = utc_now()
    added, added_here = read_signers(add, 1, passphrase_file)
    signing, online = open_keys(keys, passphrase_file), open_keys(online_keys, passphrase_file)
    removed = tuple(map(named_key, remove))
    with terminal.work(), opened_channel(place, trust) as (transport, records):
        rotation = Rotation(split_roles(roles), added.keys, removed, threshold, restart)
        change = rotate_keys(records, rotation, now)
        told = sign_change(change, (*signing, *added_here), optional=True)
        with kept_request(change, request_file):
            written = conclude(transport, records, change, (*online, *added_here), now)
    tell(terminal, change, written, told, request_file)


@click.command(short_help="Add a family of models.")
@click.argument("text", metavar="NAME=KEY[,KEY][:N]")
@channel_option
@signing_options
@passphrase_option()
@output_options
@click.pass_obj
def family(
    terminal: Terminal,
    /,
    *,
    text: str,
    place: str,
    trust: Path | None,
    keys: tuple[str, ...],
    online_keys: tuple[str, ...],
    request_file: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Add a family of models, whose releases N of the keys have to sign (1 where it is not given).

    It is signed by the targets keys; and by the family's own, those that are private among the KEYs.
    """
    from edgekit.channel.client import utc_now
    from edgekit.publish.change import sign_change
    from edgekit.publish.key_changes import add_family

    now = utc_now()
    signing, online = open_keys(keys, passphrase_file), open_keys(online_keys, passphrase_file)
    named, here = _families((text,), passphrase_file)
    ((name, signers),) = named.items()
    with terminal.work(), opened_channel(place, trust) as (transport, records):
        change = add_family(records, name, signers, now)
        told = sign_change(change, (*signing, *here))
        written = conclude(transport, records, change, online, now)
    tell(terminal, change, written, told, request_file)


def _families(
    texts: tuple[str, ...], passphrase_file: Path | None
) -> tuple[dict[str, Signers], tuple[PrivateKey, ...]]:
    """Families with their signers; and the private keys among them."""
    named: dict[str, Signers] = {}
    here: list[PrivateKey] = []
    for text in texts:
        name, places, threshold = split_family(text)
        if name in named:
            raise RecipeError(f"the family '{name}' is given twice")
        named[name], privates = read_signers(places, threshold, passphrase_file)
        here += privates
    return named, tuple(here)


def _period(text: str) -> tuple[str, timedelta]:
    """A role and a span of time, of "ROLE=DURATION"."""
    role, equals, duration = text.partition("=")
    if not equals:
        raise RecipeError(f"--expires: {text!r} is no ROLE=DURATION", hint="for example timestamp=1d")
    return role, Duration().convert(duration, None, None)
