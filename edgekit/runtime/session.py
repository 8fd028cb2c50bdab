"""Session: the one face every runtime shows. Arrays go in and come out in the model's own axis order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec


class Session(Protocol):
    """A loaded model that can be run many times.

    `inputs` and `outputs` describe the file's border in the model's axis order (a TFLite file that stores images
    channels-last still takes channels-first arrays here: the session transposes by `TensorSpec.permutation`).
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; stateless. Returns output name -> array, tapped inner tensors included."""
        ...
