"""The pruning benchmark: both cuts reach what is asked, half of the images stay clean, the table is right."""

from __future__ import annotations

import pytest
import torch

from benchmarks import pruning


def test_half_of_a_batch_is_not_blended() -> None:
    torch.manual_seed(0)
    flat = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 3, 32, 32)
    found = pruning.half_blended(flat)
    assert found.shape == flat.shape
    assert torch.equal(found[:4], flat[:4]), "a constant image is the same shifted and mirrored"
    assert not torch.equal(found[4:], flat[4:])
    assert found[4:].min() >= 4, "blended with the other half alone"


def test_the_table_has_means_drops_and_the_judged_claim() -> None:
    runs = [
        {
            "kind": kind,
            "speedup": speedup,
            "seed": seed,
            "macs_share": 1 / speedup,
            "before": 70.0,
            "float": 84.0 + seed,
            "int8": {"onnx-x86": 83.9 + seed, "onnx-int8": 83.8 + seed, "tflite-int8": 83.7 + seed},
            "time_share": 0.6 if kind == pruning.OURS else 0.99,
        }
        for kind in (pruning.OURS, pruning.THEIRS)
        for speedup in pruning.SPEEDUPS
        for seed in (0, 1, 2)
    ]
    rows = pruning.tabulate(86.0, runs).splitlines()[2:]
    assert len(rows) == 4
    assert (
        rows[0]
        == "| edgekit, 1.5x | 1.50x | 70.00 ± 0.00 | 85.00 ± 1.00 | 1.00 ± 1.00 | +0.10 | +0.30 | 1.67x, holds |"
    )
    assert rows[3].endswith("| 1.01x, refused |")


@pytest.mark.data
@pytest.mark.parametrize("cut", [pruning.cut_by_edgekit, pruning.cut_by_torch_pruning])
def test_both_cuts_reach_the_speedup_and_overshoot_little(cut) -> None:  # type: ignore[no-untyped-def]
    net, share = cut(2.0)
    assert 0.44 < share <= 0.5
    assert net(pruning.example()).shape == (1, 10)
