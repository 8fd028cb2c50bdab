"""What the teacher said is found again by the sample alone; what is damaged, cut or foreign is asked for again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.training.batches import Batch, read_batch
from edgekit.training.teacher_cache import TeacherCache, sample_digests

Net = Callable[..., nn.Sequential]


class Desk:
    """A cache with its teacher, and how often that was asked."""

    def __init__(self, folder: Path, teacher: nn.Module) -> None:
        self.teacher = teacher.eval()
        self.cache = TeacherCache(folder, teacher)
        self.asked = 0

    def said(self, inputs: Tensor) -> Tensor:
        batch = read_batch(inputs)
        return self.cache.said(batch, lambda: self._ask(batch))

    def _ask(self, batch: Batch) -> Tensor:
        self.asked += 1
        with torch.no_grad():
            result: Tensor = self.teacher(batch.first)
        return result


@pytest.fixture
def inputs() -> Tensor:
    return torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_it_answers_for_the_same_samples_in_any_order_and_in_a_later_run(
    net: Net, inputs: Tensor, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, net(4))
    first = desk.said(inputs)
    again = desk.said(inputs.flip(0))
    assert torch.equal(again, first.flip(0))
    later = Desk(tmp_path, desk.teacher)
    assert torch.equal(later.said(inputs[2:4]), first[2:4])
    assert (desk.asked, later.asked, later.cache.hits) == (1, 0, 2)


def test_what_was_said_in_another_precision_is_not_found(net: Net, inputs: Tensor, tmp_path: Path) -> None:
    desk = Desk(tmp_path, net(4))
    desk.said(inputs)
    assert TeacherCache(tmp_path, desk.teacher).folder == desk.cache.folder
    assert TeacherCache(tmp_path, desk.teacher, precision="bf16").folder != desk.cache.folder


def test_other_samples_and_other_teachers_are_asked_for(net: Net, inputs: Tensor, tmp_path: Path) -> None:
    desk = Desk(tmp_path, net(4))
    desk.said(inputs)
    desk.said(inputs + 1e-6)
    other = Desk(tmp_path, net(4, seed=2))
    other.said(inputs)
    assert (desk.asked, other.asked) == (2, 1)


@pytest.mark.parametrize("damage", ["row", "cut rows", "cut records", "shape", "hostile shape"])
def test_damage_is_seen_and_mended(net: Net, inputs: Tensor, tmp_path: Path, damage: str) -> None:
    desk = Desk(tmp_path, net(4))
    expected = desk.said(inputs)
    rows, records, shape = (desk.cache.folder / name for name in ("outputs.f32", "records", "shape.json"))
    if damage == "row":
        data = bytearray(rows.read_bytes())
        data[5] ^= 64
        rows.write_bytes(data)
    elif damage == "cut rows":
        rows.write_bytes(rows.read_bytes()[:-7])
    elif damage == "cut records":
        records.write_bytes(records.read_bytes()[:-7])
    else:
        shape.write_text("[4" if damage == "shape" else "[-1, 4000000000]")
    mended = Desk(tmp_path, desk.teacher)
    assert torch.equal(mended.said(inputs), expected)
    assert mended.asked == 1
    assert torch.equal(mended.said(inputs), expected)
    assert torch.equal(Desk(tmp_path, desk.teacher).said(inputs), expected)
    assert mended.asked == 1


def test_a_digest_is_of_everything_a_sample_is_made_of() -> None:
    sample = torch.zeros(1, 4)
    kinds = [
        read_batch(sample),
        read_batch(sample.view(1, 2, 2)),
        read_batch(sample.int()),
        read_batch({"x": sample}),
        read_batch(((sample, sample), None)),
        read_batch(sample + 1),
    ]
    assert len({sample_digests(batch)[0] for batch in kinds}) == len(kinds)


def test_several_outputs_are_refused(inputs: Tensor, tmp_path: Path) -> None:
    cache = TeacherCache(tmp_path, nn.Identity())
    with pytest.raises(InputError, match="one output with one row a sample"):
        cache.said(read_batch(inputs), lambda: (inputs, inputs))
