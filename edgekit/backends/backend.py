"""What a backend is, and the table of them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edgekit.plugins import Family
from edgekit.types.graph import Graph
from edgekit.types.imported import Imported
from edgekit.types.progress import Progress
from edgekit.types.recipe import QuantizeSettings
from edgekit.types.samples import Samples


class Backend(Protocol):
    """Quantizes the float model with another tool. Others are entry points of the group "edgekit.backends"."""

    def __call__(
        self,
        graph: Graph,
        float_file: Path,
        samples: Samples,
        *,
        settings: QuantizeSettings,
        seed: int,
        workdir: Path,
        progress: Progress,
    ) -> Imported:
        """Decide scales and integers.

        Args:
            graph: The simplified float graph.
            float_file: The same model as an ONNX file; its tensors have the graph's names.
            samples: To calibrate with.
            settings: How the user wants it; `effort` "thorough" may search.
            seed: Of every random choice.
            workdir: For temporary files.
            progress: Who watches.

        Returns:
            QParams by the names of the graph, for `impose`.

        Raises:
            MissingExtraError: The tool is not installed.
            RecipeError: A setting that the tool does not have.
            ShrinkError: The tool failed.
        """
        ...


BACKENDS: Family[Backend] = Family(
    "edgekit.backends",
    {
        "onnxruntime": "edgekit.backends.onnxruntime_static:calibrate",
        "neural-compressor": "edgekit.backends.neural_compressor:calibrate",
    },
)
"""Beside "edgekit", which is no backend but the accuracy ladder."""
