"""What the verbs that update a node tell it besides its folder: who answers for its key, who watches, and its limit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.passphrase import passphrase_source
from edgekit.cli.plain_progress import PlainProgress
from edgekit.cli.sizes import Size
from edgekit.cli.terminal import Terminal
from edgekit.types.progress import Silent

if TYPE_CHECKING:
    from edgekit.node.world import World


def download_limit_option(*, default: str = "of node.toml, or none") -> Callable[[Any], Any]:
    """`--download-limit`; the parameter is `download_limit`, None where the flag is not given.

    Args:
        default: What counts then, for the help.
    """
    return click.option(
        "--download-limit",
        type=Size(),
        help="Receive at most so much per second, over all transports together, for example 100kB; 0 for no limit.  "
        f"[default: {default}]",
    )


def node_world(terminal: Terminal, passphrase_file: Path | None, download_limit: int | None) -> World:
    """The world of a node that a verb works on."""
    from edgekit.node.world import World

    return World(
        passphrase=passphrase_source(passphrase_file, key="the node's key"),
        tell=terminal.note,
        progress=Silent() if terminal.quiet else PlainProgress(sys.stderr),
        download_bytes_per_s=download_limit,
    )
