"""Values that programs have tripped over: what a mutation puts in the place of a name, a number or a whole value."""

from __future__ import annotations

from functools import cache
from random import Random

ESCAPE = "/edgekit-fuzz-escape"
"""An absolute path that nothing may ever write to."""

NAMES = (
    "", ".", "..", "../x", "../../../../x", "a/../../x", "a/..", "a//b", "a/", "/", ESCAPE, f"{ESCAPE}/x", "~/x",
    "C:\\x", "a\\..\\b", "\\\\host\\x", "CON", "nul.txt", "a.", " a", "a ", ".hidden", "-rf", "a:b", "a*b", "$(id)",
    "`id`", "%2e%2e/x", "%00", "a\x00b", "\x00", "a\nb", "a\r\nb: c", "\x1b[31mred", "\x7f", "\x85", "\u202egnp.exe",
    "\ufeffx", "\u2028", "e\u0301", "\u00e9", "\uff0e\uff0e/x", "\u0430dmin", "\U0001f600", "\u0663", "\u00b2",
    "\ud800", "\udfff\ud800", "a" * 129, "a" * 256, "a" * 5000, "a/b/c/d/e/f/g", "MANIFEST.JSON", "manifest.json",
    "model.sig", "index.json", "slots/a", "current", "timestamp", "root", "targets", "any", "none", "null", "true",
    "__proto__", "__class__", "0", "-1", "1e3", "0x10", "NaN", "inf", "1.0.0-", "01.2.3", "1" * 40, "sha256:",
    "sha256:" + "0" * 64, "sha256:" + "F" * 64, "sha512:" + "0" * 128, "0" * 63, "0" * 64, "A" * 64, "did:key:z",
    "did:key:z" + "1" * 60, "z6Mk", "file:///etc/passwd", "http://127.0.0.1:1/", "oci://x/y:z", "pkcs11:object=x",
    "2026-11-01T12:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-02-30",
    "-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----\n", "e30=", "e30", "====", "onnxruntime", "edgekit",
)  # fmt: skip

NUMBERS = (
    "0", "1", "-1", "2", "7", "255", "256", "4097", "65536", "1048577", "2147483647", "2147483648", "-2147483649",
    "1099511627776", "1099511627777", "9007199254740991", "9007199254740992", "-9007199254740992",
    "18446744073709551616", "1" + "0" * 30, "1" * 4400, "-0", "0.5", "1.0", "1.5", "1e3", "1e17", "1e20", "1e21",
    "1e308", "1e309", "-1e309", "5e-324", "1e-400", "NaN", "Infinity", "-Infinity", "0x10", "01", "+1", "1.", ".5",
)  # fmt: skip
"""As JSON text; some are none."""

CONSTANTS = ("null", "true", "false", "{}", "[]", '""', "[[]]", '{"":null}', "[null]", "", "nul", "'a'", "[1,]", '{"a"')


def name(random: Random) -> str:
    """A text that is used as a name, a path, a digest, a time."""
    return random.choice(NAMES)


def token(random: Random) -> str:
    """JSON text of a value that nobody expects."""
    drawn = random.random()
    if drawn < 0.45:
        return random.choice(NUMBERS)
    if drawn < 0.9:
        return random.choice(CONSTANTS)
    return deep(random.choice((2, 8, 30, 31, 32, 33, 40, 500, 3000)), random.choice("[{"))


@cache
def deep(levels: int, opening: str) -> str:
    """A value nested that deep."""
    if opening == "[":
        return "[" * levels + "]" * levels
    return '{"a":' * levels + "1" + "}" * levels


@cache
def large(kind: int, entries: int) -> str:
    """A value that takes far more memory, or time, than its text: empty lists, objects, texts, keys, a long path."""
    if kind == 0:
        return "[" + ",".join(["[]"] * entries) + "]"
    if kind == 1:
        return "[" + ",".join(["{}"] * entries) + "]"
    if kind == 2:
        return "[" + ",".join(['"a"'] * entries) + "]"
    keys = [f'"{number:x}":0' for number in range(entries)]
    if kind == 5:
        return '{"' + "k" * 100_000 + '":{' + ",".join(keys) + "}}"
    return "{" + ",".join([*keys, keys[-1]] if kind == 3 else keys) + "}"


LARGE_KINDS = 6
