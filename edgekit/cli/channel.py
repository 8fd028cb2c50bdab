"""`edgekit channel`: who may sign what nodes run, and what they run now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.channel_values import FILE
from edgekit.cli.terminal import Terminal, output_options
from edgekit.cli.verb_group import VerbGroup
from edgekit.errors import ExpiredError

if TYPE_CHECKING:
    from edgekit.publish.status import ChannelStatus, RoleStatus

VERBS: Mapping[str, str] = {
    "init": "edgekit.cli.channel_keys:init",
    "status": "edgekit.cli.channel:status",
    "refresh": "edgekit.cli.channel_releases:refresh",
    "revoke": "edgekit.cli.channel_releases:revoke",
    "rotate": "edgekit.cli.channel_keys:rotate",
    "family": "edgekit.cli.channel_keys:family",
    "sign": "edgekit.cli.channel_signing:sign",
    "apply": "edgekit.cli.channel_signing:apply",
    "prune": "edgekit.cli.channel_releases:prune",
}

EXAMPLES = """\b
Examples:
  edgekit channel init channel/ --root-key root-1.key --root-key root-2.key --root-key root-3.pub \\
      --root-threshold 2 --targets-key targets.key --family vision=vision.key --online-key online.key
  edgekit channel status channel/
  edgekit channel refresh --to channel/ --online-key online.key         (daily, by a timer)
  edgekit channel revoke vision/lite0 --below 7 --to channel/ --key vision.key --online-key online.key
  edgekit channel rotate --role online --remove online.pub --add online-2.pub --to channel/ --key root-1.key
  edgekit channel sign root-2.request.json --key root-3.key --trust 1.root.json      (on another machine)
  edgekit channel apply root-2.request.json --to channel/ --online-key online-2.key
  edgekit channel prune channel/ --dry-run
"""


@click.group(
    cls=VerbGroup, verbs=VERBS, epilog=EXAMPLES, short_help="Make a channel, see its state, change who may sign."
)
def channel() -> None:
    """Make and keep a channel: static files that tell nodes which release is current, and whose signature counts.

    A channel follows The Update Framework (TUF). Its root and targets keys stay offline, each behind a threshold; a
    family's keys sign the releases of its models; the online key vouches for freshness. Any web server, bucket or
    folder can carry it, and none of them is trusted. docs/channels.md tells it whole.
    """


@click.command(short_help="Show versions, expiry, keys, and what is current.")
@click.argument("place", metavar="CHANNEL")
@click.option("--trust", type=FILE, metavar="ROOT", help="Root metadata that the channel must begin with.")
@output_options
@click.pass_obj
def status(terminal: Terminal, /, *, place: str, trust: Path | None) -> None:
    """Show every role of a channel: version, expiry, who signed and who may; every model; and what needs doing.

    CHANNEL is a folder or a URL. Its signatures are verified from its first root on, or from the root that is
    trusted. The exit code is 6 where something has expired.
    """
    from edgekit.channel.client import utc_now
    from edgekit.cli.channel_values import opened_place, read_root
    from edgekit.publish.records import read_records
    from edgekit.publish.status import status_of
    from edgekit.types.plain import to_plain

    with terminal.work(), opened_place(place) as transport:
        found = status_of(read_records(transport, trust=read_root(trust)), utc_now())
    if terminal.json:
        terminal.result(to_plain(found))
    else:
        _show(found)
    if found.expired:
        raise ExpiredError(
            f"{', '.join(found.expired)} expired: no node believes this channel any more",
            hint="sign it anew: edgekit channel refresh --role " + " --role ".join(found.expired),
        )


def _show(found: ChannelStatus) -> None:
    for role in found.roles:
        click.echo(_line(role))
        for warning in role.warnings:
            click.echo(f"    {click.style('warning:', fg='yellow', bold=True)} {warning}")
    if not found.models:
        click.echo("no model yet")
    for model in found.models:
        floor = f", oldest that may run {model.oldest}" if model.oldest > 1 else ""
        click.echo(f"{model.name}  version {model.version} ({model.semver}){floor}")
        click.echo(f"    release {model.release_digest}")
        click.echo(f"    signed by {' or '.join(model.signers)}")


def _line(role: RoleStatus) -> str:
    others = f"; may sign too: {', '.join(role.unsigned)}" if role.unsigned else ""
    left = f"{role.days_left:.0f} days left" if abs(role.days_left) >= 2 else f"{role.days_left * 24:.0f} hours left"
    return (
        f"{role.role:<12} version {role.version:<4} expires {role.expires[:16].replace('T', ' ')} UTC ({left})\n"
        f"    signed by {', '.join(role.signed)} ({role.threshold} needed{others})"
    )
