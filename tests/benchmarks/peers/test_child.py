"""The measured process reads its own memory, not its parent's."""

import subprocess
import sys

import numpy as np

from benchmarks.peers.child import peak_mb

READ = "from benchmarks.peers.child import peak_mb; print(peak_mb())"


def test_a_child_of_a_large_parent_is_small() -> None:
    ballast = np.ones(40_000_000)
    own = peak_mb()
    child = float(subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True).stdout)
    assert own > ballast.nbytes / 1e6
    assert 5 < child < own - 200
