"""edgekit: a trained torch model made small, fast and provable on the devices people own.

    import edgekit

    result = edgekit.compress("model.pt2", calibration="photos/", preprocessing="imagenet")
    print(result.files)

Names are imported when they are first used, so that `import edgekit` costs nothing and the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edgekit.version import __version__ as __version__

if TYPE_CHECKING:
    from edgekit.errors import EdgekitError
    from edgekit.pipeline import compress
    from edgekit.shrink.pruning.batchnorm import reestimate_batchnorm
    from edgekit.shrink.pruning.masks import Sparsity, sparsify
    from edgekit.shrink.pruning.plan import PruningPlan
    from edgekit.shrink.pruning.pruned import Pruned
    from edgekit.shrink.qat.module import QatModule
    from edgekit.training.distilling import distill
    from edgekit.training.fit import finetune
    from edgekit.training.outcome import TrainingResult
    from edgekit.training.pruning import load_pruned, prune
    from edgekit.training.quantization_aware import finish_qat, prepare_qat
    from edgekit.training.settings import Distillation, TrainingSettings
    from edgekit.types.finding import Finding
    from edgekit.types.preprocessing import Preprocessing
    from edgekit.types.progress import Progress
    from edgekit.types.recipe import Recipe
    from edgekit.types.result import CompressResult
    from edgekit.types.samples import Samples
    from edgekit.types.spec import TensorSpec

__all__ = [
    "CompressResult",
    "Distillation",
    "EdgekitError",
    "Finding",
    "Preprocessing",
    "Progress",
    "Pruned",
    "PruningPlan",
    "QatModule",
    "Recipe",
    "Samples",
    "Sparsity",
    "TensorSpec",
    "TrainingResult",
    "TrainingSettings",
    "compress",
    "distill",
    "finetune",
    "finish_qat",
    "load_pruned",
    "prepare_qat",
    "prune",
    "reestimate_batchnorm",
    "sparsify",
]

_MODULES = {
    "CompressResult": "edgekit.types.result",
    "Distillation": "edgekit.training.settings",
    "EdgekitError": "edgekit.errors",
    "Finding": "edgekit.types.finding",
    "Preprocessing": "edgekit.types.preprocessing",
    "Progress": "edgekit.types.progress",
    "Pruned": "edgekit.shrink.pruning.pruned",
    "PruningPlan": "edgekit.shrink.pruning.plan",
    "QatModule": "edgekit.shrink.qat.module",
    "Recipe": "edgekit.types.recipe",
    "Samples": "edgekit.types.samples",
    "Sparsity": "edgekit.shrink.pruning.masks",
    "TensorSpec": "edgekit.types.spec",
    "TrainingResult": "edgekit.training.outcome",
    "TrainingSettings": "edgekit.training.settings",
    "compress": "edgekit.pipeline",
    "distill": "edgekit.training.distilling",
    "finetune": "edgekit.training.fit",
    "finish_qat": "edgekit.training.quantization_aware",
    "load_pruned": "edgekit.training.pruning",
    "prepare_qat": "edgekit.training.quantization_aware",
    "prune": "edgekit.training.pruning",
    "reestimate_batchnorm": "edgekit.shrink.pruning.batchnorm",
    "sparsify": "edgekit.shrink.pruning.masks",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'edgekit' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
