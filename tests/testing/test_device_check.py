"""A device with any one defect is found out."""

import dataclasses
import os
import re
import shlex
import shutil
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edgekit.devices.local import LocalDevice
from edgekit.errors import CheckError, DeviceError
from edgekit.testing import device_check
from edgekit.testing.device_check import check_close


class Unquoted(LocalDevice):
    def start(self, command, stdin):
        return super().start(
            ("sh", "-c", " ".join(command[:2]) + " " + shlex.quote(command[2]) + " " + " ".join(command[3:])), stdin
        )


class Elsewhere(LocalDevice):
    def start(self, command, stdin):
        return super().start(("sh", "-c", 'cd / && exec "$@"', "sh", *command), stdin)


class WithoutInput(LocalDevice):
    def start(self, command, stdin):
        return super().start(command, stdin[:1000] + "\n")


class Mixed(LocalDevice):
    def start(self, command, stdin):
        return super().start(("sh", "-c", 'exec "$@" 2>&1', "sh", *command), stdin)


class WithoutCode(LocalDevice):
    def start(self, command, stdin):
        return super().start(("sh", "-c", '"$@"; true', "sh", *command), stdin)


@dataclasses.dataclass
class Collected:
    """Lines that come when all are there."""

    stream: object

    def lines(self, timeout_s):
        yield from list(self.stream.lines(timeout_s))

    def finish(self):
        return self.stream.finish()


class Buffered(LocalDevice):
    @contextmanager
    def start(self, command, stdin):
        with super().start(command, stdin) as stream:
            yield Collected(stream)


class Stripped(Collected):
    def lines(self, timeout_s):
        yield from (line for line in self.stream.lines(timeout_s) if not line.startswith("xxx"))


class Losing(LocalDevice):
    @contextmanager
    def start(self, command, stdin):
        with super().start(command, stdin) as stream:
            yield Stripped(stream)


class Killing(LocalDevice):
    @contextmanager
    def start(self, command, stdin):
        with super().start(command, stdin) as stream:
            yield stream
            stream.process.kill()


class Leaky(LocalDevice):
    """Nothing is ended before the device is closed."""

    def __init__(self, **options):
        super().__init__(**options)
        self.running = ExitStack()

    @contextmanager
    def start(self, command, stdin):
        yield self.running.enter_context(super().start(command, stdin))

    def close(self):
        self.running.close()
        return super().close()


class Careless(LocalDevice):
    def push(self, files):
        for name, source in files.items():
            with open(os.path.join(self.folder, name), "ab") as file:
                file.write(source if isinstance(source, bytes) else source.read_bytes())


class Silent(LocalDevice):
    def pull(self, name, to):
        try:
            super().pull(name, to)
        except DeviceError:
            to.touch()


class Staying(LocalDevice):
    def close(self):
        return ()


class Telling(LocalDevice):
    def close(self):
        super().close()
        return (str(self.folder),)


@pytest.mark.parametrize(
    ("defect", "check", "said"),
    [
        (Unquoted, "check_words", "a program ended with 2"),
        (Elsewhere, "check_folder", "ended with 1"),
        (WithoutInput, "check_standard_input", "line echoed"),
        (Mixed, "check_failure", "output and code"),
        (WithoutCode, "check_failure", "output and code"),
        (Buffered, "check_streaming", "something on the way buffers"),
        (Losing, "check_output", "number of lines"),
        (Killing, "check_leaving", "'ended' cannot be fetched"),
        (Leaky, "check_stubborn", "still running"),
        (Careless, "check_files", "'text' pulled"),
        (Silent, "check_files", "raised no DeviceError"),
    ],
)
def test_a_defect_is_found_by_its_check(defect, check, said, tmp_path, monkeypatch):
    monkeypatch.setattr(device_check, "BEAT", device_check.BEAT.replace("600", "100"))
    device = defect(parent=tmp_path)
    try:
        with pytest.raises((CheckError, DeviceError), match=re.escape(said)):
            getattr(device_check, check)(device)
    finally:
        device.close()


def test_a_careless_name_is_found(tmp_path):
    (tmp_path / "deep").mkdir()
    device = Careless(parent=tmp_path / "deep")
    with pytest.raises((CheckError, OSError)):
        device_check.check_names(device)
    device.close()


@pytest.mark.parametrize("defect", [Staying, Telling])
def test_what_stays_behind_is_found(defect, tmp_path):
    with pytest.raises(CheckError, match=r"left behind|exists after closing"):
        check_close(lambda: defect(parent=tmp_path))
    for path in tmp_path.iterdir():
        shutil.rmtree(path)


def test_every_check_is_run():
    named = {name for name in vars(device_check) if name.startswith("check_")} - {
        "check_device",
        "check_close",
        "check_name",
    }
    assert {check.__name__ for check in device_check.CHECKS} == named
    assert Path(device_check.__file__).stem == "device_check"
