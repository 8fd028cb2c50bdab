"""`edgekit node seed`: go on running, and give to others what the node has."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from edgekit.cli.listen_address import ListenAddress
from edgekit.cli.node_world import download_limit_option, node_world
from edgekit.cli.passphrase import passphrase_option
from edgekit.cli.sizes import Size
from edgekit.cli.terminal import Terminal, needing, output_options
from edgekit.errors import RecipeError
from edgekit.units import size

if TYPE_CHECKING:
    from edgekit.node.opened import Node
    from edgekit.node.outlets import Outlet, SwarmOutlet
    from edgekit.node.settings import SeedSettings

EXAMPLES = """\b
Examples:
  edgekit node seed /var/lib/edgekit --listen 0.0.0.0:6881
  edgekit node seed /var/lib/edgekit --gateway 0.0.0.0:8080 --upload-limit 2MB --download-limit 500kB --keep 5GB
  edgekit node seed node --gateway 127.0.0.1:0 --update-every 0 --for 60
Others reach it as --channel http://HOST:8080, as --source ipfs:http://HOST:8080, or as
--source torrent:?peer=HOST:6881.
"""
_FOLDER = click.Path(path_type=Path, file_okay=False)


class _Seconds(click.ParamType[float]):
    """A time, seconds."""

    name = "SECONDS"

    def __init__(self, least: float) -> None:
        self._least = least

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not self._least <= found < math.inf:
            self.fail(f"{value!r} is no number of seconds from {self._least:g} on", param, ctx)
        return found


@click.command("seed", epilog=EXAMPLES, short_help="Go on running, and give to others what the node has.")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--listen", type=ListenAddress(), help="Seed torrents; peers connect here.")
@click.option(
    "--gateway", type=ListenAddress(), help="Be a mirror of the channel, a webseed and an IPFS gateway, over http."
)
@click.option("--witness", type=ListenAddress(), help="Cosign the log for whoever asks, over http (tlog-witness).")
@click.option(
    "--upload-limit", type=Size(), help="Bytes per second, to all together.  [default: of node.toml, or none]"
)
@download_limit_option()
@click.option("--keep", type=Size(), help="Disk for other machines' files and deltas.  [default: of node.toml, or 0]")
@click.option(
    "--update-every",
    type=_Seconds(0.0),
    default=3600.0,
    show_default=True,
    help="Update as `run-once` does; 0 leaves that to a timer.",
)
@click.option(
    "--recheck-every",
    type=_Seconds(1.0),
    default=6 * 3600.0,
    show_default=True,
    help="Hash all that is given out again.",
)
@click.option("--for", "for_s", type=_Seconds(0.0), default=0.0, help="End after that time.")
@passphrase_option()
@output_options
@click.pass_obj
def seed(
    terminal: Terminal,
    /,
    *,
    folder: Path,
    listen: tuple[str, int] | None,
    gateway: tuple[str, int] | None,
    witness: tuple[str, int] | None,
    upload_limit: int | None,
    download_limit: int | None,
    keep: int | None,
    update_every: float,
    recheck_every: float,
    for_s: float,
    passphrase_file: Path | None,
) -> None:
    """Give to others what the node has, until the process is ended (SIGTERM, Ctrl-C).

    What its slots hold, what is kept for other machines, and the channel's own documents: a new node finds everything
    here when the channel's server is gone. Nothing is given out that was not hashed, and slots are only read.
    """
    from edgekit.node.opened import look_at
    from edgekit.node.seeding import Seeder, SeedPlan
    from edgekit.node.settings import SeedSettings
    from edgekit.transport.inflow import INFLOW

    if not listen and not gateway:
        raise RecipeError("say how: --listen ADDRESS:PORT for torrents, --gateway ADDRESS:PORT for http, or both")
    world = node_world(terminal, passphrase_file, download_limit)
    node = look_at(folder, world)
    told = node.settings.seed
    limits = SeedSettings(
        told.upload_bytes_per_s if upload_limit is None else upload_limit,
        told.keep_bytes if keep is None else keep,
    )
    limits.check()
    plan = SeedPlan(limits.keep_bytes, update_every, recheck_every, for_s)
    stop, seeder = threading.Event(), None
    with _until_ended(stop), INFLOW.limited(node.settings.download_bytes_per_s), ExitStack() as stack:
        outlets = _open_outlets(stack, node, listen, gateway, limits)
        for outlet in outlets:
            terminal.note(f"seeding at {_where(outlet.status())}")
        if witness:
            terminal.note(f"a witness at {stack.enter_context(_witness(node, *witness, terminal))}")
        seeder = Seeder(folder, world, outlets, plan, stop)
        seeder.run()
    given_out = seeder.given_out if seeder else ()
    if terminal.json:
        terminal.result({"outlets": list(given_out), "files": len(seeder.given) if seeder else 0})
        return
    click.echo(f"gave out {size(sum(int(str(out['uploaded_bytes'])) for out in given_out))}")


class _EndedError(BaseException):
    """SIGTERM or Ctrl-C, which is how this verb ends; unwinds, so that a transfer is not waited for."""


@contextmanager
def _until_ended(stop: threading.Event) -> Iterator[None]:
    """End the block on SIGTERM and SIGINT, cleanly.

    The event is set too: an exception that arrives while Python runs a callback of another library is lost.
    """

    def end(number: int, frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            raise _EndedError

    numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    except _EndedError:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_outlets(
    stack: ExitStack,
    node: Node,
    listen: tuple[str, int] | None,
    gateway: tuple[str, int] | None,
    limits: SeedSettings,
) -> list[Outlet]:
    """The ways out; each has half of the upload where there are two. Closed with the stack, if not before."""
    outlets: list[Outlet] = []
    upload = split(limits.upload_bytes_per_s, 2) if listen and gateway else limits.upload_bytes_per_s
    if listen:
        swarm = _swarm(node, listen, upload)
        stack.callback(swarm.close)
        swarm.wait_until_open()
        outlets.append(swarm)
    if gateway:
        outlets.append(_gateway(*gateway, upload))
        stack.callback(outlets[-1].close)
    return outlets


def split(bytes_per_s: int, ways: int) -> int:
    """A limit for each of several; none stays none, which is 0, and one stays one."""
    return -(-bytes_per_s // ways)


def _swarm(node: Node, listen: tuple[str, int], upload: int) -> SwarmOutlet:
    from edgekit.node.outlets import SwarmOutlet
    from edgekit.transport.torrent_url import parse_torrent_url

    with needing("p2p"):
        from edgekit.transport.swarm import shared_swarm
        from edgekit.transport.swarm_settings import SwarmSettings, settings_for

    places = [parse_torrent_url(url) for url in node.settings.sources if url.startswith("torrent:")]
    settings = SwarmSettings((listen,), upload)
    for place in places:
        settings = settings.widened(settings_for(place))
    return SwarmOutlet(shared_swarm(settings), places)


def _gateway(host: str, port: int, upload: int) -> Outlet:
    from edgekit.gateway.server import Gateway, GatewayLimits
    from edgekit.gateway.shelf import Shelf
    from edgekit.node.outlets import GatewayOutlet

    shelf = Shelf()
    server = Gateway(shelf, host, port, limits=GatewayLimits(bytes_per_s=upload or None))
    server.start()
    return GatewayOutlet(shelf, server)


@contextmanager
def _witness(node: Node, host: str, port: int, terminal: Terminal) -> Iterator[str]:
    """The node as a witness that can be asked; gives its URL and vkey."""
    from edgekit.node.witnessing import node_witness
    from edgekit.transparency.witness_server import serve

    witness = node_witness(node)
    with serve(witness, host, port, tell=terminal.note) as server:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.port}, {witness.key}"


def _where(status: Mapping[str, object]) -> str:
    """Where an outlet can be reached."""
    listening = status.get("listening")
    return ", ".join(map(str, listening)) if isinstance(listening, list) else str(status.get("url"))
