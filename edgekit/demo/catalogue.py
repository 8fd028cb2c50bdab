"""The nets that `edgekit demo NAME` knows, and where their files lie. Needs no torch, so a shell can complete names."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import InputError

LITE0 = "efficientnet-lite0"
"""Shown when no name is given; its weights and photographs come with other packages."""


@dataclass(frozen=True)
class DemoNet:
    """A net of the demo.

    Attributes:
        name: As typed.
        text: One line on what it is.
        folder: Of `models/`.
    """

    name: str
    text: str
    folder: str


NETS = (
    DemoNet(
        LITE0, "ImageNet classifier of 4.7 M parameters, on photographs; what `edgekit demo` runs", "efficientnet_lite0"
    ),
    DemoNet("resnet8", "image classifier of MLPerf Tiny, 78 k parameters, on handwritten digits of 28x28", "resnet8"),
    DemoNet("dscnn", "depthwise separable convolutions, 22 k parameters, on handwritten digits of 28x28", "dscnn"),
    DemoNet("tiny-vit", "vision transformer, 58 k parameters, on handwritten digits of 8x8", "tiny_vit"),
)


def find_net(name: str) -> DemoNet:
    """The net of that name.

    Raises:
        InputError: There is none; the hint has the names.
    """
    names = [net.name for net in NETS]
    if name in names:
        return NETS[names.index(name)]
    close = difflib.get_close_matches(name.lower().replace("_", "-"), names, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise InputError(f"the demo has no net called '{name}'", hint=f"{meant}known: {', '.join(names)}")


def zoo_folder(net: DemoNet) -> Path:
    """Folder with the recipe and weights of a net: in an installed package beside this file, else in the checkout.

    Raises:
        InputError: Neither has it.
    """
    here = Path(__file__).resolve().parent
    for root in (here / "models", here.parents[1] / "models"):
        if (root / net.folder / "recipe.toml").is_file():
            return root / net.folder
    raise InputError(
        f"the files of {net.name} are missing: no models/{net.folder} in {here} or {here.parents[1]}",
        hint="install the package anew, or run from a whole checkout",
    )
