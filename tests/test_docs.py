"""README and docs tell the truth: their Python runs, their `edgekit` commands work, their links and lists hold.

The blocks of one page share a folder and run in order. A block whose first line is a comment with a file name
(`# net.py`) is written to that file too. Of the console blocks the lines `$ edgekit ...` are run; what installs or
builds is not.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.confirm.confirmation import SYSTEMS
from tests.interop.parts import stock_program

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")
FILE_NAME = re.compile(r"# ([\w.-]+\.\w+)\n")

PRELUDE = """
import torch
from net import build
module = build()
loader = [torch.rand(4, 3, 32, 32) for _ in range(4)]
"""
"""What a reader of the README already has: a trained module and data for it."""


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.language == "console":
            yield from (
                line[2:].partition("  #")[0].strip() for line in block.text.splitlines() if line.startswith("$ ")
            )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few photographs: smooth random colours, so that neither file nor lint finds them odd."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(24):
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((48, 48), Image.Resampling.BICUBIC).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def desk(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages take for granted: `net.py`, `photos/`."""
    quickstart = blocks(ROOT / "docs" / "quickstart.md")
    net = next(block.text for block in quickstart if block.text.startswith("# net.py\n"))
    (tmp_path / "net.py").write_text(net)
    (tmp_path / "photos").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@contextmanager
def fresh_module(name: str) -> Iterator[None]:
    """Forget a module of the reader's own afterwards."""
    try:
        yield
    finally:
        sys.modules.pop(name, None)


def perform(page: Path, desk: Path) -> int:
    """Run a page from top to bottom; how many blocks did something."""
    names: dict[str, object] = {}
    done = 0
    for block in blocks(page):
        name = FILE_NAME.match(block.text)
        if name:
            (desk / name[1]).write_text(block.text)
        if block.language == "python":
            exec(compile(block.text, f"{page.name}, a block", "exec"), names)
            done += 1
        elif block.language == "console":
            for line in block.text.splitlines():
                if line.startswith("$ edgekit "):
                    enter(line[2:])
                    done += 1
    return done


def enter(line: str) -> None:
    """A command line as typed, in this process: the words after a `>` go to a file."""
    from edgekit.cli.app import run

    words = shlex.split(line)
    target = Path(words[words.index(">") + 1]) if ">" in words else Path("stdout.txt")
    words = words[: words.index(">")] if ">" in words else words
    with target.open("w") as stream, redirect_stdout(stream):
        code = run(words[1:])
    assert code == 0, f"{line}: exit code {code}"


def test_the_quickstart_works_from_top_to_bottom(desk: Path) -> None:
    with fresh_module("net"):
        assert perform(ROOT / "docs" / "quickstart.md", desk) >= 8
    assert (desk / "edgekit-out" / "model.int8.tflite").stat().st_size > 0
    assert (desk / "artifacts" / "report.md").stat().st_size > 0


def test_the_page_on_accuracy_works_from_top_to_bottom(desk: Path) -> None:
    with fresh_module("train"):
        assert perform(ROOT / "docs" / "accuracy.md", desk) >= 6


def test_the_page_on_distillation_works_from_top_to_bottom(desk: Path) -> None:
    assert perform(ROOT / "docs" / "distillation.md", desk) >= 4
    assert list((desk / "run1").glob("step-*.safetensors"))


def test_the_page_on_pruning_works_from_top_to_bottom(desk: Path) -> None:
    assert perform(ROOT / "docs" / "pruning.md", desk) >= 4
    assert (desk / "net.safetensors").is_file()


def test_the_page_on_qat_works_from_top_to_bottom(desk: Path) -> None:
    with fresh_module("net"):
        assert perform(ROOT / "docs" / "qat.md", desk) >= 2
    assert (desk / "trained" / "model.int8.tflite").is_file()


def test_the_page_on_training_works_from_top_to_bottom(desk: Path) -> None:
    with fresh_module("net"), fresh_module("data"):
        exec('import torch\nfrom net import build\ntorch.save(build().state_dict(), "weights.pt")', {})
        assert perform(ROOT / "docs" / "training.md", desk) >= 4
    assert (desk / "edgekit-out" / "model.int8.tflite").is_file()


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*`isinstance.treespec, LeafSpec.` is deprecated.*")
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning")
@pytest.mark.filterwarnings("ignore:The number of training batches.*")
def test_the_page_on_callbacks_works_from_top_to_bottom(desk: Path) -> None:
    with fresh_module("net"):
        assert perform(ROOT / "docs" / "callbacks.md", desk) == 3
    assert (desk / "artifacts" / "model.int8.tflite").is_file()


def test_the_page_on_the_zoo_works_from_top_to_bottom(desk: Path) -> None:
    assert perform(ROOT / "docs" / "zoo.md", desk) == 3
    assert (desk / "demo-out" / "resnet8" / "model.int8.tflite").stat().st_size > 0


def test_the_page_on_measuring_works_from_top_to_bottom(desk: Path) -> None:
    assert perform(ROOT / "docs" / "bench.md", desk) >= 4
    assert (desk / "edgekit-bench" / "index.html").is_file()
    assert (desk / "from-python" / "report.json").is_file()


def test_the_python_of_the_pages_on_devices_ci_and_reports_runs(desk: Path) -> None:
    for page in ("devices.md", "ci.md", "bench-report.md"):
        texts = [block.text for block in blocks(ROOT / "docs" / page) if block.language == "python"]
        assert texts, page
        names: dict[str, object] = {}
        for text in texts:
            exec(compile(text, f"{page}, a block", "exec"), names)


def test_the_readme_and_the_page_of_files_work(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = [block.text for block in blocks(ROOT / "README.md") if block.language == "python"]
    page = [block.text for block in blocks(ROOT / "docs" / "artifacts.md") if block.language == "python"]
    assert readme
    assert page
    with fresh_module("net"):
        names: dict[str, object] = {}
        exec(PRELUDE, names)
        exec('torch.export.save(torch.export.export(module, (torch.rand(1, 3, 32, 32),)), "model.pt2")', names)
        enter(next(line for line in commands(ROOT / "README.md") if line.startswith("edgekit compress")))
        for text in (*readme, *page):
            exec(text, names)
        for line in commands(ROOT / "docs" / "artifacts.md"):
            enter(line)
    assert (desk / "artifacts" / "recipe.toml").exists()
    assert "[0.0]" in capsys.readouterr().out


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's section on bundles and channels was typed from top to bottom."""
    folder = tmp_path_factory.mktemp("hand-out")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("EDGEKIT_PASSPHRASE", "of the reader's own")
        for line in section(ROOT / "README.md", "Hand it out"):
            if line.startswith("edgekit "):
                enter(line)
    return folder


def section(page: Path, heading: str) -> list[str]:
    """The command lines below one heading."""
    text = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [
        line[2:]
        for block in BLOCK.findall(text)
        if block[0] == "console"
        for line in block[1].splitlines()
        if line.startswith("$ ")
    ]


def test_the_readme_takes_a_demo_to_a_node(handed_out: Path) -> None:
    status = (handed_out / "stdout.txt").read_text()
    assert "demo/resnet8" in status
    assert re.search(r"^runs +1\.0\.0 \(version 1, ", status, re.MULTILINE), status


def test_the_table_of_the_readme_is_what_verify_prints(handed_out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for digests, numbers and days, and for the rows that are left out there."""
    monkeypatch.chdir(handed_out)
    line = next(line for line in section(ROOT / "README.md", "Hand it out") if " --all " in line)
    enter(f"{line} > table.txt")
    printed = [shape(row) for row in (handed_out / "table.txt").read_text().splitlines()]
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = page.partition(f"$ {line}\n```\n\n```\n")[2].partition("\n```\n")[0].splitlines()
    assert len(shown) > 20
    for row in shown:
        assert row in ("", "...") or shape(row) in printed, row
    assert [row for row in shown if row in SYSTEMS.values()] == list(SYSTEMS.values())


def shape(row: str) -> str:
    """A row without what differs from run to run."""
    return re.sub(r"\b[0-9a-f]{8}(\.\.\.|[0-9a-f]{56}\b)|\bbaf[a-z2-7]{5}(\.\.\.|[a-z2-7]{51}\b)|\d+", "*", row)


def test_the_page_on_sharing_goes_on_from_the_readme(
    handed_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = tmp_path / "desk"
    shutil.copytree(handed_out, desk, symlinks=True)
    monkeypatch.chdir(desk)
    assert perform(ROOT / "docs" / "sharing.md", desk) == 5
    assert (desk / "shared" / "resnet8.car").is_file()
    assert (desk / "fetched.bin").stat().st_size == 11_000


def test_the_stock_tool_accepts_what_the_readme_packed(handed_out: Path) -> None:
    line = next(line for line in section(ROOT / "README.md", "Hand it out") if line.startswith("model_signing "))
    stock, *words = shlex.split(line)
    subprocess.run([stock_program(stock), *words], cwd=handed_out, check=True)


def test_the_page_on_packing_works_from_top_to_bottom(desk: Path) -> None:
    assert perform(ROOT / "docs" / "pack.md", desk) >= 5


def test_every_command_named_anywhere_exists() -> None:
    from edgekit.cli.app import VERBS

    for page in PAGES:
        for line in commands(page):
            words = shlex.split(line)
            if words[0] == "edgekit":
                assert words[1] in VERBS, f"{page.name}: {line}"
            elif words[0] == "make":
                targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
                assert words[1] in targets, f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_list_of_operators_is_current() -> None:
    from edgekit.cli.operators import markdown, table

    assert (ROOT / "docs" / "operators.md").read_text(encoding="utf-8") == markdown(table()), "run: make docs"


def test_the_page_of_files_names_every_format() -> None:
    from edgekit.types.recipe import FILES

    page = (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8")
    for name in FILES.values():
        assert f"`{name}`" in page


def test_no_page_names_an_installation_of_another_package() -> None:
    for page in PAGES:
        assert not re.search(r"pip install '?edgekit(?!-ml)", page.read_text(encoding="utf-8")), page.name
