"""Records with a checksum, settings, and the lock."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, InputError, MalformedError, NodeStateError
from edgekit.node.disk import Disk
from edgekit.node.folder import NodeFolder, find_node, locked
from edgekit.node.record import read_record, save_record
from edgekit.node.settings import NodeSettings, read_settings, write_settings
from edgekit.node.state import NodeState, Offer, read_state
from tests.node.scene import MODEL, Scene

STATE = NodeState(MODEL, 1, 2, None, Offer(2, "2.0.0", "aa" * 32), {"root": 1}, "2027-01-01T00:00:00+00:00", "x")


def test_a_record_comes_back(tmp_path: Path) -> None:
    save_record(Disk(), tmp_path / "state.json", STATE)
    assert read_record(NodeState, tmp_path / "state.json") == STATE
    assert read_record(NodeState, tmp_path / "absent.json") is None


def test_every_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save_record(Disk(), path, STATE)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(MalformedError):
            read_record(NodeState, path)


@given(data=st.binary(max_size=200))
def test_noise_is_no_record(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.json"
    path.write_bytes(data)
    state, fault = read_state(path, MODEL, ())
    assert state == NodeState(MODEL)
    assert fault


def test_a_state_of_another_model_counts_as_lost(tmp_path: Path) -> None:
    save_record(Disk(), tmp_path / "state.json", STATE)
    state, fault = read_state(tmp_path / "state.json", "vision/other", ())
    assert state == NodeState("vision/other")
    assert MODEL in fault


def test_settings_come_back(tmp_path: Path) -> None:
    settings = NodeSettings(MODEL, ("https://a.example/x", "/srv/'quoted\"\\path"), 30.0)
    write_settings(Disk(), tmp_path / "node.toml", settings)
    assert read_settings(tmp_path / "node.toml") == settings


@pytest.mark.parametrize(
    "text",
    [
        "", "model = 1", 'model = "x"\nchannels = ["a"]', 'model = "a/b"\nchannels = []',
        'model = "a/b"\nchannels = ["a", "a"]', 'model = "a/b"\nchannels = ["a"]\nself_test_s = 0.0',
        'model = "a/b"\nchannels = ["a"]\nschema = "edgekit.node/9"', 'model = "a/b"\nchanels = ["a"]',
        "\x00", "x" * 200_000,
    ],
)  # fmt: skip
def test_settings_that_cannot_be(tmp_path: Path, text: str) -> None:
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(InputError):
        read_settings(tmp_path / "node.toml")


def test_settings_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError):
        read_settings(tmp_path / "node.toml")


def test_a_folder_that_is_no_node(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no node"):
        find_node(tmp_path)


def test_two_processes_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.publisher.release(1)
    scene.set_up()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with locked(scene.folder):
                os.write(writer, b"held")
                signal.pause()  # until it is killed
        finally:
            os._exit(1)
    try:
        os.read(reader, 4)
        with pytest.raises(NodeStateError, match="another process"):
            scene.update()
        with pytest.raises(NodeStateError, match="another process"):
            scene.run_once()
        assert scene.version() == 0, "looking needs no lock"
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
    assert scene.update().running.version == 1


def test_a_folder_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(EdgekitError, match="lock"), locked(NodeFolder(tmp_path)):
        pass


def test_others_cannot_hold_the_lock(tmp_path: Path) -> None:
    """Whoever can open the file for reading can lock it, and keep the node from every update."""
    with locked(NodeFolder(tmp_path)):
        assert (tmp_path / "lock").stat().st_mode & 0o077 == 0
