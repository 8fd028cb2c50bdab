"""The folder that hostile commands run in, and what refusing one means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli.app import run
from tests.attacks.command import QUICK, Refuse, Refused, save_onnx, tree


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder a command runs in: `net.onnx` and 16 samples for it in `x.npz`."""
    monkeypatch.chdir(tmp_path)
    save_onnx(tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(1).normal(size=(16, 4)).astype(np.float32))
    return tmp_path


@pytest.fixture
def refuse(place: Path, capfd: pytest.CaptureFixture[str]) -> Refuse:
    """Runs a command that must fail with `code`, in one error, without touching the folder."""

    def check(*words: object, code: int = 2, out: object = "out") -> Refused:
        before = tree(place)
        capfd.readouterr()
        found = run(["compress", *map(str, words), "--out", str(out), "--json", "--quiet", *QUICK])
        printed = capfd.readouterr()
        assert found == code, printed.err
        assert printed.err.count("error: ") == 1
        assert "Traceback" not in printed.err
        refused = Refused(found, printed.err, json.loads(printed.out))
        assert refused.error["exit_code"] == code
        assert refused.error["message"]
        assert tree(place) == before
        return refused

    return check
