import dataclasses

import pytest

from edgekit.bench.doubts import find_doubts
from edgekit.bench.validity import Evidence, Watch
from edgekit.types.bench import Kind, ProcessRun

CPU = "/sys/devices/system/cpu/cpu{}/{}"
ZONE = "/sys/class/thermal/thermal_zone0"
RUN = ProcessRun(
    samples=(1000,) * 20, import_ns=1, load_ns=1, first_ns=1, warmup_runs=5, stable=True, peak_rss_bytes=1, seconds=2.0
)


def event(files=None, *, load=0.1, outputs=None):
    return {
        "affinity": [0, 1],
        "load": [load],
        "files": files or {},
        "commands": {words: {"code": 0, "out": text} for words, text in (outputs or {}).items()},
    }


def megahertz(value):
    return {CPU.format(0, "cpufreq/scaling_cur_freq"): str(value * 1000)}


def celsius(value):
    return {f"{ZONE}/type": "cpu-thermal", f"{ZONE}/temp": str(value * 1000)}


def evidence(before=None, after=None, sensors=(), **changes):
    """Five processes in order, the first of which saw something else."""
    first = Watch(event() if before is None else before, event() if after is None else after, tuple(sensors))
    quiet = Watch(event(), event())
    sound = Evidence(
        kind=Kind.WALL_NS,
        threads=1,
        min_runs=20,
        runs=(RUN,) * 5,
        watches=(first, quiet, quiet, quiet, quiet),
        device="pi",
        where="model.onnx on pi",
    )
    return dataclasses.replace(sound, **changes)


MODES = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=MAXN >\n"
BATTERY = "/sys/class/power_supply/battery/{}"
SLOW = dataclasses.replace(RUN, samples=(1160,) * 20)

CASES = {
    "governor-not-performance": (
        evidence(event({CPU.format(0, "cpufreq/scaling_governor"): "schedutil\n"})),
        "the governor is schedutil",
    ),
    "frequency-capped": (
        evidence(
            event(
                {
                    CPU.format(0, "cpufreq/scaling_max_freq"): "1500000",
                    CPU.format(0, "cpufreq/cpuinfo_max_freq"): "2400000",
                }
            )
        ),
        "cpu0 may run at 1500 MHz of its 2400 MHz",
    ),
    "power-mode-not-largest": (
        evidence(event({"/etc/nvpmodel.conf": MODES}, outputs={"nvpmodel -q": "NV Power Mode: 15W\n0\n"})),
        "the power mode is 15W, the largest is MAXN",
    ),
    "on-battery": (
        evidence(event({BATTERY.format("type"): "Battery", BATTERY.format("status"): "Discharging"})),
        "runs from its battery",
    ),
    "limited-before": (
        evidence(event(outputs={"vcgencmd get_throttled": "throttled=0x50008"})),
        "soft temperature limit now, under-voltage since boot, throttled since boot",
    ),
    "mixed-cores": (
        evidence(event({CPU.format(0, "cpu_capacity"): "250", CPU.format(1, "cpu_capacity"): "1024"})),
        "1x core of capacity 250 + 1x core of capacity 1024",
    ),
    "busy-before": (evidence(event(load=1.2)), "the load was 1.2 on 2 cores"),
    "not-settled": (
        evidence(runs=(*[RUN] * 3, *[dataclasses.replace(RUN, stable=False)] * 2)),
        "2 of 5 processes had not settled",
    ),
    "processes-disagree": (evidence(runs=(*[RUN] * 4, SLOW)), "up to 16.0 % apart"),
    "frequency-fell": (evidence(event(megahertz(2400)), event(megahertz(1500))), "from 2400 to 1500 MHz"),
    "warmed-up": (evidence(event(celsius(50)), event(celsius(62))), "cpu-thermal rose by 12 °C to 62 °C"),
}


def test_a_sound_measurement():
    assert find_doubts(evidence()) == ()


@pytest.mark.parametrize("code", CASES)
def test_each_doubt_alone(code):
    case, words = CASES[code]
    (finding,) = find_doubts(case)
    assert finding.code == code
    assert words in finding.message
    assert finding.hint
    assert finding.where in ("pi", "model.onnx on pi")


@pytest.mark.parametrize(
    "case",
    [
        evidence(event({CPU.format(0, "cpufreq/scaling_governor"): "performance\n"})),
        evidence(event({"/etc/nvpmodel.conf": MODES}, outputs={"nvpmodel -q": "NV Power Mode: MAXN\n1\n"})),
        evidence(event(outputs={"nvpmodel -q": "NV Power Mode: 15W\n0\n"})),
        evidence(event(load=1.0)),
        evidence(event(megahertz(2400)), event(megahertz(2200))),
        evidence(event(megahertz(600)), event(megahertz(2400))),
        evidence(event(celsius(50)), event(celsius(60))),
        evidence(runs=(*[RUN] * 4, dataclasses.replace(RUN, samples=(1150,) * 20))),
        evidence(event({CPU.format(0, "cpu_capacity"): "1024", CPU.format(5, "cpu_capacity"): "250"})),
    ],
)
def test_what_is_no_doubt(case):
    assert find_doubts(case) == ()


def test_a_core_that_idles_before_and_after_has_not_slowed_down():
    loaded = [{"files": megahertz(2400)}] * 3
    assert find_doubts(evidence(event(megahertz(2400)), event(megahertz(600)), loaded)) == ()
    slower = [{"files": megahertz(value)} for value in (2400, 1800, 2300)]
    assert [found.code for found in find_doubts(evidence(sensors=slower))] == ["frequency-fell"]


def test_only_the_first_process_finds_the_device_as_others_left_it():
    busy = Watch(event(load=2.0), event())
    quiet = Watch(event(), event())
    assert find_doubts(evidence(watches=(quiet, busy, busy, busy, busy))) == ()


def test_warming_adds_up_over_the_processes():
    watches = tuple(Watch(event(celsius(at)), event(celsius(at + 4))) for at in (50, 53, 56, 59, 62))
    (finding,) = find_doubts(evidence(watches=watches))
    assert "rose by 16 °C to 66 °C" in finding.message


@pytest.mark.parametrize(
    "changes", [{"kind": Kind.INSTRUCTIONS}, {"watches": ()}, {"watches": (Watch({}, None),) * 5}, {"runs": ()}]
)
def test_nothing_to_say(changes):
    assert find_doubts(evidence(**changes)) == ()
