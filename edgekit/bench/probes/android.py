"""Which phone it is: Android's properties, one command each, since the whole list holds serial numbers."""

from __future__ import annotations

from edgekit.bench.probes.reading import Commands, Reading

MODEL = ("getprop", "ro.product.model")
CHIP = ("getprop", "ro.soc.model")
RELEASE = ("getprop", "ro.build.version.release")
FILES: tuple[str, ...] = ()
COMMANDS: Commands = (MODEL, CHIP, RELEASE)


def read_phone(reading: Reading) -> str:
    """Model and chip, for example "Pixel 6 (Tensor)"; "" on what is no Android device."""
    if not read_release(reading):
        return ""
    model, chip = _line(reading, MODEL), _line(reading, CHIP)
    return f"{model} ({chip})" if model and chip else model or chip


def read_release(reading: Reading) -> str:
    """Android's release, for example "14"; "" on what is no Android device."""
    return _line(reading, RELEASE)


def _line(reading: Reading, command: tuple[str, ...]) -> str:
    """The first line, unless it is too long to be a property."""
    line = next(iter(reading.output(command).splitlines()), "").strip()
    return line if len(line) <= 92 else ""  # PROP_VALUE_MAX
