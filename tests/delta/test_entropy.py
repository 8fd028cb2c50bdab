"""rANS in lanes: what is written is read, close to its entropy, and every other stream is refused or differs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.delta.entropy import Coder, Decoder, Encoder, Frequencies, pack_bits, packed_bytes, unpack_bits
from edgekit.errors import MalformedError
from edgekit.types.qparams import Array

WIDTH, CONTEXTS = 5, 3


def run(coder: Coder, count: int, lanes: int) -> Array:
    """Contexts that follow from the place; learning as it goes."""
    frequencies, found = Frequencies(np.full((CONTEXTS, WIDTH), 96)), []
    for start in range(0, count, lanes):
        contexts = np.arange(start, min(start + lanes, count)) % CONTEXTS
        symbols = coder.step(frequencies.tables(contexts))
        frequencies.learn(contexts, symbols)
        found.append(symbols)
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def coded(symbols: Array, lanes: int, cargo: bytes) -> bytes:
    coder = Encoder(symbols, lanes)
    run(coder, len(symbols), lanes)
    return coder.finish(cargo)


@given(st.lists(st.integers(0, WIDTH - 1), max_size=400), st.integers(1, 17), st.randoms(use_true_random=False))
def test_law_what_is_written_is_read_and_so_is_the_cargo(symbols: list[int], lanes: int, random: object) -> None:
    cargo = random.randbytes(2 * lanes)  # type: ignore[attr-defined]
    stream = coded(np.array(symbols, np.int64), lanes, cargo)
    decoder = Decoder(memoryview(stream), lanes)
    assert run(decoder, len(symbols), lanes).tolist() == symbols
    assert decoder.finish() == cargo


def test_it_comes_close_to_the_entropy() -> None:
    share = np.array([0.9, 0.06, 0.02, 0.015, 0.005])
    symbols = np.random.default_rng(0).choice(WIDTH, 200_000, p=share)
    entropy = -(share * np.log2(share)).sum() * len(symbols) / 8
    assert len(coded(symbols, 64, bytes(128))) < 1.01 * entropy + 4 * 64


def test_cargo_costs_nothing() -> None:
    symbols = np.random.default_rng(0).choice(WIDTH, 50_000)
    plain = len(coded(symbols, 256, bytes(512)))
    loaded = len(coded(symbols, 256, np.random.default_rng(1).bytes(512)))
    assert loaded - plain < 100


@settings(max_examples=40)
@given(st.integers(0, 2**16), st.integers(0, 7))
def test_a_flipped_bit_gives_other_symbols_another_cargo_or_an_error(place: int, bit: int) -> None:
    symbols = np.random.default_rng(2).integers(0, WIDTH, 900)
    stream = bytearray(coded(symbols, 8, bytes(16)))
    stream[place % len(stream)] ^= 1 << bit
    try:
        decoder = Decoder(memoryview(bytes(stream)), 8)
        found = run(decoder, 900, 8)
        assert found.tolist() != symbols.tolist() or decoder.finish() != bytes(16)
    except MalformedError:
        pass


def read(stream: bytes) -> bytes:
    decoder = Decoder(memoryview(stream), 8)
    run(decoder, 900, 8)
    return decoder.finish()


@pytest.mark.parametrize(
    "change", [lambda data: data[:-2], lambda data: data[:-1], lambda data: data + b"\0\0", lambda _: b""]
)
def test_a_stream_of_another_length_is_refused(change: object) -> None:
    symbols = np.random.default_rng(2).integers(0, WIDTH, 900)
    stream = change(coded(symbols, 8, bytes(16)))  # type: ignore[operator]
    with pytest.raises(MalformedError):
        read(stream)


@given(st.lists(st.tuples(st.integers(0, 2**33 - 1), st.integers(0, 33)), max_size=60))
def test_law_bits_are_unpacked_as_they_were_packed(pairs: list[tuple[int, int]]) -> None:
    widths = np.array([width for _, width in pairs], np.int64)
    values = np.array([value & (1 << width) - 1 for value, width in pairs], np.int64)
    data = pack_bits(values, widths)
    assert len(data) == packed_bytes(widths)
    assert unpack_bits(memoryview(data), widths).tolist() == values.tolist()
