"""A second implementation of the codec `residual`, written from docs/formats.md: nothing of edgekit is imported.

It is slow, and takes what it reads to be well-formed: what must be refused is tested elsewhere.
"""

from __future__ import annotations

import lzma
import math
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import gcd

FLOATS, PRODUCTS, WEIGHTS, BIASES = range(4)
COLUMNS = (
    ("new", "old", "count", "old_count", "map"),
    ("new", "count", "factor", "floats"),
    ("new", "old", "outer", "rows", "inner", "old_outer", "old_rows", "old_inner", "first_row", "row_map",
     "column_map", "scales", "new_scales", "old_scales", "has_rows", "has_columns"),
    ("new", "old", "count", "old_count", "map", "new_input", "old_input", "scales", "new_scales", "old_scales",
     "weights"),
)  # fmt: skip
Row = dict[str, int]


class Numbers:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def folded(self) -> int:
        return unfold(self.number())


def unfold(value: int) -> int:
    return -(value + 1) // 2 if value % 2 else value // 2


def unpack(data: bytes, size: int) -> bytes:
    found = lzma.decompress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**22}])
    assert len(found) == size
    return found


@dataclass
class Plan:
    maps: list[list[int]]
    tables: list[list[Row]]

    def chosen(self, number: int, first: int, count: int) -> Sequence[int]:
        return self.maps[number - 1][first : first + count] if number else range(first, first + count)


def read_plan(data: bytes) -> Plan:
    numbers = Numbers(data)
    maps = []
    for _ in range(numbers.number()):
        length = numbers.number()
        maps.append(list(accumulate((numbers.folded() + 1 for _ in range(length)), initial=-1))[1:])
    tables = []
    for names in COLUMNS:
        rows = numbers.number()
        columns = [list(accumulate(numbers.folded() for _ in range(rows))) for _ in names]
        tables.append([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
    assert numbers.at == len(data)
    return Plan(maps, tables)


class Frequencies:
    def __init__(self, start: dict[int, list[int]]) -> None:
        self.counts, self.steps = start, 0
        self.tables = {context: self.table(f) for context, f in start.items()}

    @staticmethod
    def table(f: list[int]) -> list[int]:
        return [before * (32768 - len(f)) // sum(f) + i for i, before in enumerate(accumulate(f, initial=0))]

    def learn(self, seen: Sequence[tuple[int, int]]) -> None:
        for context, symbol in seen:
            self.counts[context][symbol] += 96
        self.steps += 1
        if self.steps < 32 or self.steps % 4 == 0:
            self.tables = {context: self.table(f) for context, f in self.counts.items()}


class Stream:
    def __init__(self, data: bytes, lanes: int) -> None:
        self.states = list(struct.unpack_from(f"<{lanes}I", data))
        self.words = iter(struct.unpack(f"<{(len(data) - 4 * lanes) // 2}H", data[4 * lanes :]))

    def symbol(self, lane: int, table: list[int]) -> int:
        x = self.states[lane]
        slot = x % 2**15
        symbol = next(i for i in range(len(table) - 1) if table[i] <= slot < table[i + 1])
        x = (table[symbol + 1] - table[symbol]) * (x >> 15) + slot - table[symbol]
        self.states[lane] = x << 16 | next(self.words) if x < 2**16 else x
        return symbol

    def cargo(self) -> bytes:
        assert next(self.words, None) is None
        return b"".join(struct.pack("<H", state - 2**16) for state in self.states)


class Bits:
    def __init__(self, data: bytes) -> None:
        self.bits, self.at = int.from_bytes(data, "little"), 0

    def take(self, count: int) -> int:
        found = self.bits >> self.at & (1 << count) - 1
        self.at += count
        return found

    def fill(self) -> None:
        self.at = -(-self.at // 8) * 8


def spread(n: int) -> list[int]:
    s = n * 2654435769 >> 32 | 1
    while gcd(s, n) != 1:
        s += 2
    return [i * s % n for i in range(n)]


def read_integers(data: bytes, lengths: list[int]) -> list[list[int]]:
    n = sum(lengths)
    if not n:
        return [[] for _ in lengths]
    length = int.from_bytes(data[:4], "little")
    lanes = min(1024, max(1, n // 512))
    stream, bits = Stream(data[4 : 4 + length], lanes), Bits(data[4 + length :])
    start = {
        context: [max(1, 512 >> min(9, abs(2 * each - context) // 2)) for each in range(34)] for context in range(68)
    }
    frequencies = Frequencies(start)
    array_of = [index for index, count in enumerate(lengths) for _ in range(count)]
    totals, seen, total, count = defaultdict(int), defaultdict(int), 16, 4
    classes, order = [0] * n, spread(n)
    for begin in range(0, n, lanes):
        found = []
        usual = 2 * total // count
        for lane, place in enumerate(order[begin : begin + lanes]):
            array = array_of[place]
            context = min(67, (4 * totals[array] + 2 * usual) // (2 * seen[array] + 2))
            found.append((array, context, stream.symbol(lane, frequencies.tables[context])))
            classes[place] = found[-1][2]
        frequencies.learn([(context, symbol) for _, context, symbol in found])
        for array, _, symbol in found:
            totals[array] += symbol
            seen[array] += 1
            total, count = total + symbol, count + 1
    stream.cargo()
    values = iter([unfold(1 << each - 1 | bits.take(each - 1)) if each else 0 for each in classes])
    return [[next(values) for _ in range(length)] for length in lengths]


def float32s(data: bytes, at: int, count: int) -> list[float]:
    return list(struct.unpack_from(f"<{count}f", data, at))


def quotient(one: float, other: float) -> float:
    found = one / other if other else math.inf
    return found if math.isfinite(found) and found > 0 else 1.0


def cut(value: float, low: int, high: int) -> int:
    return min(max(round(value), low), high)


def expected_rows(span: Row, plan: Plan, old: bytes, new: bytes) -> list[int]:
    if not span["scales"]:
        return [1024] * span["rows"]
    before = float32s(old, span["old_scales"], 1 if span["scales"] == 1 else span["old_rows"])
    after = float32s(new, span["new_scales"], span["scales"])
    before = (
        before
        if span["scales"] == 1
        else [before[i] for i in plan.chosen(span["row_map"], span["first_row"], span["rows"])]
    )
    ratios = [cut(quotient(was, now) * 1024, 0, 16383) for was, now in zip(before, after, strict=True)]
    return ratios * span["rows"] if span["scales"] == 1 else ratios


def starts() -> dict[int, list[int]]:
    found = {}
    for b in range(30):
        z = max(3277, (64 * (2 + (b & 1))) << (b >> 1))
        q = (16 * z << 16) // (16 * z + 65536)
        powers = [2**30]
        for _ in range(16 * (4 + 2**7)):
            powers.append(powers[-1] * q >> 16)
        for fraction in range(8):
            near = [(s + 1) // 2 if s % 2 else -(s // 2) for s in range(9)]
            w = [powers[abs(16 * e - fraction)] for e in near]
            w += [powers[16 * (4 + 2**o)] << o + 1 for o in range(8)]
            found[8 * b + fraction] = [960 * each // sum(w) + 1 for each in w]
    return found


def predictions(span: Row, plan: Plan, old: bytes, rows: list[int], columns: list[int]) -> Iterator[int]:
    of_rows = plan.chosen(span["row_map"], span["first_row"], span["rows"])
    of_columns = plan.chosen(span["column_map"], 0, span["outer"] * span["inner"])
    for outer in range(span["outer"]):
        for row in range(span["rows"]):
            for inner in range(span["inner"]):
                column = outer * span["inner"] + inner
                was_outer, was_inner = divmod(of_columns[column], span["old_inner"])
                place = (was_outer * span["old_rows"] + of_rows[row]) * span["old_inner"] + was_inner
                (weight,) = struct.unpack_from("<b", old, span["old"] + place)
                yield min(max((weight * rows[row] * columns[column] + 2048) >> 12, -32512), 32512)


def blocks(spans: list[Row]) -> Iterator[list[int]]:
    block, room = [], 2**21
    for index, span in enumerate(spans):
        count = span["outer"] * span["rows"] * span["inner"]
        if count > room:
            yield block
            block, room = [], 2**21
        block.append(index)
        room -= count
    if block:
        yield block


def decode_block(
    spans: list[Row], predicted: list[int], stream: Stream, lanes: int, frequencies: Frequencies
) -> list[int]:
    """Symbols of the weights of a block."""
    where, sizes = [], defaultdict(int)
    for number, span in enumerate(spans):
        for outer in range(span["outer"]):
            for row in range(span["rows"]):
                for inner in range(span["inner"]):
                    keys = (("s", number), ("r", number, row), ("c", number, outer * span["inner"] + inner))
                    where.append(keys)
                    for key in keys:
                        sizes[key] += 1
    n, sums = len(where), defaultdict(float)
    order, symbols = spread(n), [0] * len(where)
    for begin in range(0, n, lanes):
        k, found = begin / n, []
        for lane, place in enumerate(order[begin : begin + lanes]):
            of_span, of_row, of_column = where[place]
            t = (sums[of_span] + 0.3) / (sizes[of_span] * k + 1)
            g = (sums[of_row] + 16 * t) / (sizes[of_row] * k + 16)
            h = (sums[of_column] + 16 * t) / (sizes[of_column] * k + 16)
            (bits,) = struct.unpack("<q", struct.pack("<d", h * (g / t)))
            b = min(max((bits >> 51) - 2028, 0), 29)
            u = min(predicted[place] % 256, -predicted[place] % 256)
            context = 8 * b + min(7, 16 * u // 256)
            symbols[place] = stream.symbol(lane, frequencies.tables[context])
            found.append((place, context, symbols[place]))
        frequencies.learn([(context, symbol) for _, context, symbol in found])
        for place, _, symbol in found:
            for key in where[place]:
                sums[key] += (symbol + 1) // 2 if symbol < 9 else 4 + 2 ** (symbol - 9)
    return symbols


def to_weight(p: int, symbol: int, bits: Bits) -> int:
    r = (p + 128) >> 8
    d = 1 if p >= 256 * r else -1
    if symbol < 9:
        e = (symbol + 1) // 2 if symbol % 2 else -(symbol // 2)
    else:
        opened = bits.take(symbol - 8)
        e = 4 + 2 ** (symbol - 9) + (opened >> 1)
        e = -e if opened & 1 else e
    return (r + d * e) % 256


def decode_weights(
    plan: Plan, old: bytes, out: bytearray, parts: tuple[bytes, bytes], ratios: list[tuple[list[int], list[int]]]
) -> bytes:
    """Write the weights; the cargo."""
    spans, bits = plan.tables[WEIGHTS], Bits(parts[1])
    if not spans:
        return b""
    n = sum(span["outer"] * span["rows"] * span["inner"] for span in spans)
    lanes = min(4096, max(1, n // 2048))
    stream, frequencies = Stream(parts[0], lanes), Frequencies(starts())
    for block in blocks(spans):
        some = [spans[index] for index in block]
        predicted = [p for index in block for p in predictions(spans[index], plan, old, *ratios[index])]
        symbols = decode_block(some, predicted, stream, lanes, frequencies)
        values = bytes(to_weight(p, symbol, bits) for p, symbol in zip(predicted, symbols, strict=True))
        bits.fill()
        for span in some:
            count = span["outer"] * span["rows"] * span["inner"]
            out[span["new"] : span["new"] + count], values = values[:count], values[count:]
    return stream.cargo()


def fill(out: bytearray, old: bytes, holes: list[tuple[int, int]], rest: bytes) -> None:
    numbers = Numbers(rest)
    length = numbers.number()
    end = numbers.at + length
    new, far = end, 0
    place = 0
    for begin, stop in [*sorted(holes), (len(out), len(out))]:
        while place < begin:
            head = numbers.number()
            count = head // 2
            assert place + count <= begin
            if head % 2:
                far += numbers.folded()
                out[place : place + count] = old[place + far : place + far + count]
            else:
                out[place : place + count] = rest[new : new + count]
                new += count
            place += count
        place = stop
    assert numbers.at == end
    assert new == len(rest)


def predict_bias(bias: Row, plan: Plan, old: bytes, out: bytes, rows: list[int]) -> list[int]:
    chosen = plan.chosen(bias["map"], 0, bias["count"])
    was = struct.unpack_from(f"<{bias['old_count']}i", old, bias["old"])
    before = [was[index] for index in chosen]
    if not bias["new_input"]:
        return before
    (old_input,), (new_input,) = float32s(old, bias["old_input"], 1), float32s(out, bias["new_input"], 1)
    if bias["scales"]:
        one = bias["scales"] == 1
        old_scales = float32s(old, bias["old_scales"], 1 if one else bias["old_count"])
        new_scales = float32s(out, bias["new_scales"], bias["scales"])
        pairs = [(old_scales[0], new_scales[0])] * len(before) if one else [
            (old_scales[index], now) for index, now in zip(chosen, new_scales, strict=True)
        ]  # fmt: skip
        quotients = [quotient(old_input * then, new_input * now) for then, now in pairs]
    else:
        quotients = [quotient(old_input, new_input) * (ratio / 1024) for ratio in rows]
    return [cut(value * q, -(2**31), 2**31 - 1) for value, q in zip(before, quotients, strict=True)]


def apply(old: bytes, delta: bytes) -> bytes:
    """The new file."""
    assert delta[:4] == b"EKR1"
    numbers = Numbers(delta, 4)
    size, plan_size, *lengths, rest_packed, rest_size = (numbers.number() for _ in range(8))
    at, sections = numbers.at, []
    for length in lengths:
        sections.append(delta[at : at + length])
        at += length
    plan = read_plan(unpack(sections[0], plan_size))
    floats, products, weights, biases = plan.tables
    counts = [row["count"] for row in floats]
    for row in weights:
        counts += [row["rows"] * row["has_rows"], row["outer"] * row["inner"] * row["has_columns"]]
    integers = read_integers(sections[1], counts + [row["count"] for row in biases])
    out = bytearray(size)
    for row, told in zip(floats, integers, strict=False):
        before = struct.unpack_from(f"<{row['old_count']}I", old, row["old"])
        chosen = plan.chosen(row["map"], 0, row["count"])
        bits = [(before[index] + each) % 2**32 for index, each in zip(chosen, told, strict=True)]
        struct.pack_into(f"<{len(bits)}I", out, row["new"], *bits)
    ratios = []
    for number, row in enumerate(weights):
        of_rows, of_columns = integers[len(floats) + 2 * number], integers[len(floats) + 2 * number + 1]
        rows = expected_rows(row, plan, old, out)
        rows = [ratio + each for ratio, each in zip(rows, of_rows or [0] * len(rows), strict=True)]
        columns = [1024 + each for each in of_columns or [0] * (row["outer"] * row["inner"])]
        ratios.append(([min(max(r, 0), 16383) for r in rows], [min(max(c, 0), 16383) for c in columns]))
    cargo = decode_weights(plan, old, out, (sections[2], sections[3]), ratios)
    assert not any(cargo[rest_packed:])
    holes = [(row["new"], row["new"] + 4 * row["count"]) for row in (*floats, *products, *biases)]
    holes += [(row["new"], row["new"] + row["outer"] * row["rows"] * row["inner"]) for row in weights]
    fill(out, old, holes, unpack(cargo[:rest_packed] + delta[at:], rest_size))
    for row in products:
        (factor,) = float32s(out, row["factor"], 1)
        made = [each * factor for each in float32s(out, row["floats"], row["count"])]
        struct.pack_into(f"<{len(made)}f", out, row["new"], *made)
    for row, told in zip(biases, integers[len(integers) - len(biases) :], strict=True):
        rows = ratios[row["weights"]][0] if row["new_input"] and not row["scales"] else []
        made = [p + each for p, each in zip(predict_bias(row, plan, old, out, rows), told, strict=True)]
        struct.pack_into(f"<{len(made)}I", out, row["new"], *(each % 2**32 for each in made))
    return bytes(out)
