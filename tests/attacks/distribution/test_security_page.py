"""docs/security.md: its tables name the attacks that are there, all of them; its commands bring a channel back."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest

from edgekit import errors
from edgekit.channel.client import follow
from edgekit.cli.app import run
from edgekit.publish.records import read_records
from edgekit.seal.key_files import read_private, read_public
from edgekit.seal.tuf_signer import tuf_key
from edgekit.transport.file import FileTransport
from tests.bundle.building import build
from tests.cli.channel_desk import INIT, PUBLISH, Desk, make_desk

HERE = Path(__file__).parent
PAGE = (HERE.parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
NAMED_ELSEWHERE = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
STEPS = re.compile(r"^\*\*([^*]+)\*\*(?:(?!\n\n).)*\n\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def names_in(path: Path) -> set[str]:
    """Names of the tests of a file."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def functions() -> set[tuple[str, str]]:
    """File and name of every test of this folder."""
    return {(path.name, name) for path in HERE.glob("test_*.py") for name in names_in(path)}


def test_every_attack_is_in_the_table_and_every_line_is_a_test() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) == len(set(named)), "a test is named twice"
    assert set(named) - functions() == set()
    assert {test for test in functions() - set(named) if test[0] != Path(__file__).name} == set()


def test_every_error_in_the_table_is_one_of_ours() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if "::test_" in line or "| the same |" in line]
    named = {name for row in rows for name in re.findall(r"`(\w+Error)`", row[3])}
    assert len(named) >= 15
    for name in named:
        assert issubclass(getattr(errors, name), errors.EdgekitError), name


def test_other_places_that_are_named_are_there() -> None:
    for path in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (HERE.parents[2] / path).exists(), path
    elsewhere = NAMED_ELSEWHERE.findall(PAGE)
    assert len(elsewhere) >= 50
    for path, name in elsewhere:
        assert name in names_in(HERE.parents[2] / path), f"{path}::{name}"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """The channel that the page speaks of, with a release."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEKIT_PASSPHRASE", "a passphrase")
    made = make_desk(tmp_path, capsys)
    made.run(INIT)
    made.run(f"publish {made.bundle(1)} {PUBLISH} --signer publisher.pub")
    return made


@pytest.mark.parametrize(("title", "text"), STEPS.findall(PAGE), ids=[title for title, _ in STEPS.findall(PAGE)])
def test_the_way_back_is_as_written(desk: Desk, title: str, text: str) -> None:
    """Packing is left out: it takes a compressed model, and tests/cli/test_pack.py runs it."""
    place, trust = FileTransport(Path("channel")), Path("trust")
    first = Path("channel/metadata/1.root.json").read_bytes()
    before = follow("vision/lite0", [place], trust, root=first)
    for line in text.splitlines():
        words = shlex.split(line)
        assert words[0] == "edgekit"
        if words[1] == "pack":
            build(desk.folder / "files", read_private(Path("publisher-2.key"), lambda: b"a passphrase"),
                  name="vision/lite0", version=2, semver="2.0.0", variants=1)  # fmt: skip
            shutil.move("files/net.edgekit", "M-2.edgekit")
            continue
        if words[1] == "publish" and not Path("M-2.edgekit").exists():
            shutil.move(desk.bundle(2), "M-2.edgekit")
        assert run(words[1:]) == 0, desk.capture.readouterr().err
    records = read_records(place, trust=first)
    listed = {**records.root.keys, **records.targets.delegations.keys}  # type: ignore[union-attr]
    for name in re.findall(r"--remove (\S+)", text):
        assert tuf_key(read_public(Path(name))).keyid not in listed
    for name in re.findall(r"--add (\S+)", text):
        assert tuf_key(read_public(Path(name))).keyid in listed
    found = follow("vision/lite0", [place], trust)
    assert found.versions != before.versions
    if "publish" in text:
        assert (found.notice.version, found.notice.oldest) == (2, 2)
        assert len(found.notice.signers) == 1
        assert found.notice.signers[0] == read_public(Path(re.findall(r"--signer (\S+)", text)[0])).pem


def test_all_five_ways_back_are_found() -> None:
    assert [title for title, _ in STEPS.findall(PAGE)] == [
        "The online key.", "The family's keys.", "The keys of targets.", "A root key.", "The publisher's key.",
    ]  # fmt: skip
