"""ZooNet: what the shared scripts have to know of a net, and where its files lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from edgekit.types.recipe import Recipe
from models.data import Split
from models.training import Schedule

ROOT = Path(__file__).resolve().parent


@dataclass(frozen=True)
class ZooNet:
    """One net of the zoo.

    Attributes:
        name: Its folder in `models/`.
        build: Gives the module without weights.
        data: Gives its pictures.
        schedule: How it is trained.
        tuning: How it is trained on after pruning, with the float net as teacher.
    """

    name: str
    build: Callable[[], nn.Module]
    data: Callable[[], Split]
    schedule: Schedule
    tuning: Schedule

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return ROOT / self.name

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.folder / "weights.safetensors"

    @property
    def pruned(self) -> Path:
        """The weights and the plan of the pruned net."""
        return self.folder / "pruned.safetensors"

    @property
    def recipe(self) -> Recipe:
        """How it is compressed; paths as seen from here."""
        return Recipe.from_file(self.folder / "recipe.toml")

    def load(self) -> nn.Module:
        """The trained module, in eval mode; every tensor has to fit."""
        module = self.build()
        module.load_state_dict(load_file(self.weights), strict=True)
        return module.eval()
