import os
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.agent import probing
from edgekit.bench.probes.cpu import read_kinds
from edgekit.bench.probes.environment import probes, read_environment, read_sensors, sensors
from edgekit.bench.probes.frequency import read_caps
from edgekit.bench.probes.jetson import read_largest_mode
from edgekit.bench.probes.power import read_counters
from edgekit.bench.probes.reading import reading_of
from edgekit.types.bench import Environment


def test_every_recorded_path_and_command_is_asked_for(recorded):
    wanted = probes()
    for name in ("raspberry_pi_5", "jetson_nano", "jetson_orin_nano", "pixel_6", "laptop", "qemu_virt_tcg"):
        event = recorded(name)
        for path in event["files"]:
            assert any(fnmatchcase(path, pattern) for pattern in wanted["files"]), path
        assert {command for command in event["commands"]} <= {" ".join(words) for words in wanted["commands"]}


def test_sensors_are_a_part_of_the_probes():
    everything, cheap = probes(), sensors()
    assert set(cheap["files"]) < set(everything["files"])
    assert all(words in everything["commands"] for words in cheap["commands"])
    assert not any("tegrastats" in words for words in cheap["commands"])
    assert len(everything["files"]) == len(set(everything["files"]))


def test_a_pi(recorded):
    event = recorded("raspberry_pi_5") | {
        "uname": ["Linux", "6.6.31+rpt-rpi-2712", "#1 SMP", "aarch64"],
        "python": "3.11.2",
        "packages": {"onnxruntime": "1.32.0"},
        "affinity": [0, 1],
        "load": [0.25, 0.1, 0.0],
    }
    found = read_environment(event)
    assert found == Environment(
        cpu="Raspberry Pi 5 Model B Rev 1.0 (2x Cortex-A76)",
        isa=("asimd", "asimddp"),
        architecture="aarch64",
        system="Linux 6.6.31+rpt-rpi-2712",
        cores=2,
        affinity=(0, 1),
        governor="ondemand",
        frequency_mhz={"cpu0": 1500.0, "cpu1": 2400.0},
        load=0.25,
        memory_bytes=8259040 * 1024,
        temperatures_c={"cpu-thermal": 59.3, "rp1_adc temp1": pytest.approx(51.022)},
        power_w=pytest.approx({"3V7_WL_SW": 0.37, "3V3_SYS": 0.165, "VDD_CORE": 2.0}),
        runtimes={"onnxruntime": "1.32.0", "python": "3.11.2"},
    )


def test_a_phone(recorded):
    found = read_environment(recorded("pixel_6") | {"uname": ["Linux", "5.10.157-android13", "#1", "aarch64"]})
    assert found.cpu == "Pixel 6 (Tensor): 4x Cortex-A55 + 2x Cortex-A76 + 2x Cortex-X1"
    assert found.system == "Android 14, Linux 5.10.157-android13"
    assert found.temperatures_c["battery"] == pytest.approx(37.4)
    assert found.battery_percent == 81
    assert found.throttling == ("Android thermal status 2 (moderate)",)


def test_a_jetson(recorded):
    found = read_environment(recorded("jetson_orin_nano"))
    assert found.power_mode == "15W"
    assert found.throttling == ("OC3 over-current events: 27",)


def test_sensors_of_each(recorded):
    assert read_sensors(recorded("raspberry_pi_5")) == (59.3, 2400.0, pytest.approx(2.535))
    assert read_sensors(recorded("jetson_orin_nano")) == (53.625, None, 6.0)
    assert read_sensors(recorded("firecracker_x86"))[::2] == (None, None)
    assert read_sensors({}) == (None, None, None)


def test_this_machine_through_the_agent():
    wanted = probes()
    found = read_environment(probing.environment("before", wanted["files"], wanted["commands"]))
    assert found.cpu
    assert found.architecture == os.uname().machine
    assert found.emulated == ""
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.memory_bytes is not None
    assert found.memory_bytes > 1e8
    assert "numpy" in found.runtimes


DEVICES = (
    "raspberry_pi_5", "raspberry_pi_4_undervolted", "jetson_nano", "jetson_agx_xavier", "jetson_orin_nano",
    "jetson_agx_orin", "pixel_6", "laptop", "qemu_user", "firecracker_x86",
)  # fmt: skip
JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text(), max_size=3)
ODD = st.text(max_size=20) | st.binary(max_size=20).map(lambda data: data.decode("utf-8", "replace"))
NUMBERS = st.sampled_from(("", "-", "0x", "nan", "1e309", "-1", "9" * 30, "٣", "0.0.0", "\0", "\n\n"))


def damage(text, data):
    """A few cuts of the text, with something else in the gaps."""
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(ODD | NUMBERS) + text[end:]
    return text


@settings(max_examples=200)
@given(st.data())
def test_nothing_that_a_device_says_raises(recorded, data):
    event = recorded(data.draw(st.sampled_from(DEVICES)))
    for path in data.draw(st.sets(st.sampled_from(sorted(event["files"])), max_size=6)) if event["files"] else ():
        event["files"][path] = damage(event["files"][path], data)
    for answer in event["commands"].values():
        answer["out"] = damage(answer["out"], data)
    for key in data.draw(st.sets(st.sampled_from(("uname", "affinity", "load", "packages", "python")))):
        event[key] = data.draw(JUNK)
    read_all(event)


@given(st.dictionaries(st.sampled_from(("files", "commands", "uname", "affinity", "load")), JUNK))
def test_nothing_of_a_wrong_type_raises(event):
    read_all(event)


@given(st.data(), ODD)
def test_any_text_anywhere_raises_nothing(recorded, data, text):
    event = recorded(data.draw(st.sampled_from(DEVICES)))
    read_all(
        {
            "files": dict.fromkeys(event["files"], text),
            "commands": {words: {"code": 1, "out": text} for words in event["commands"]},
        }
    )


def read_all(event):
    assert isinstance(read_environment(event), Environment)
    for value in read_sensors(event):
        assert value is None or isinstance(value, float)
    reading = reading_of(event)
    for read in (read_counters, read_largest_mode, read_kinds, read_caps):
        read(reading)
