"""Integers whose size is known roughly: what is left of biases, scales and factors after their prediction.

An integer is sent as its class, the number of bits of its magnitude with the sign as lowest bit, and the bits below the
highest one. How large the integers of an array are is learnt from those before: their order is spread over all arrays,
so that each is soon known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.delta.entropy import Coder, Decoder, Encoder, Frequencies, pack_bits, packed_bytes, unpack_bits
from edgekit.delta.residual_order import spread
from edgekit.errors import MalformedError
from edgekit.types.qparams import Array

_CLASSES = 34
"""0, and 1 to 33 bits: 32-bit differences with their sign."""
_HALVES = 2 * _CLASSES
_EXPECTED = 512
"""Weight of the expected class before any was seen."""
_A_LANE = 512
_MOST_LANES = 1024


def write_integers(arrays: Sequence[Array]) -> bytes:
    """Write arrays of int64 between -2**32 and 2**32 - 1; the reader has to know their lengths."""
    lengths = [len(array) for array in arrays]
    if not sum(lengths):
        return b""
    values = np.concatenate(arrays).astype(np.int64)
    folded = (values << 1) ^ (values >> 63)
    classes = _bit_length(folded)
    order = spread(len(values))
    coder = Encoder(classes[order], _lanes(len(values)))
    _model(coder, lengths)
    coded = coder.finish(bytes(2 * _lanes(len(values))))
    return len(coded).to_bytes(4, "little") + coded + pack_bits(folded, np.maximum(classes - 1, 0))


def read_integers(data: memoryview, lengths: Sequence[int]) -> list[Array]:
    """Read what `write_integers` wrote.

    Raises:
        MalformedError: It is something else.
    """
    if not sum(lengths):
        if len(data):
            raise MalformedError("integers where there should be none")
        return [np.zeros(0, np.int64) for _ in lengths]
    count = int.from_bytes(data[:4], "little")
    if len(data) < 4 + count:
        raise MalformedError("the integers of a residual are cut off")
    decoder = Decoder(data[4 : 4 + count], _lanes(sum(lengths)))
    classes = _model(decoder, lengths)
    decoder.finish()
    widths = np.maximum(classes - 1, 0)
    if len(data) - 4 - count != packed_bytes(widths):
        raise MalformedError("the bits of a residual's integers have another length")
    folded = unpack_bits(data[4 + count :], widths) | np.where(classes > 0, np.int64(1) << widths, 0)
    values = (folded >> 1) ^ -(folded & 1)
    return np.split(values, np.cumsum(lengths)[:-1])


def _model(coder: Coder, lengths: Sequence[int]) -> Array:
    """Code the classes of all integers; gives them in the order of the arrays."""
    count = sum(lengths)
    lanes = _lanes(count)
    array_of = np.repeat(np.arange(len(lengths)), lengths)
    order = spread(count)
    classes = np.zeros(count, np.int64)
    total, seen = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    frequencies = Frequencies(_expected())
    all_total, all_seen = 16, 4
    for start in range(0, count, lanes):
        chosen = order[start : start + lanes]
        arrays = array_of[chosen]
        usual = 2 * all_total // all_seen
        contexts = (4 * total[arrays] + 2 * usual) // (2 * seen[arrays] + 2)
        contexts = np.minimum(contexts, _HALVES - 1)
        symbols = coder.step(frequencies.tables(contexts))
        frequencies.learn(contexts, symbols)
        classes[chosen] = symbols
        total += np.bincount(arrays, symbols, len(lengths)).astype(np.int64)
        seen += np.bincount(arrays, minlength=len(lengths))
        all_total, all_seen = all_total + int(symbols.sum()), all_seen + len(symbols)
    return classes


def _expected() -> Array:
    """Start of the frequencies: each class away from the mean halves them. Context 2 m is a mean of m."""
    distance: Array = np.abs(2 * np.arange(_CLASSES)[None, :] - np.arange(_HALVES)[:, None]) // 2
    start: Array = np.maximum(_EXPECTED >> np.minimum(distance, 9), 1)
    return start


def _bit_length(values: Array) -> Array:
    """Bits of each, 0 for 0; exact, since they are below 2**53."""
    lengths: Array = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    return lengths


def _lanes(count: int) -> int:
    return max(1, min(_MOST_LANES, count // _A_LANE))
