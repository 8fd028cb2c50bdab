"""Declared inputs meet forward's parameters: by name, by position, never by guess."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import ModelLoadError
from edgekit.load.call import call_of, tensor_of
from edgekit.types.spec import TensorSpec

A, B = TensorSpec("a", (1, 2)), TensorSpec("b", (1, 3))


class Net(nn.Module):
    def forward(self, a: Tensor, b: Tensor, c: Tensor | None = None, *, d: Tensor | None = None) -> Tensor:
        return a


class Variadic(nn.Module):
    def forward(self, *tensors: Tensor) -> Tensor:
        return tensors[0]


def test_names_are_matched_whatever_their_order() -> None:
    call = call_of(Net(), (B, A))
    assert [spec.name for spec in call.specs] == ["a", "b"]
    assert [tuple(tensor.shape) for tensor in call.args] == [(1, 2), (1, 3)]  # type: ignore[attr-defined]


def test_a_gap_in_the_parameters_is_bridged_by_keywords() -> None:
    call = call_of(Net(), (A, B, TensorSpec("d", (4,), "int64")))
    assert len(call.args) == 2
    assert list(call.kwargs) == ["d"]
    assert call.kwargs["d"].dtype == torch.int64  # type: ignore[attr-defined]


def test_foreign_names_go_by_position_and_stay() -> None:
    call = call_of(Net(), (TensorSpec("x", (1, 2)), TensorSpec("y", (1, 3))))
    assert [spec.name for spec in call.specs] == ["x", "y"]
    assert len(call_of(Variadic(), (A, B)).args) == 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), r"does not say what shape its input has; forward takes \(a, b, c, d\)"),
        ((A,), "no shape was given for input b"),
        ((A, TensorSpec("z", (1,))), r"forward has no parameter z; it takes \(a, b, c, d\)"),
        ((TensorSpec("z", (1,)),), r"takes \(a, b, c, d\), but 1 input\(s\) were given: z:1:float32"),
        ((A, A), "two inputs have the same name"),
        ((A, TensorSpec("b", (1,), "text")), "torch does not know: 'text'"),
    ],
)
def test_inputs_that_do_not_fit(inputs: tuple[TensorSpec, ...], message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        call_of(Net(), inputs)


def test_values_are_seeded_and_leave_torch_alone() -> None:
    state = torch.random.get_rng_state()
    first, second = (tensor_of(A, seed=3) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, tensor_of(A, seed=4))
    assert set(tensor_of(TensorSpec("i", (100,), "int32"), seed=0).tolist()) == {0, 1}
    assert tensor_of(TensorSpec("m", (9,), "bool"), seed=0).dtype == torch.bool
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("shape", [(1, 2**45), (2**40, 2**40)])
def test_an_input_larger_than_the_memory_is_refused_with_its_size(shape: tuple[int, ...]) -> None:
    for dtype in ("float32", "int64"):
        with pytest.raises(ModelLoadError, match=rf"input x:{shape[0]}x{shape[1]}:{dtype}, \d+ bytes") as caught:
            tensor_of(TensorSpec("x", shape, dtype), seed=0)
        assert "batch of 1" in caught.value.hint
