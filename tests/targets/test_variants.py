import numpy as np
import pytest

from edgekit.errors import RecipeError
from edgekit.targets.variants import formats_of, resolve, variants, with_scheme
from edgekit.types.plan import Plan, Weight
from edgekit.types.qparams import QParams
from edgekit.types.recipe import FILES
from edgekit.types.target import HOST, TARGETS

DECIDED = {"w": Weight(QParams(np.float32(0.1), np.int32(0)), np.zeros((2, 2), np.int8))}


def test_three_plans_serve_all_targets():
    plan = Plan()
    found = variants(plan, list(TARGETS))
    served = {(each.scheme, each.symmetric): {target.name for target in targets} for each, targets in found.items()}
    assert served == {
        ("pair-safe", False): {"x86-avx2", "xnnpack"},
        ("full", False): {"x86-vnni", "arm", "qnn"},
        ("full", True): {"tensorrt"},
    }
    assert next(iter(found)) is plan


def test_a_plan_without_pair_safety_is_widened_for_avx2():
    found = variants(Plan(scheme="full"), ["x86-avx2", "arm"])
    assert [each.scheme for each in found] == ["pair-safe", "full"]


def test_weights_that_fit_are_kept_and_others_dropped():
    plan = Plan(weights=DECIDED, biases={"b": np.zeros(2, np.float32)})
    assert with_scheme(plan, "full").weights is DECIDED
    assert with_scheme(plan, "full").biases is plan.biases
    assert not with_scheme(plan, "7-bit").weights
    assert not with_scheme(plan, "7-bit").biases
    assert with_scheme(plan, "pair-safe") is plan


def test_weights_are_decided_anew_where_the_scheme_changes():
    asked = []

    def redecide(plan):
        asked.append((plan.scheme, dict(plan.weights)))
        return plan

    variants(Plan(weights=DECIDED), ["arm", "qnn", "x86-avx2", "tensorrt"], redecide=redecide)
    assert asked == [("full", {})]


def test_weight_only_stays_weight_only():
    plan = Plan(weight_only=True)
    assert list(variants(plan, ["arm", "x86-avx2"])) == [plan]


def test_unknown_targets_are_refused_with_what_there_is():
    with pytest.raises(RecipeError, match="no target 'gpu'") as caught:
        resolve(["arm", "gpu"])
    assert all(name in caught.value.hint for name in TARGETS)


def test_formats_that_targets_need_beyond_the_asked_ones():
    assert formats_of(["xnnpack", "x86-avx2"], ["onnx-int8"]) == ("onnx-x86", "tflite-int8")
    assert formats_of([], ["onnx-int8"]) == ()


def test_every_target_names_files_and_sources():
    for target in TARGETS.values():
        assert all(format in FILES for format in target.formats)
        assert target.name == HOST or target.facts
        assert all(fact.text and fact.source for fact in target.facts)
