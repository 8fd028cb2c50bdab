"""A small trained image classifier in every form a training script leaves: what a new user comes with."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgekit.cli.app import run

CODE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 12, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
            nn.Conv2d(12, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        )
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(16, 4)

    def forward(self, image):
        return self.head(self.dropout(self.features(image).mean((2, 3))))


def build():
    return Net()
"""
QUICK = ("--set", "check.seconds=0.2")
"""The check is as long as a test can bear, not as precise as a user wants."""

_QUADRANTS = ((0, 0), (0, 8), (8, 0), (8, 8))
_counter = itertools.count()


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one bright quadrant, float32 (count, 3, 16, 16), and which quadrant it is."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    images = random.normal(0, 0.5, (count, 3, 16, 16)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        row, column = _QUADRANTS[label]
        image[label % 3, row : row + 8, column : column + 8] += 1.5 if label < 3 else -1.5
    return images, labels


@dataclass(frozen=True)
class Project:
    """A folder with `net.py`, weights, exports and data.

    Attributes:
        root: The folder.
        module: The trained network, in eval mode.
    """

    root: Path
    module: nn.Module

    def path(self, name: str) -> str:
        return str(self.root / name)

    def logits(self, images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            result: Tensor = self.module(torch.from_numpy(images))
        return result.numpy()

    def new(self, stem: str = "out") -> Path:
        """A folder that does not exist yet."""
        return self.root / "runs" / f"{stem}{next(_counter)}"


def make_project(root: Path) -> Project:
    (root / "runs").mkdir()
    (root / "net.py").write_text(CODE)
    spec = importlib.util.spec_from_file_location("trained_net", root / "net.py")
    assert spec is not None
    assert spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    torch.manual_seed(0)
    module: nn.Module = code.build()
    images, labels = (torch.from_numpy(array) for array in pictures(256, 1))
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(images), labels).backward()
        optimizer.step()
    module.eval()
    torch.save(module.state_dict(), root / "weights.pt")
    save_file(module.state_dict(), root / "weights.safetensors")
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (images[:2],), dynamic_shapes=({0: batch},))
    torch.export.save(program, root / "net.pt2")
    torch.jit.save(torch.jit.script(module), root / "script.pt")
    images_, _ = pictures(40, 2)
    np.savez(root / "x.npz", image=images_)
    images_, labels_ = pictures(120, 3)
    np.savez(root / "labelled.npz", image=images_, label=labels_)
    return Project(root, module)


def compress(*words: object) -> int:
    """`edgekit compress WORDS` in this process, quiet; returns the exit code."""
    return run(["compress", *map(str, words), *QUICK, "--quiet"])
