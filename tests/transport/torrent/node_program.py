"""A node in a process of its own: fetches a blob from `torrent:` URLs and others, and then gives it out.

    python -m tests.transport.torrent.node_program BLOB.json TARGET URL...
        [--stay] [--pieces] [--short] [--up N] [--down N]

Prints lines of JSON: where it listens, the pieces that it has got if asked for, and how the fetch ended. With `--stay`
it seeds until its standard input ends. Limits are in bytes/s.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.transport.fetch import Sources
from edgekit.transport.opening import opened
from edgekit.transport.patience import Patience
from edgekit.transport.swarm import Swarm, shared_swarm
from edgekit.transport.swarm_settings import SwarmSettings
from edgekit.transport.torrent_url import parse_torrent_url
from edgekit.types.blob import Blob
from tests.transport.torrent.made import read_blob
from tests.transport.torrent.patience import SHORT

_LOOK_S = 0.02


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("blob", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--stay", action="store_true")
    parser.add_argument("--pieces", action="store_true")
    parser.add_argument("--short", action="store_true", help="wait for seconds only")
    parser.add_argument("--up", type=int, default=0)
    parser.add_argument("--down", type=int, default=0)
    asked = parser.parse_args()
    blob = read_blob(asked.blob.read_text())
    settings = SwarmSettings((("127.0.0.1", 0),), asked.up, asked.down, patience=SHORT if asked.short else Patience())
    swarm = shared_swarm(settings)
    fetched = threading.Event()
    watcher = threading.Thread(target=_tell_pieces, args=(swarm, blob, fetched), daemon=True)
    if asked.pieces:
        watcher.start()
    began = time.monotonic()
    try:
        with opened(asked.urls) as transports:
            sources = Sources(transports)
            sources.fetch(blob, asked.target)
        fetched.set()
        _say(
            event="fetched",
            seconds=time.monotonic() - began,
            faults=dict(sources.faults),
            dropped=sources.dropped,
            downloaded=swarm.status().downloaded_bytes,
        )
        places = [parse_torrent_url(url) for url in asked.urls if url.startswith("torrent:")]
        if asked.stay:
            swarm.seed(blob, asked.target, places=places)
            sys.stdin.read()
        status = swarm.status()
        _say(event="ended", uploaded=status.uploaded_bytes, downloaded=status.downloaded_bytes)
    except EdgekitError as error:
        fetched.set()
        _say(
            event="failed",
            kind=type(error).__name__,
            message=str(error),
            seconds=time.monotonic() - began,
            downloaded=swarm.status().downloaded_bytes,
        )
    finally:
        if asked.pieces:
            watcher.join()
        swarm.close()


def _tell_pieces(swarm: Swarm, blob: Blob, fetched: threading.Event) -> None:
    told: frozenset[int] = frozenset()
    while not fetched.is_set():
        found = swarm.pieces(blob)
        if new := found - told:
            told |= new
            _say(event="pieces", pieces=sorted(new))
        time.sleep(_LOOK_S)


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
