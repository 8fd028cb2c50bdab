"""A node that seeds is cut off: afterwards it gives out right bytes alone, and its slots are as they were.

At one step of a few in each run, for there are many: which ones, changes from run to run. The same for an update that
keeps proofs, and for a disk that is full.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgekit.node.disk import Disk
from edgekit.node.seeding import SeedPlan
from tests.node.failing_disks import (
    Counting,
    Journal,
    Tearing,
    after_power_cut,
    apply,
    as_items,
    be_full,
    by_chance,
    die,
)
from tests.node.neighbours import Window, documents, seeder, slot_digests
from tests.node.notary import Notary
from tests.node.scene import Scene

EVERY = 8
"""One step of so many is tried."""
PLAN = SeedPlan(keep_bytes=10**6, update_every_s=0.0)


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture
def scene(folder: Path) -> Scene:
    """A node that has seeded version 1, and runs version 2: of what it kept some has to go, and some to come."""
    scene = Scene(folder)
    scene.publisher.release(1, variants=2)
    scene.set_up()
    scene.update()
    seed(scene)
    scene.publisher.release(2, variants=2, seed=2)
    scene.update()
    return scene


def seed(scene: Scene) -> set[str]:
    """What a node that seeds does after an update, once; what it gives out then, each file hashed."""
    window = Window()
    made = seeder(scene, window, plan=PLAN)
    made.gather()
    made.giver.look()
    return set(window.blobs)


def wanted(scene: Scene) -> set[str]:
    """What it should give out in the end."""
    files = {file.sha256 for file in scene.publisher.built[2].draft.manifest.files}
    return files | documents(scene) | slot_digests(scene)


def slots(scene: Scene) -> dict[str, bytes]:
    return {
        str(path.relative_to(scene.path)): path.read_bytes() for path in scene.folder.slots.rglob("*") if path.is_file()
    }


def dies(work: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def steps_of(scene: Scene, work: Callable[[], object]) -> list[str]:
    scene.disk = Counting()
    work()
    return scene.disk.steps


def some(steps: list[str]) -> list[tuple[int, str]]:
    """Number and name of some of the steps, others in every run."""
    return list(enumerate(steps, start=1))[random.randrange(EVERY) :: EVERY]


def restore(scene: Scene, saved: Path) -> None:
    shutil.rmtree(scene.path)
    shutil.copytree(saved, scene.path, symlinks=True)


def check(scene: Scene, before: dict[str, bytes], where: str) -> None:
    """The node is well, and seeds as if nothing had been."""
    scene.disk = Disk()
    assert slots(scene) == before, where
    assert scene.version() == 2, where
    assert wanted(scene) <= seed(scene), where
    names = set(os.listdir(scene.path / "share" / "blobs"))
    assert names >= wanted(scene), where


@pytest.mark.parametrize("disk", [Counting, Tearing])
def test_killed_at_some_steps(scene: Scene, disk: type[Counting]) -> None:
    saved = scene.path.with_name("saved")
    shutil.copytree(scene.path, saved, symlinks=True)
    before = slots(scene)
    steps = steps_of(scene, lambda: seed(scene))
    assert len(steps) > 40
    for number, step in some(steps):
        restore(scene, saved)
        scene.disk = disk(number, die)
        assert dies(lambda: seed(scene)), f"{number}: {step}"
        check(scene, before, f"killed at {number}: {step}")


@pytest.mark.parametrize("survives", ["nothing", "names", "chance"])
def test_power_cut_at_some_steps(scene: Scene, survives: str, folder: Path) -> None:
    """What lies in `share/` after one may be anything: it is hashed before it is given out."""
    items, before = as_items(scene.path), slots(scene)
    journal = scene.disk = Journal(scene.path)
    seed(scene)
    whole = scene.path
    assert len(journal.log) > 40
    for number in range(0, len(journal.log) + 1, EVERY):
        left = folder / f"left-{number}"
        chance = by_chance(number)
        names = {"names": lambda: True, "chance": chance}.get(survives, lambda: False)
        after_power_cut(items, left, names=names, contents=chance if survives == "chance" else lambda: False)
        scene.path = left
        check(scene, before, f"cut off after {number}")
        shutil.rmtree(left)
        for entry in journal.log[number : number + EVERY]:
            apply(items, *entry)
    scene.path = whole


@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_disk_full_at_some_steps(scene: Scene, on: bool) -> None:
    """What cannot be kept is told; what can be given out is; the slots and the next update mind nothing."""
    saved = scene.path.with_name("saved")
    shutil.copytree(scene.path, saved, symlinks=True)
    before = slots(scene)
    steps = steps_of(scene, lambda: seed(scene))
    for number, step in some(steps):
        restore(scene, saved)
        scene.told.clear()
        scene.disk = Counting(number, be_full, on=on)
        window = Window()
        made = None
        try:
            made = seeder(scene, window, plan=PLAN)
            made.gather()
            made.giver.look()
        except OSError:
            pass
        else:
            assert any("No space left" in line for line in scene.told) or "join" in step, f"{number}: {step}"
        check(scene, before, f"full at {number}: {step}")


def test_an_update_with_a_policy_killed_at_some_steps(folder: Path) -> None:
    """What it keeps of the log is either there, or asked for again."""
    scene = Scene(folder)
    scene.publisher.release(1)
    scene.set_up()
    notary = Notary(scene.publisher.folder)
    notary.record(scene.publisher.built[1].path)
    notary.watch(scene.path, cosign=True)
    scene.update()
    notary.record(scene.publisher.release(2).path)
    saved = scene.path.with_name("saved")
    shutil.copytree(scene.path, saved, symlinks=True)
    steps = steps_of(scene, scene.update)
    assert [step for step in steps if "tlog-proof" in step]
    assert [step for step in steps if step.startswith("rename") and step.endswith(".checkpoint")]
    for number, step in some(steps):
        restore(scene, saved)
        scene.disk = Tearing(number, die)
        assert dies(scene.update), f"{number}: {step}"
        scene.disk = Disk()
        assert scene.version() in (1, 2), f"{number}: {step}"
        assert scene.update().running.version == scene.version() == 2, f"{number}: {step}"
        assert scene.receipts() == [("installed", 1), ("installed", 2)], f"{number}: {step}"
