"""What libtorrent is told of a torrent."""

from __future__ import annotations

from pathlib import Path

from edgekit.addressing.torrent import read_torrent
from edgekit.transport.torrent_library import lt
from edgekit.transport.torrent_params import ask_params, fetch_params, seed_params
from tests.transport.torrent.conftest import Made


def test_nothing_is_fetched_before_it_is_known_what(made: Made, tmp_path: Path) -> None:
    addresses = made.noise.blob.addresses
    assert addresses is not None
    params = ask_params(addresses, tmp_path)
    assert params.flags & lt.torrent_flags.upload_mode
    assert params.info_hashes.v2.to_bytes().hex() == addresses.infohash
    assert not params.info_hashes.has_v1()


def test_nothing_is_fetched_before_somebody_wants_it(made: Made, tmp_path: Path) -> None:
    torrent = read_torrent(made.torrent.read_bytes(), blob=made.noise.blob)
    params = fetch_params(torrent, tmp_path)
    assert params.piece_priorities == [0] * torrent.piece_count
    assert not params.flags & (lt.torrent_flags.upload_mode | lt.torrent_flags.auto_managed)


def test_what_is_given_out_is_not_written_to(made: Made) -> None:
    params = seed_params(read_torrent(made.torrent.read_bytes(), blob=made.noise.blob), made.file)
    assert params.flags & lt.torrent_flags.upload_mode
    assert params.flags & lt.torrent_flags.seed_mode
    assert params.renamed_files == {0: str(made.file)}


def test_nobody_is_asked_and_nothing_announced_that_no_url_names(made: Made, tmp_path: Path) -> None:
    torrent = read_torrent(made.torrent.read_bytes(), blob=made.noise.blob)
    addresses = made.noise.blob.addresses
    assert addresses is not None
    for params in (fetch_params(torrent, tmp_path), ask_params(addresses, tmp_path), seed_params(torrent, made.file)):
        assert params.flags & lt.torrent_flags.disable_dht
        assert params.flags & lt.torrent_flags.disable_lsd
        assert (params.trackers, params.url_seeds, params.peers, params.dht_nodes) == ([], [], [], [])
