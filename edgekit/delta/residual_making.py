"""Making a residual: what is predicted from what, and the parts of the file.

Predictions are chosen by about how many bits they leave; there are few of them, so each is tried.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edgekit.delta.entropy import Encoder, pack_bits
from edgekit.delta.residual_draft import Draft
from edgekit.delta.residual_format import Parts, pack, write_parts
from edgekit.delta.residual_integers import write_integers
from edgekit.delta.residual_numbers import write_number
from edgekit.delta.residual_order import spread
from edgekit.delta.residual_plan import Plan, most_integers, write_plan
from edgekit.delta.residual_prediction import block, blocks_of, predict_weights
from edgekit.delta.residual_skeleton import write_skeleton
from edgekit.delta.residual_weights import WeightModel, lane_count, open_bits, to_symbols
from edgekit.delta.spans import pair_up, weights_of


@np.errstate(all="ignore")  # floats of a file may be anything
def make_residual(old: bytes, new: bytes) -> bytes | None:
    """The residual that makes `new` of `old`; None where most of the new int8 weights belong to no old ones.

    Args:
        old: An int8 .onnx or .tflite file.
        new: Another version of it.
    """
    pairs = pair_up(old, new)
    if not pairs:
        return None
    draft = Draft.of(pairs, old, new)
    plan = draft.plan
    beside = sum(one.count for one in weights_of(new).values()) - draft.weight_bytes
    overlap = any(end > begin for (_, end), (begin, _) in pairwise(plan.holes()))
    if overlap or 2 * beside > len(new) or sum(plan.lengths()) > most_integers(len(new)):
        return None
    rest = _rest(draft, plan)
    packed = pack(rest)
    symbols, bits, carried = _symbols(draft, plan, packed)
    return write_parts(
        Parts(
            size_bytes=len(new),
            plan=write_plan(plan),
            integers=memoryview(write_integers(draft.integers())),
            symbols=memoryview(symbols),
            bits=memoryview(bits),
            rest=memoryview(packed)[carried:],
            rest_bytes=len(packed),
            rest_unpacked=len(rest),
        )
    )


def _symbols(draft: Draft, plan: Plan, cargo: bytes) -> tuple[bytes, bytes, int]:
    """Stream of the weights' symbols, their open bits, and how many bytes of the cargo the lanes carry."""
    if not plan.weights:
        return b"", b"", 0
    lanes = lane_count(sum(span.count for span in plan.weights))
    coded, queue, bits = [], [], []
    for indices in blocks_of(plan.weights):
        spans = [plan.weights[index] for index in indices]
        ratios = [(draft.ratios[index].rows, draft.ratios[index].columns) for index in indices]
        predicted = [predict_weights(span, plan, draft.old, one) for span, one in zip(spans, ratios, strict=True)]
        coded.append(block(spans, predicted))
        values = np.concatenate([np.frombuffer(draft.new, np.int8, span.count, span.new) for span in spans])
        symbols, content = to_symbols(coded[-1].predicted, values)
        queue.append(symbols[spread(len(symbols))])
        bits.append(pack_bits(content, open_bits(symbols)))
    coder, model = Encoder(np.concatenate(queue), lanes), WeightModel()
    for one in coded:
        model.run(coder, one, lanes)
    carried = min(2 * lanes, len(cargo))
    return coder.finish(cargo[:carried].ljust(2 * lanes, b"\0")), b"".join(bits), carried


def _rest(draft: Draft, plan: Plan) -> bytes:
    """Copies and new bytes, with how long the instructions are before them."""
    weights = sorted((one.place, one.place + one.count) for one in weights_of(draft.old).values())
    instructions, literals = write_skeleton(draft.old, draft.new, holes=plan.holes(), unlike=weights, moved=draft.moved)
    out = bytearray()
    write_number(out, len(instructions))
    return bytes(out) + instructions + literals
