"""docs/node.md: its commands work from top to bottom, and its units are what systemd understands."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgekit.cli.app import run
from edgekit.emit.exporter import emit
from tests.agent.profiled import net
from tests.interop.parts import lack
from tests.node.real_bundle import content
from tests.node.scene import Publisher
from tests.node.variants import INPUTS

PAGE = (Path(__file__).parents[2] / "docs" / "node.md").read_text(encoding="utf-8")
UNITS = re.findall(r"^```ini\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_works_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    emit(net(side=16, channels=8), tmp_path / "model" / "net.onnx", format="onnx-int8", metadata={})
    publisher = Publisher(tmp_path)
    publisher.put(content(tmp_path / "model", 1))
    shutil.copy(publisher.folder / "metadata" / "1.root.json", tmp_path / "root.json")
    shutil.copy(tmp_path / "model" / INPUTS, tmp_path / "inputs.npz")
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^\$ edgekit (.+)$", PAGE, re.MULTILINE)
    assert len(lines) == 7
    for line in lines:
        assert run(line.split()) == 0, capsys.readouterr().err
    assert (tmp_path / "outputs.npz").is_file()


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units of the page as files; the program that they start is one that is there."""
    if not shutil.which("systemd-analyze"):
        lack("systemd-analyze", "apt install systemd")
    for name, text in UNITS:
        (tmp_path / name).write_text(text.replace("/opt/edgekit/bin/edgekit", "/bin/true"))
    return tmp_path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_systemd_understands_the_units(units: Path) -> None:
    assert [name for name, _ in UNITS] == ["edgekit-node.service", "edgekit-node.timer", "edgekit-seed.service"]
    done = analyze("verify", "--man=no", *(str(units / name) for name, _ in UNITS))
    told = [line for line in done.stderr.splitlines() if "edgekit-" in line]
    assert told == []


def test_the_services_are_hardened(units: Path) -> None:
    """That of the seed with the lines that the page says are its own too."""
    lines = re.search(
        r"^Nice=.*^SystemCallErrorNumber=\w+$", dict(UNITS)["edgekit-node.service"], re.MULTILINE | re.DOTALL
    )
    assert lines
    seed = units / "edgekit-seed.service"
    seed.write_text(seed.read_text().replace("\n[Install]", f"{lines[0]}\n\n[Install]"))
    for name in ("edgekit-node.service", "edgekit-seed.service"):
        done = analyze("security", "--offline=yes", "--no-pager", "--threshold=20", str(units / name))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "OK" in done.stdout
