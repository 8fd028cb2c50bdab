"""How sizes, times and shares are written for people: one way, everywhere."""

from __future__ import annotations

import re


def size(size_bytes: int) -> str:
    """Decimal units, as files are sold and flash is specified.

    >>> size(18_826_032), size(512), size(4_900)
    ('18.8 MB', '512 B', '4.9 kB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what is counted.

    Args:
        number: How many.
        one: What one of them is called.
        many: What several are called; "" adds an s.

    >>> counted(1, "entry", "entries"), counted(0, "entry", "entries"), counted(2, "file")
    ('1 entry', '0 entries', '2 files')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def parse_size(text: str) -> int:
    """Bytes of a size as people write it; kB, MB and GB are decimal, KiB, MiB and GiB binary.

    Raises:
        ValueError: Not a positive number with one of these units.

    >>> parse_size("5.2MB"), parse_size("800 kB"), parse_size("4MiB"), parse_size("4096")
    (5200000, 800000, 4194304, 4096)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKmMgG]?)(i?)[bB]?\s*", text)
    power = "kmg".index(found[2].lower()) + 1 if found and found[2] else 0
    if not found or (found[3] and not power) or float(found[1]) <= 0:
        raise ValueError(f"'{text}' is not a size")
    unit: int = (1024 if found[3] else 1000) ** power
    return round(float(found[1]) * unit)


def count(amount: float) -> str:
    """A large number of things, three digits.

    >>> count(40_813_184), count(272_474), count(87)
    ('40.8 M', '272 k', '87')
    """
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if amount >= factor:
            return f"{amount / factor:.3g} {unit}"
    return f"{amount:g}"


def parse_count(text: str) -> float:
    """A number of things as people write it: k, M and G are decimal.

    Raises:
        ValueError: Not a positive number with one of these letters.

    >>> parse_count("20M"), parse_count("1.5 G"), parse_count("4096")
    (20000000.0, 1500000000.0, 4096.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMG]?)\s*", text)
    if not found or float(found[1]) <= 0:
        raise ValueError(f"'{text}' is no amount")
    return float(found[1]) * {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}[found[2]]


def duration(seconds: float) -> str:
    """Three digits at most, in the unit that fits.

    >>> duration(0.00042), duration(0.0315), duration(7.25), duration(185)
    ('420 µs', '31.5 ms', '7.2 s', '3 min 05 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def share(part: float) -> str:
    """A fraction of one as a percentage with one decimal.

    >>> share(0.975)
    '97.5 %'
    """
    return f"{part * 100:.1f} %"
