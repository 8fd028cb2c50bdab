"""`edgekit node init`: set a node up."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from edgekit.cli.node_world import download_limit_option
from edgekit.cli.passphrase import passphrase_option, passphrase_source
from edgekit.cli.terminal import Terminal, output_options
from edgekit.errors import InputError, RecipeError

EXAMPLES = """\b
Examples:
  edgekit node init /var/lib/edgekit --channel https://models.example.org/channel --trust root.json \\
      --model vision/resnet8
  edgekit node init node --channel https://models.example.org/channel --trust root.json --model vision/resnet8 \\
      --source torrent:https://models.example.org/channel --policy policy.txt
  edgekit node init phone --channel https://models.example.org/channel --trust root.json --model vision/resnet8 \\
      --download-limit 100kB
"""
LARGEST_POLICY_BYTES = 2**18
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog=EXAMPLES, short_help="Set a node up.")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option(
    "--channel", "channels", multiple=True, required=True, metavar="URL", help="A mirror of the channel; repeatable."
)
@click.option("--trust", type=_FILE, required=True, metavar="ROOT", help="The channel's root.json, from its owner.")
@click.option("--model", required=True, metavar="FAMILY/NAME", help="What the node runs.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="URL",
    help="Where else its files may come from: a swarm (torrent:), an IPFS gateway (ipfs:); repeatable.",
)
@click.option(
    "--policy",
    type=_FILE,
    metavar="FILE",
    help="Install only what a log shows: logs, witnesses, and how many of them (tlog-policy).",
)
@click.option(
    "--log", "logs", multiple=True, metavar="URL", help="A copy of the log; repeatable.  [default: below each channel]"
)
@click.option("--cosign", is_flag=True, help="Be a witness: cosign each newer head of the log.")
@click.option(
    "--no-passphrase", is_flag=True, help="Leave its key open to whoever can read the folder: for unattended nodes."
)
@download_limit_option(default="none")
@passphrase_option()
@output_options
@click.pass_obj
def init(
    terminal: Terminal,
    /,
    *,
    folder: Path,
    channels: tuple[str, ...],
    trust: Path,
    model: str,
    sources: tuple[str, ...],
    policy: Path | None,
    logs: tuple[str, ...],
    cosign: bool,
    no_passphrase: bool,
    download_limit: int | None,
    passphrase_file: Path | None,
) -> None:
    """Set a node up in DIR: its settings, the root of trust, and an ed25519 key that never leaves it."""
    from edgekit.node.disk import Disk
    from edgekit.node.opened import LARGEST_ROOT_BYTES
    from edgekit.node.settings import UNLIMITED, NodeSettings, TransparencySettings
    from edgekit.node.setup import set_up

    if no_passphrase and passphrase_file:
        raise RecipeError("--no-passphrase and --passphrase-file exclude one another", hint="give one of them")
    if (logs or cosign) and not policy:
        raise RecipeError("--log and --cosign need --policy", hint="the policy says which log is meant, and its key")
    root = _read(trust, LARGEST_ROOT_BYTES)
    rules = _read(policy, LARGEST_POLICY_BYTES) if policy else None
    transparency = TransparencySettings(logs=logs, cosign=cosign) if policy else None
    settings = NodeSettings(
        model, channels, sources=sources, transparency=transparency, download_bytes_per_s=download_limit or UNLIMITED
    ).check()
    source = passphrase_source(passphrase_file, key="the node's new key", confirm=True)
    did = set_up(folder, settings, root, None if no_passphrase else source(), disk=Disk(), policy=rules)
    if terminal.json:
        terminal.result(
            {
                "did": did,
                "folder": str(folder),
                "model": model,
                "channels": list(channels),
                "sources": list(sources),
                "policy": policy is not None,
                "download_bytes_per_s": settings.download_bytes_per_s,
            }
        )
        return
    click.echo(f"{did} follows {model}")
    click.echo(f"next: edgekit node update {shlex.quote(str(folder))}")


def _read(path: Path, limit_bytes: int) -> bytes:
    """A file that the user names, one byte more than allowed at most: whoever takes it says that it is too long."""
    try:
        with path.open("rb") as stream:
            return stream.read(limit_bytes + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
