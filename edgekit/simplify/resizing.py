"""Translates Resize and Upsample: result sizes instead of scales, three coordinate modes, nearest and linear."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, refusal
from edgekit.types.graph import Node

MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear"}


def resize(editor: Editor, node: Node) -> None:
    """Resize of the spatial axes.

    Rules:
        1. The static result shape gives the sizes. Scales that do not give it exactly are refused: the runtimes
           would work out other coordinates from sizes.
        2. pytorch_half_pixel is half_pixel where no result axis has size 1; half_pixel_symmetric is half_pixel;
           where every spatial result size is 1, pytorch_half_pixel reads coordinate 0, as asymmetric does.
        3. Opset 10 and Upsample are asymmetric; their nearest mode rounds down.
        4. Cubic, antialiased, cropping and extrapolating forms are refused.
    """
    shape, result = editor.shape(node.inputs[0]), editor.shape(node.outputs[0])
    mode = MODES.get(str(node.attributes.get("mode", "nearest")))
    if mode is None or node.attributes.get("antialias", 0):
        raise refusal(node, f"its mode is {node.attributes.get('mode')}{' antialiased' * bool(mode)}")
    if len(shape) not in (3, 4) or shape[:2] != result[:2]:
        raise refusal(node, f"it resizes {shape} to {result}; only the spatial axes can change")
    old = node.op == "Upsample" or int(node.attributes.get("opset", 20)) < 11
    coordinates = _coordinates(node, result, old=old)
    _check_scales(editor, node, shape, result, coordinates)
    nearest_mode = "floor" if old else str(node.attributes.get("nearest_mode", "round_prefer_floor"))
    attributes = {"sizes": result[2:], "mode": mode, "coordinates": coordinates, "nearest_mode": nearest_mode}
    editor.replace(node, op="Resize", inputs=node.inputs[:1], attributes=attributes)


def _coordinates(node: Node, result: tuple[int, ...], *, old: bool) -> str:
    asked = "asymmetric" if old else str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))
    if asked == "pytorch_half_pixel":
        if all(size == 1 for size in result[2:]):
            return "asymmetric"
        if any(size == 1 for size in result[2:]):
            raise refusal(node, f"pytorch_half_pixel to {result[2:]} mixes two coordinate modes")
        return "half_pixel"
    if asked == "half_pixel_symmetric":
        return "half_pixel"
    if asked not in ("half_pixel", "align_corners", "asymmetric"):
        raise refusal(node, f"its coordinates are {asked}")
    return asked


def _check_scales(
    editor: Editor, node: Node, shape: tuple[int, ...], result: tuple[int, ...], coordinates: str
) -> None:
    slot = 1 if node.op == "Upsample" or int(node.attributes.get("opset", 20)) < 11 else 2
    scales = editor.constant(node.inputs[slot]) if len(node.inputs) > slot and node.inputs[slot] else None
    given = node.attributes.get("scales") if scales is None else tuple(float(scale) for scale in scales)
    if not given or coordinates == "align_corners":
        return
    for size, wanted, scale in zip(
        shape[len(shape) - len(given) :], result[len(shape) - len(given) :], given, strict=True
    ):
        if abs(size * scale - wanted) > 1e-4 * wanted:
            raise refusal(node, f"scale {scale:g} of size {size} is not the whole number {wanted}")


TRANSLATIONS: Mapping[str, Translation] = {"Resize": resize, "Upsample": resize}
"""ONNX operator -> its translation."""
