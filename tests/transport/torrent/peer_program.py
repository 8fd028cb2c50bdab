"""A peer in a process of its own, made of libtorrent alone: an honest seed, or one that lies.

    python -m tests.transport.torrent.peer_program FILE.torrent FILE [--lie] [--rate BYTES/S] [--tracker URL]

Prints its port, and goes on until it is killed, or its standard input ends.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import libtorrent as lt

SETTINGS = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "webtorrent_stun_server": "",
    "allow_multiple_connections_per_ip": True,
    "ssrf_mitigation": False,
    "close_redundant_connections": False,
    "min_reconnect_time": 1,
    "unchoke_slots_limit": -1,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("torrent", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--lie", action="store_true", help="give out what is in the file, whatever its hash")
    parser.add_argument("--rate", type=int, default=0, help="most bytes/s")
    parser.add_argument("--tracker", default="")
    asked = parser.parse_args()
    session = lt.session({**SETTINGS, "disable_hash_checks": asked.lie, "upload_rate_limit": asked.rate})
    everybody = lt.ip_filter()
    everybody.add_rule("0.0.0.0", "255.255.255.255", 1 << session.global_peer_class_id)
    session.set_peer_class_filter(everybody)
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(asked.torrent.read_bytes())
    params.save_path = str(asked.file.parent)
    params.renamed_files = {0: str(asked.file.absolute())}
    params.flags = lt.torrent_flags.seed_mode
    params.trackers = [asked.tracker] if asked.tracker else []
    handle = session.add_torrent(params)
    print(session.listen_port(), flush=True)
    sys.stdin.read()
    session.remove_torrent(handle)


if __name__ == "__main__":
    main()
