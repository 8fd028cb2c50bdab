"""Which operator of a .tflite file an event of LiteRT's profiler belongs to.

The interpreter numbers its operators as the file does. XNNPACK numbers its own: it builds them in the file's order,
merges some away (a padding into its convolution) and adds some. So the two lists are laid side by side, and only what
fits in one way gets a name.
"""

from __future__ import annotations

import re

from edgekit.agent.litert_library import DELEGATED, OPERATOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.agent.litert_library import Event, Node

_UNARY = (8, 14, 28, 47, 59, 66, 73, 75, 76, 92, 98, 101, 104, 108, 111, 116, 117, 150)
MADE_OF = {
    "Abs": (101,),
    "Add": (0,),
    "ApproxGELU": (150,),
    "Average Pooling": (1,),
    "Bankders Rounding": (116,),  # spelt so
    "Batch Matrix Multiply": (126,),
    "Ceiling": (104,),
    "Clamp": (1, 17, 19, 20, 21, 152),
    "Constant Pad": (34, 60),
    "Convert": (6, 53, 114),
    "Convolution": (3, 4),
    "Copy": (2, 22, 49, 102),
    "Cosine": (108,),
    "Deconvolution": (67,),
    "Depth To Space": (5,),
    "Divide": (42,),
    "Dynamic Fully Connected": (9, 126),
    "ELU": (111,),
    "Exp": (47,),
    "Floor": (8,),
    "Fully Connected": (3, 9, 126),
    "GELU": (150,),
    "HardSwish": (117,),
    "Invalid Unary Op": _UNARY,  # XNNPACK's word for one that it reads from a table
    "LeakyReLU": (98,),
    "Log": (73,),
    "Max Pooling": (17,),
    "Maximum": (55,),
    "Mean": (40,),
    "Mean Squared": (40,),
    "Minimum": (57,),
    "Multiply": (18,),
    "Negate": (59,),
    "PReLU": (54,),
    "Power": (78,),
    "Reciprocal Square Root": (76,),
    "Reduce Max": (82,),
    "Reduce Min": (89,),
    "Resize Bilinear": (23,),
    "Sigmoid": (14,),
    "Sine": (66,),
    "Slice": (45, 49, 65, 102),
    "Softmax": (25,),
    "Space To Depth": (26,),
    "Square": (92,),
    "Square Root": (75,),
    "Squared Difference": (99,),
    "Static Expand Dims": (70,),
    "Static Reshape": (22, 43, 70),
    "Subtract": (41,),
    "Sum": (74,),
    "TanH": (28,),
    "Transpose": (39,),
    "Unary Elementwise": _UNARY,
}
"""XNNPACK's operator -> numbers of the builtin operators it is made of (schema.fbs)."""
_MODEL_NAME = re.compile(r"/[A-Z][^/]*$")
"""How a name ends that comes from the model: `module/Op`. Others are the emitter's own."""
_WEIGHT = ".weight"


def node_names(events: Sequence[Event], nodes: Sequence[Node]) -> list[str]:
    """A name for every event of one inference.

    Args:
        events: In the order of execution.
        nodes: Operators of the file.

    Returns:
        The operator's output tensor, or the node that its weight is named after where that tensor has no name of the
        model; where no operator can be told, what the runtime calls it and its number.
    """
    names = [f"{event.tag} {event.node}" for event in events]
    outside = {event.node for event in events if event.kind == OPERATOR}
    for position, event in enumerate(events):
        if event.kind == OPERATOR and event.node < len(nodes):
            names[position] = _name(nodes[event.node])
    groups, taken = _groups(events), partitions(nodes, outside)
    if len(groups) == len(taken):
        for group, partition in zip(groups, taken):
            heads = [events[position].tag.split(" (")[0] for position in group]
            codes = [nodes[number].code for number in partition]
            for first, second in certain_pairs(heads, codes):
                names[group[first]] = _name(nodes[partition[second]])
    return names


def certain_pairs(heads: Sequence[str], codes: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of the longest common sequence that is the same read from either end.

    Args:
        heads: XNNPACK's operators.
        codes: Builtin operators.

    Returns:
        (place among the heads, place among the codes), rising.
    """
    early = _common(heads, codes)
    late = _common(heads[::-1], codes[::-1])
    turned = {(len(heads) - 1 - first, len(codes) - 1 - second) for first, second in late}
    return [pair for pair in early if pair in turned]


def _common(heads: Sequence[str], codes: Sequence[int]) -> list[tuple[int, int]]:
    """A longest common sequence, each pair as early as it can be."""
    best = [[0] * (len(codes) + 1) for _ in range(len(heads) + 1)]
    for first in range(len(heads) - 1, -1, -1):
        made_of = MADE_OF.get(heads[first], ())
        for second in range(len(codes) - 1, -1, -1):
            fits = codes[second] in made_of
            best[first][second] = (
                1 + best[first + 1][second + 1] if fits else max(best[first + 1][second], best[first][second + 1])
            )
    pairs: list[tuple[int, int]] = []
    first = second = 0
    while first < len(heads) and second < len(codes):
        if codes[second] in MADE_OF.get(heads[first], ()):
            pairs.append((first, second))
            first, second = first + 1, second + 1
        elif best[first + 1][second] >= best[first][second + 1]:
            first += 1
        else:
            second += 1
    return pairs


def _groups(events: Sequence[Event]) -> list[list[int]]:
    """Places of the events of each delegate: their numbers begin anew with every one."""
    groups: list[list[int]] = []
    before = -1
    for position, event in enumerate(events):
        if event.kind != DELEGATED:
            before = -1
            continue
        if before < 0 or event.node <= before:
            groups.append([])
        groups[-1].append(position)
        before = event.node
    return groups


def partitions(nodes: Sequence[Node], outside: set[int]) -> list[list[int]]:
    """Numbers of the operators in each delegate, in the order of execution; empty when the file makes no sense.

    TFLite's own rule (graph_info.cc): as long as there are operators, take in the file's order all of the kind of the
    first one whose inputs are there.

    Args:
        nodes: Operators of the file.
        outside: Numbers of those that no delegate has.
    """
    missing = {tensor for node in nodes for tensor in node.outputs}
    waiting = list(range(len(nodes)))
    found: list[list[int]] = []
    while waiting:
        taken: list[int] = []
        for number in waiting:
            alike = not taken or (number in outside) == (taken[0] in outside)
            if alike and missing.isdisjoint(nodes[number].inputs):
                taken.append(number)
                missing -= set(nodes[number].outputs)
        if not taken:
            return []
        if taken[0] not in outside:
            found.append(taken)
        waiting = [number for number in waiting if number not in taken]
    return found


def _name(node: Node) -> str:
    name = next(iter(node.outputs.values()), "")
    weights = [given[: -len(_WEIGHT)] for given in node.inputs.values() if given.endswith(_WEIGHT)]
    return weights[0] if weights and not _MODEL_NAME.search(name) else name
