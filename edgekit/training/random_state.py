"""Random states of torch, numpy and Python as tensors: put back after a run, kept in checkpoints without pickle."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

_WORDS = 624
"""Of the Mersenne Twister, which numpy and Python share."""


def capture() -> dict[str, Tensor]:
    """The states of all global generators of this process; their key says whose."""
    _, words, place, has_gauss, gauss = np.random.get_state(legacy=True)
    version, python, held = random.getstate()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": torch.tensor([*np.asarray(words).tolist(), int(place), int(has_gauss)], dtype=torch.int64),
        "numpy.gauss": torch.tensor([float(gauss)], dtype=torch.float64),
        "python": torch.tensor([version, *python], dtype=torch.int64),
        "python.gauss": torch.tensor([0.0 if held is None else 1.0, held or 0.0], dtype=torch.float64),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore(states: Mapping[str, Tensor]) -> None:
    """Put captured states back."""
    torch.set_rng_state(states["torch"])
    *words, place, has_gauss = (int(value) for value in states["numpy"])
    gauss = float(states["numpy.gauss"])
    np.random.set_state(("MT19937", np.array(words, np.uint32), place, has_gauss, gauss))
    version, *python = (int(value) for value in states["python"])
    held, value = (float(one) for one in states["python.gauss"])
    random.setstate((version, tuple(python), value if held else None))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def seed_everything(*words: int) -> None:
    """Seed all global generators from a few integers, for example (seed, epoch, rank)."""
    state = mixed(*words)
    torch.manual_seed(state)
    np.random.seed(state)
    random.seed(state)


def mixed(*words: int) -> int:
    """One seed, in 32 bits, from a few integers; neighbours give seeds that have nothing in common."""
    return int(np.random.SeedSequence(words).generate_state(1, np.uint32)[0])


@contextmanager
def own_randomness() -> Iterator[None]:
    """Whatever the block does to the generators, afterwards they are as before."""
    before = capture()
    try:
        yield
    finally:
        restore(before)
