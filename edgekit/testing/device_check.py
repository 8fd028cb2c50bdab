"""check_device: does a transport do what `Device` promises?

For people who write a device: give the function that opens it. Small programs run there through `device.python`, so
Python 3.8 has to be on it; nothing else has.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from edgekit.devices.device import Device
from edgekit.errors import CheckError, DeviceError, DeviceTimeoutError, InputError

Open = Callable[[], Device]

SILENCE_S = 60.0
"""Longest wait for a line; an emulated Python takes its time to start."""
LEAVING_S = 20.0
"""Longest time a block may take to end a command that does not want to."""

ECHO = "import sys; sys.stdout.write(sys.stdin.readline())"
WORDS = "import json, sys; print(json.dumps(sys.argv[1:]))"
TWO_LINES = "import time; print('first', flush=True); time.sleep(1); print('second', flush=True)"
FAIL = "import sys; print('out'); print('err ' * 2000 + 'end', file=sys.stderr); sys.exit(7)"
MANY_LINES = (
    "for number in range(20000): print(number)\nprint('x' * 1000000)\nprint('\\u00b5s, no end of line', end='')"
)
WAIT = "import sys; print('up', flush=True); sys.stdin.readline(); sys.stdin.read(); open('ended', 'w').write('by eof')"
BEAT = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
for beat in range(600):
    with open('beat', 'w') as file:
        file.write(str(beat))
    if beat == 0:
        print('up', flush=True)
    time.sleep(0.1)
"""


def check_device(open_device: Open) -> None:
    """Run every check on one opened device, then open another to see that the first left nothing.

    Args:
        open_device: Opens the same machine every time.

    Raises:
        CheckError: A promise is not kept; the message names it.
        DeviceError: The device itself failed.
    """
    device = open_device()
    try:
        for check in CHECKS:
            check(device)
    finally:
        device.close()
    check_close(open_device)


def check_files(device: Device) -> None:
    """Contents and local files come back as they were pushed, empty and binary ones too, and may be pushed again."""
    binary = bytes(range(256)) * 5000
    with tempfile.TemporaryDirectory() as here:
        source, back = Path(here) / "source", Path(here) / "back"
        source.write_bytes(binary)
        for contents in (b"old and longer", b"new"):
            device.push({"text": contents, "empty": b"", "my $model's é.bin": source})
        for name, expected in (("text", b"new"), ("empty", b""), ("my $model's é.bin", binary)):
            device.pull(name, back)
            _expect(f"'{name}' pulled", back.read_bytes() == expected, True)
        _expect_error("pulling a file that is not there", lambda: device.pull("absent", back))


def check_folder(device: Device) -> None:
    """A command runs in the folder that was pushed to."""
    device.push({"there": b"yes"})
    _expect("output", _run(device, "print(open('there').read())")[0], ["yes"])


def check_words(device: Device) -> None:
    """No shell on the way takes a word apart or looks into it."""
    words = ["two words", "", "$HOME `id` $(id)", 'it\'s "so"', "*", "a\\b", "~", "new\nline", "é"]
    _expect("words", json.loads(_run(device, WORDS, words)[0][0]), words)


def check_standard_input(device: Device) -> None:
    """A long line on standard input arrives whole."""
    job = json.dumps({"names": ["layer"] * 30_000})
    lines, code, _ = _run(device, ECHO, stdin=job + "\n")
    _expect("line echoed", (lines == [job], code), (True, 0))


def check_streaming(device: Device) -> None:
    """Lines come when they are written, not when the command ends."""
    arrivals = []
    with device.start((*device.python, "-c", TWO_LINES), "") as stream:
        for line in stream.lines(SILENCE_S):
            arrivals.append((line, time.monotonic()))
        stream.finish()
    _expect("lines", [line for line, _ in arrivals], ["first", "second"])
    apart_s = arrivals[1][1] - arrivals[0][1]
    if apart_s < 0.5:
        raise CheckError(f"two lines written 1 s apart came {apart_s:.2f} s apart: something on the way buffers them")


def check_output(device: Device) -> None:
    """Many lines, a long one, and one without an end arrive whole and in order."""
    lines, code, _ = _run(device, MANY_LINES)
    _expect("number of lines and code", (len(lines), code), (20_002, 0))
    _expect("numbered lines", lines[:20_000] == [str(number) for number in range(20_000)], True)
    _expect("length of the long line", len(lines[20_000]), 1_000_000)
    _expect("last line", lines[-1], "µs, no end of line")


def check_failure(device: Device) -> None:
    """The exit code and the end of standard error come back, apart from the output."""
    lines, code, complaint = _run(device, FAIL)
    _expect("output and code", (lines, code), (["out"], 7))
    _expect("end of standard error", complaint.strip()[-7:], "err end")
    _expect("standard error cut to 4000 characters", len(complaint) <= 4000, True)


def check_silence(device: Device) -> None:
    """A silent command is given up after the time that was given."""
    with device.start((*device.python, "-c", WAIT), "") as stream:
        lines = stream.lines(SILENCE_S)
        _expect("first line", next(lines), "up")
        _expect_error("silence", lambda: next(stream.lines(0.3)), DeviceTimeoutError)


def check_leaving(device: Device) -> None:
    """Leaving the block ends standard input, and the command has time to see it."""
    with device.start((*device.python, "-c", WAIT), "job\n") as stream:
        _expect("first line", next(stream.lines(SILENCE_S)), "up")
    with tempfile.TemporaryDirectory() as here:
        device.pull("ended", Path(here) / "ended")
        _expect("what the command wrote at its end", (Path(here) / "ended").read_bytes(), b"by eof")


def check_stubborn(device: Device) -> None:
    """Leaving the block ends also a command that does not care about its standard input, nor about signals."""
    with device.start((*device.python, "-c", BEAT), "") as stream:
        _expect("first line", next(stream.lines(SILENCE_S)), "up")
        left = time.monotonic()
    if time.monotonic() - left > LEAVING_S:
        raise CheckError(f"leaving the block took {time.monotonic() - left:.0f} s")
    beats = []
    with tempfile.TemporaryDirectory() as here:
        for _ in range(2):
            device.pull("beat", Path(here) / "beat")
            beats.append((Path(here) / "beat").read_bytes())
            time.sleep(1)
    _expect("command still running after its block was left", beats[0] == beats[1], True)


def check_names(device: Device) -> None:
    """A name that would leave the folder is refused."""
    for name in ("../up", "/etc/there", "", "..", "-rf", "a\nb", "a\\b"):
        for source in (b"", Path(__file__)):
            _expect_error(f"pushing to '{name}'", partial(device.push, {name: source}), InputError)


def check_close(open_device: Open) -> None:
    """Closing removes the folder, says so, and may be done twice.

    Args:
        open_device: Opens the same machine twice.
    """
    first = open_device()
    try:
        first.push({"file": b"contents"})
        folder = _run(first, "import os; print(os.getcwd())")[0][0]
    finally:
        _expect("left behind", first.close(), ())
    _expect("left behind by closing again", first.close(), ())
    second = open_device()
    try:
        there = _run(second, "import os, sys; print(os.path.exists(sys.argv[1]))", [folder])[0]
    finally:
        second.close()
    _expect(f"{folder} exists after closing", there, ["False"])


CHECKS: tuple[Callable[[Device], None], ...] = (
    check_files,
    check_folder,
    check_words,
    check_standard_input,
    check_streaming,
    check_output,
    check_failure,
    check_silence,
    check_leaving,
    check_stubborn,
    check_names,
)
"""In this order, on one device; `check_close` comes last and opens its own."""


def _run(device: Device, program: str, words: Sequence[str] = (), *, stdin: str = "") -> tuple[list[str], int, str]:
    with device.start((*device.python, "-c", program, *words), stdin) as stream:
        lines = list(stream.lines(SILENCE_S))
        code, complaint = stream.finish()
    if code and program is not FAIL:
        raise CheckError(f"a program ended with {code}: {complaint.strip()}")
    return lines, code, complaint


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise CheckError(f"{what}: {found!r:.200}, expected {expected!r:.200}")


def _expect_error(what: str, work: Callable[[], object], kind: type[Exception] = DeviceError) -> None:
    try:
        work()
    except kind:
        return
    raise CheckError(f"{what} raised no {kind.__name__}")
