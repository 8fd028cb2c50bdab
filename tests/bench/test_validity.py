import dataclasses

import pytest

from edgekit.bench.validity import Evidence, Watch, invalid_reasons
from edgekit.types.bench import Kind, ProcessRun

SECOND = 10**9
RUN = ProcessRun(
    samples=(1000,) * 20, import_ns=1, load_ns=1, first_ns=1, warmup_runs=5, stable=True, peak_rss_bytes=1, seconds=2.0
)


def environment(at_s=0.0, *, wall_s=None, cores=(0, 1), files=None, outputs=None, machine="aarch64"):
    return {
        "event": "environment",
        "uname": ["Linux", "6.6", "#1", machine],
        "affinity": list(cores),
        "wall_ns": round((1.7e9 + (at_s if wall_s is None else wall_s)) * SECOND),
        "monotonic_ns": round(at_s * SECOND),
        "files": files or {},
        "commands": {words: {"code": 0, "out": text} for words, text in (outputs or {}).items()},
    }


def pi(word):
    return {"vcgencmd get_throttled": f"throttled={word}\n"}


def watch(before=None, after=None, sensors=()):
    return Watch(environment() if before is None else before, environment(3.0) if after is None else after, sensors)


def evidence(*watches, **changes):
    """Five processes in order, of which the first ones saw something else."""
    seen = (*watches, *[watch()] * (5 - len(watches)))
    sound = Evidence(kind=Kind.WALL_NS, threads=2, min_runs=20, runs=(RUN,) * 5, watches=seen)
    return dataclasses.replace(sound, **changes)


def test_a_sound_measurement():
    assert invalid_reasons(evidence()) == ()


@pytest.mark.parametrize(
    ("reason", "case"),
    [
        ("emulated time is no latency: qemu-user", evidence(emulated="qemu-user")),
        (
            "emulated time is no latency: the process runs under qemu-aarch64",
            evidence(watch(environment(files={"/proc/self/comm": "qemu-aarch64\n"}))),
        ),
        (
            "clock limited during the run: throttled now",
            evidence(watch(environment(outputs=pi("0x4")), environment(3.0, outputs=pi("0x4")))),
        ),
        (
            "clock limited during the run: under-voltage",
            evidence(watch(environment(outputs=pi("0x0")), environment(3.0, outputs=pi("0x10000")))),
        ),
        (
            "clock limited during the run: ARM frequency capped now",
            evidence(watch(sensors=({"at_s": 1, "commands": {"vcgencmd get_throttled": {"out": "throttled=0x2"}}},))),
        ),
        (
            "clock limited during the run: Android thermal status 2 (moderate)",
            evidence(watch(after=environment(3.0, outputs={"dumpsys thermalservice": "Thermal Status: 2\n"}))),
        ),
        (
            "clock limited during the run: OC3 over-current events +2",
            evidence(
                watch(
                    environment(files={"/sys/class/hwmon/hwmon3/oc3_event_cnt": "27"}),
                    environment(3.0, files={"/sys/class/hwmon/hwmon3/oc3_event_cnt": "29"}),
                )
            ),
        ),
        (
            "clock jumped: 5.00 s passed by the wall clock, 3.00 s by the monotonic clock",
            evidence(watch(after=environment(3.0, wall_s=5.0))),
        ),
        (
            "clock jumped: 302.00 s passed by the wall clock, 300.00 s by the monotonic clock",
            evidence(watch(after=environment(300.0, wall_s=302.0))),
        ),
        ("affinity changed from cores 0, 1 to 0", evidence(watch(after=environment(3.0, cores=(0,))), threads=1)),
        ("threads: 4, cores for them: 2", evidence(threads=4)),
        ("processes: 4, at least 5 are needed", evidence(runs=(RUN,) * 4)),
        ("inferences in a process: 20, at least 21 are needed", evidence(min_runs=21)),
        (
            "inferences in a process: 0, at least 1 are needed",
            evidence(runs=(RUN,) * 4 + (dataclasses.replace(RUN, samples=()),), min_runs=0),
        ),
        ("device lost: only a part was measured", evidence(complete=False)),
    ],
)
def test_each_reason_alone(reason, case):
    assert invalid_reasons(case) == (reason,)


@pytest.mark.parametrize(
    "case",
    [
        evidence(watch(after=environment(3.0, wall_s=3.04))),
        evidence(watch(after=environment(90.0, wall_s=90.8))),
        evidence(watch(environment(outputs=pi("0x70000")), environment(3.0, outputs=pi("0x70000")))),
        evidence(watch(environment(outputs=pi("0x8")), environment(3.0, outputs=pi("0x8")))),
        evidence(watch(after=environment(3.0, outputs={"dumpsys thermalservice": "Thermal Status: 1\n"}))),
        evidence(watch(environment(cores=()), environment(3.0, cores=()))),
        evidence(Watch({}, {})),
        evidence(Watch({}, None)),
    ],
)
def test_what_spoils_nothing(case):
    assert invalid_reasons(case) == ()


def test_a_reason_that_holds_for_every_process_is_told_once():
    throttled = watch(environment(outputs=pi("0x4")), environment(3.0, outputs=pi("0x4")))
    assert invalid_reasons(evidence(*[throttled] * 5)) == ("clock limited during the run: throttled now",)


def test_counts_may_be_taken_on_an_emulator():
    case = evidence(watch(after=environment(3.0, wall_s=90.0)), emulated="QEMU", kind=Kind.INSTRUCTIONS)
    assert invalid_reasons(case) == ()
    assert invalid_reasons(dataclasses.replace(case, complete=False))


def test_nothing_at_all():
    reasons = invalid_reasons(evidence(runs=(), watches=(), complete=False))
    assert reasons == (
        "device lost: only a part was measured",
        "processes: 0, at least 5 are needed",
        "inferences in a process: 0, at least 20 are needed",
    )
