"""The page on explanations is true: its network collapses, the layer is named, and both repairs work."""

from __future__ import annotations

import sys

import pytest

from tests.test_docs import ROOT, blocks

PAGE = ROOT / "docs" / "explanation.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the page's blocks define, after all of them ran in a folder of their own."""
    folder = tmp_path_factory.mktemp("explanation")
    defined: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        for block in blocks(PAGE):
            if block.text.startswith("# loud.py\n"):
                (folder / "loud.py").write_text(block.text)
            elif block.language == "python":
                exec(compile(block.text, PAGE.name, "exec"), defined)
    sys.modules.pop("loud", None)
    return defined | {"folder": folder}


def sqnr(report):
    return {str(entry.artifact.format): entry.signal.sqnr_db for entry in report.check.artifacts if entry.signal}


def test_the_collapse_is_diagnosed(names):
    report = names["collapsed"]
    assert max(sqnr(report).values()) < 5.0
    (finding,) = [found for found in report.all_findings if found.code == "low-sqnr-layer"]
    assert finding.where == "4 (Conv)"
    assert "2 (Conv) hands it most channels in few steps" in finding.message
    loud = next(layer for layer in report.check.layers if layer.label == "2 (Conv)")
    assert loud.channel_spread > 500
    assert loud.sqnr_db > 30
    assert "equalizing the channels" in loud.causes[0]
    assert "equalizing the channels" in (names["folder"] / "collapsed" / "report.md").read_text()


def test_equalization_repairs_it_in_int8(names):
    report = names["balanced"]
    assert min(sqnr(report).values()) > 30.0
    assert not report.model.islands
    assert {step.rung for step in report.ladder.steps if step.kept} >= {"base", "equalization"}


def test_two_layers_in_float_repair_it_too(names):
    report = names["limited"]
    assert min(sqnr(report).values()) > 25.0
    assert {label for label, _ in report.model.islands} == {"2 (Conv)", "4 (Conv)"}
    assert report.judgements
    assert not report.missed
    text = (names["folder"] / "limited" / "report.md").read_text()
    assert "## Budget" in text
    assert "2 of 7 nodes to float" in text
    assert text.count("op-left-float") == 1
