"""Updates that go wrong, T19: what fails its self-test, crashes or fills the disk is refused, and remembered.

Power cuts and kill -9 at every step of an update are in tests/node/test_power.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import NodeStateError, NoVariantError, SelfTestError
from edgekit.node.folder import locked
from edgekit.node.infer import infer
from edgekit.node.opened import look_at, open_node
from edgekit.node.rollback import serving
from edgekit.node.update import Outcome, update
from tests.attacks.distribution.realm import Realm
from tests.attacks.distribution.releases import SAMPLES, contents_of, model_bytes


def test_a_model_that_answers_something_else_is_quarantined(realm: Realm) -> None:
    """Well signed, and wrong: the files of version 4 under the golden answers of version 3."""
    wrong = {"model.onnx": model_bytes(4), "other.onnx": model_bytes(4) + b"\x3a\x00"}
    mirror = realm.offer(realm.bundle(3, contents=wrong))
    with pytest.raises(SelfTestError, match="differs from its publisher's"):
        realm.update(mirror)
    assert realm.answer() == 2
    assert realm.events()[2:] == ["refused 3", "refused 3"]
    tried = len(realm.told)
    updated = realm.update(mirror)
    assert (updated.outcome, updated.running.version, updated.offered) == (Outcome.QUARANTINED, 2, 3)
    assert not [line for line in realm.told[tried:] if "testing" in line]
    assert not (realm.node / "slots" / "next").exists()


def test_the_other_variant_is_taken_where_the_first_fails(realm: Realm) -> None:
    mirror = realm.offer(realm.bundle(3, contents={"model.onnx": model_bytes(4)}))
    updated = realm.update(mirror)
    assert (updated.running.version, updated.running.variant) == (3, "second")
    assert realm.events()[2:] == ["refused 3", "installed 3"]


def test_golden_answers_of_another_release_do_not_pass(realm: Realm) -> None:
    """The self-test is not satisfied by answers that are merely well formed."""
    mirror = realm.offer(realm.bundle(3, contents={"golden.outputs.npz": contents_of(2)["golden.outputs.npz"]}))
    with pytest.raises(SelfTestError):
        realm.update(mirror)
    assert realm.answer() == 2


def test_what_needs_more_than_the_machine_has_is_not_even_fetched(realm: Realm) -> None:
    """A terabyte of disk: the manifest says so, and nothing is downloaded to find out."""

    def change(data: bytes) -> bytes:
        return data.replace(b'"flash_bytes":1048576', b'"flash_bytes":%d' % 2**40)

    with realm.refuses(NoVariantError, learns=True):
        realm.update(realm.offer(realm.bundle(3, alter={"manifest": change})))
    assert not (realm.node / "slots" / "next").exists()


FULL = """
import resource, signal, sys
from pathlib import Path
from datetime import UTC, datetime
from edgekit.errors import StorageError
from edgekit.node.opened import open_node
from edgekit.node.update import update
from edgekit.node.world import World
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with open_node(Path(sys.argv[1]), World(clock=lambda: datetime.fromisoformat(sys.argv[3]))) as node:
        update(node)
except StorageError as error:
    print(error)
    sys.exit(5)
"""


@pytest.mark.parametrize("limit_bytes", [0, 100, 400, 1500])
def test_a_disk_that_is_full(realm: Realm, limit_bytes: int) -> None:
    """A limit on the size of files stands for it; writes fail in the middle, wherever that is."""
    realm.publish(3)
    words = [str(realm.node), str(limit_bytes), realm.now.isoformat()]
    done = subprocess.run([sys.executable, "-c", FULL, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert realm.answer() == 2
    assert realm.update().running.version == realm.answer() == 3


def test_two_updates_at_once(realm: Realm) -> None:
    realm.publish(3)
    with open_node(realm.node, realm.world) as node:
        with pytest.raises(NodeStateError, match="another process"), locked(node.folder):
            raise AssertionError
        assert update(node).running.version == 3


def test_what_runs_answers_while_an_attack_is_on(realm: Realm) -> None:
    """Through the node's own door: arrays in, arrays out."""
    wrong = {"model.onnx": model_bytes(4), "other.onnx": model_bytes(5)}
    with pytest.raises(SelfTestError):
        realm.update(realm.offer(realm.bundle(3, contents=wrong)))
    slot = serving(look_at(realm.node, realm.world))
    found = infer(slot.files, slot.variant(), {"x": np.ones((SAMPLES, 1, 4), np.float32)})
    assert np.array_equal(found["y"], np.full((SAMPLES, 6), 2, np.float32))


def test_a_new_node_that_is_attacked_has_nothing(realm: Realm, tmp_path: Path) -> None:
    """It runs nothing at all rather than something that failed."""
    wrong = {"model.onnx": model_bytes(4), "other.onnx": model_bytes(5)}
    mirror = realm.offer(realm.bundle(3, contents=wrong))
    realm.node = tmp_path / "new"
    realm.set_up(mirror)
    with pytest.raises(SelfTestError):
        realm.update()
    with pytest.raises(NodeStateError, match="nothing was installed"):
        realm.answer()
    assert not (realm.node / "current").is_symlink()
