"""Another architecture makes the same bytes of a residual: an emulated 64-bit ARM processor, with its own numpy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekit.delta.residual import make_residual
from edgekit.portable.emulator import UserEmulator
from tests.delta.test_residual import kept_pair
from tests.portable.built import user_emulator

ROOT = Path(__file__).parents[2]
PROGRAM = """
import platform, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from edgekit.delta.residual import apply_residual
old, delta, out = map(Path, sys.argv[2:5])
out.write_bytes(apply_residual(old.read_bytes(), delta.read_bytes(), size_bytes=int(sys.argv[5])))
print(platform.machine())
"""


@pytest.fixture(scope="module")
def emulator() -> UserEmulator:
    return user_emulator()


@pytest.mark.parametrize("which", ["kept", "made here"])
def test_arm_makes_the_same_file(emulator: UserEmulator, which: str, tmp_path: Path) -> None:
    old, new = kept_pair()
    delta: bytes | None = (Path(__file__).parent / "kept.residual").read_bytes()
    if which == "made here":
        noisy = np.frombuffer(new, np.int8) + np.random.default_rng(0).choice((-1, 0, 0, 1), len(new))
        new = new[:1000] + noisy.astype(np.int8).tobytes()[1000:20_000] + new[20_000:]
        delta = make_residual(old, new)
    assert delta is not None
    for name, data in (("old", old), ("delta", delta), ("program.py", PROGRAM.encode())):
        (tmp_path / name).write_bytes(data)
    words = [*emulator.command("cortex-a72", emulator.runtime), str(tmp_path / "program.py"), str(ROOT)]
    words += [str(tmp_path / name) for name in ("old", "delta", "out")]
    done = subprocess.run([*words, str(len(new))], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "aarch64", done.stderr
    assert (tmp_path / "out").read_bytes() == new
