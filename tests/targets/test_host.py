import pytest

from edgekit.check.machine import describe_machine
from edgekit.errors import CheckError
from edgekit.targets.host import CANDIDATES, candidates_for, choose_for_host, judge, select
from edgekit.targets.variants import with_scheme
from edgekit.types.interval import Interval
from edgekit.types.plan import Plan
from edgekit.types.report import Machine
from edgekit.types.target import HostCandidate, HostTrial
from tests.targets.nets import sample_set


def trial(name, db, ratio, *, agreement=1.0, error=""):
    candidate = HostCandidate(name, "uint8", "int8", "full")
    interval = None if ratio is None else Interval(ratio, ratio - 0.02, ratio + 0.02)
    return HostTrial(candidate, sqnr_db=db, agreement=agreement, latency_ratio=interval, error=error)


def choose(*trials, tolerance_db=1.0, samples=64):
    chosen, why = select(judge(trials, tolerance_db=tolerance_db, samples=samples))
    return chosen.candidate.name, why


def test_accuracy_decides_before_speed():
    name, why = choose(trial("fast and wrong", 8.9, 0.5), trial("right", 23.4, 0.66), trial("slow", 23.8, 0.96))
    assert name == "right"
    assert "2 of 3 candidates" in why
    assert "0.66" in why


def test_of_equally_fast_ones_the_more_accurate():
    assert choose(trial("a", 23.4, 0.650), trial("b", 23.8, 0.655)) == (
        "b",
        "2 of 2 candidates are as accurate as the best; this is as fast as the fastest of them, and more accurate, "
        "0.66 of the float file's time",
    )
    assert "more accurate" not in choose(trial("a", 23.4, 0.655), trial("b", 23.4, 0.650))[1]
    assert choose(trial("a", 23.4, 0.650), trial("b", 23.8, 0.750))[0] == "a"


def test_agreement_counts_as_well_as_sqnr():
    assert choose(trial("a", 24.0, 0.5, agreement=0.7), trial("b", 23.5, 0.9, agreement=1.0))[0] == "b"


def test_models_without_float_outputs_or_logits_are_judged_by_speed():
    assert choose(trial("a", None, 0.9, agreement=None), trial("b", None, 0.5, agreement=None))[0] == "b"


def test_exact_files_are_all_accurate():
    assert choose(trial("a", float("inf"), 0.9), trial("b", float("inf"), 0.5))[0] == "b"


def test_what_does_not_run_is_never_chosen():
    broken = trial("broken", None, None, error="no kernel")
    assert choose(broken, trial("b", 20.0, 0.9))[0] == "b"
    with pytest.raises(CheckError, match="no kernel"):
        choose(broken)


@pytest.mark.parametrize(
    ("system", "key"), [("Linux x86_64", "x86"), ("Darwin arm64", "arm"), ("Linux riscv64", "arm")]
)
def test_candidates_follow_the_processor(system, key):
    assert candidates_for(Machine("", (), 1, system, {})) is CANDIDATES[key]


def test_the_choice_is_found_by_running_here(calibrated, tmp_path):
    net = calibrated("resnet8", 6)
    choice, quantized = choose_for_host(
        net.graph,
        lambda scheme: net.quantize(with_scheme(Plan(), scheme)),
        samples=sample_set(net.samples),
        workdir=tmp_path,
        latency_seconds=0.5,
    )
    machine = describe_machine()
    assert [found.candidate for found in choice.trials] == list(candidates_for(machine))
    assert choice.samples == 6
    assert not [found.error for found in choice.trials if found.error]
    best = max(found.sqnr_db for found in choice.trials)
    chosen = next(found for found in choice.trials if found.candidate.name == choice.chosen)
    assert chosen.accurate
    assert chosen.sqnr_db >= best - choice.tolerance_db
    assert chosen.latency_ratio.estimate > 0
    assert choice.candidate is chosen.candidate
    by_name = {found.candidate.name: found for found in choice.trials}
    if machine.saturates_pairs:
        assert by_name["u8s8-full"].sqnr_db < by_name["u8s8-full-precise"].sqnr_db
    assert quantized.graph is not None


def test_a_candidate_that_cannot_run_is_told_and_left_out(calibrated, tmp_path, monkeypatch):
    net = calibrated("resnet8", 6)
    from edgekit.targets import host

    real = host.emit_host

    def emit(quantized, path, *, candidate, metadata):
        artifact = real(quantized, path, candidate=candidate, metadata=metadata)
        if candidate.name == "bad":
            path.write_bytes(b"not a model")
        return artifact

    monkeypatch.setattr(host, "emit_host", emit)
    bad = HostCandidate("bad", "uint8", "int8", "pair-safe")
    good = HostCandidate("good", "uint8", "int8", "pair-safe")
    choice, _ = choose_for_host(
        net.graph,
        lambda scheme: net.quantize(),
        samples=sample_set(net.samples[:2]),
        workdir=tmp_path,
        candidates=(bad, good),
        latency_seconds=0.1,
    )
    assert choice.chosen == "good"
    assert "cannot load" in choice.trials[0].error
