from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.simplify.movement_algebra import Move, cost, shortest

SHAPES = st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=5).map(tuple)


def regrouped(draw, shape):
    """Another shape of the same size: each axis cut into factors, then neighbours joined at random."""
    factors = [
        factor for size in shape for factor in ([2, size // 2] if size in (4, 6) and draw(st.booleans()) else [size])
    ]
    joined = [1]
    for factor in factors:
        if draw(st.booleans()):
            joined.append(factor)
        else:
            joined[-1] *= factor
    if draw(st.booleans()):
        joined = [size for size in joined if size != 1] or [1]
    return tuple(joined)


@st.composite
def chains(draw):
    shape = start = draw(SHAPES)
    moves = []
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            moves.append(Move("Transpose", tuple(draw(st.permutations(range(len(shape)))))))
        else:
            moves.append(Move("Reshape", regrouped(draw, shape)))
        shape = moves[-1].result(shape)
    return start, moves


def applied(array, moves):
    for move in moves:
        array = array.reshape(move.values) if move.op == "Reshape" else array.transpose(move.values)
    return array


@given(chains())
def test_law_the_shortest_chain_does_the_same(chain):
    shape, moves = chain
    found = shortest(shape, moves)
    if found is None:  # 6 cut into 2 x 3 where it came from 3 x 2
        assert {move.op for move in moves} == {"Reshape", "Transpose"}
        return
    array = np.arange(prod(shape)).reshape(shape)
    expected = applied(array, moves)
    assert applied(array, found).shape == expected.shape
    np.testing.assert_array_equal(applied(array, found), expected)
    assert cost(found)[0] <= min(1, sum(move.op == "Transpose" for move in moves))
    assert len(found) <= 3


@pytest.mark.parametrize(
    ("shape", "moves", "expected"),
    [
        ((2, 3, 5), [Move("Reshape", (6, 5)), Move("Reshape", (2, 3, 5))], []),
        ((2, 3, 5), [Move("Transpose", (0, 2, 1)), Move("Transpose", (0, 2, 1))], []),
        ((1, 3, 5), [Move("Transpose", (1, 0, 2))], [Move("Reshape", (3, 1, 5))]),
        ((7, 3, 5), [Move("Transpose", (1, 0, 2))], [Move("Transpose", (1, 0, 2))]),
        (
            (7, 10, 16),  # heads of an attention that was sequence first
            [
                Move("Transpose", (1, 0, 2)),
                Move("Reshape", (10, 28, 4)),
                Move("Transpose", (1, 0, 2)),
                Move("Reshape", (7, 4, 10, 4)),
            ],
            [Move("Reshape", (7, 10, 4, 4)), Move("Transpose", (0, 2, 1, 3))],
        ),
        (
            (7, 8, 3, 3),  # channel shuffle stays
            [Move("Reshape", (7, 2, 4, 3, 3)), Move("Transpose", (0, 2, 1, 3, 4)), Move("Reshape", (7, 8, 3, 3))],
            [Move("Reshape", (7, 2, 4, 3, 3)), Move("Transpose", (0, 2, 1, 3, 4)), Move("Reshape", (7, 8, 3, 3))],
        ),
    ],
)
def test_known_chains(shape, moves, expected):
    assert shortest(shape, moves) == expected


def test_sizes_without_a_common_factor_are_left_alone():
    moves = [Move("Transpose", (1, 0)), Move("Reshape", (2, 3))]
    assert shortest((3, 2), [*moves, Move("Reshape", (6,))]) is not None
    assert shortest((4, 9), [Move("Transpose", (1, 0)), Move("Reshape", (6, 6))]) is None
