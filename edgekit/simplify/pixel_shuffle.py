"""Recognizes DepthToSpace and SpaceToDepth written out as Reshape, Transpose, Reshape."""

from __future__ import annotations

from edgekit.simplify.editor import Editor
from edgekit.simplify.layout_merging import MOVES, as_move, chain_up
from edgekit.simplify.movement_algebra import Move, Shape, shortest
from edgekit.types.graph import Graph


def find_pixel_shuffle(graph: Graph) -> Graph:
    """Put DepthToSpace and SpaceToDepth in the place of movement that equals them.

    Rules:
        1. (N, C, H, W) to (N, C / b^2, b H, b W) as DepthToSpace does in mode CRD (torch's PixelShuffle) or DCR.
        2. (N, C, b H, b W) to (N, b^2 C, H, W) as SpaceToDepth does. torch's PixelUnshuffle orders channels
           differently unless C is 1; it stays Reshape and Transpose.
    """
    editor = Editor(graph)
    for node in editor.each(*MOVES):
        chain = chain_up(editor, node.outputs[0], shared=False)
        if len(chain) < 3:
            continue
        source = chain[0].inputs[0]
        before, after = editor.shape(source), editor.shape(node.outputs[0])
        if len(before) != 4 or len(after) != 4 or before[0] != after[0]:
            continue
        done = shortest(before, [as_move(item) for item in chain])
        for op, attributes, moves in _candidates(before, after):
            if done is not None and shortest(before, moves) == done:
                editor.substitute(node, editor.add(op, [source], like=node, attributes=attributes, shape=after))
                break
    return editor.graph()


def _candidates(before: Shape, after: Shape) -> list[tuple[str, dict[str, int | str], list[Move]]]:
    batch, channels, height, width = before
    _, out_channels, out_height, out_width = after
    if out_height % height == 0 and out_height > height:
        block = out_height // height
        if (out_channels * block**2, height * block, width * block) != (channels, out_height, out_width):
            return []
        rows = {
            "CRD": ((batch, out_channels, block, block, height, width), (0, 1, 4, 2, 5, 3)),
            "DCR": ((batch, block, block, out_channels, height, width), (0, 3, 4, 1, 5, 2)),
        }
        return [
            (
                "DepthToSpace",
                {"blocksize": block, "mode": mode},
                [Move("Reshape", middle), Move("Transpose", perm), Move("Reshape", after)],
            )
            for mode, (middle, perm) in rows.items()
        ]
    if out_height and height % out_height == 0 and height > out_height:
        block = height // out_height
        if (channels * block**2, out_height * block, out_width * block) != (out_channels, height, width):
            return []
        middle = (batch, channels, out_height, block, out_width, block)
        moves = [Move("Reshape", middle), Move("Transpose", (0, 3, 5, 1, 2, 4)), Move("Reshape", after)]
        return [("SpaceToDepth", {"blocksize": block}, moves)]
    return []
