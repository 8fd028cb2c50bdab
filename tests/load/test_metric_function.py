import pytest

from edgekit.errors import InputError
from edgekit.load.metric_function import load_metric


def test_a_function_in_a_file(tmp_path):
    path = tmp_path / "task.py"
    path.write_text("def score(outputs, label):\n    return 0.5\n")
    assert load_metric(f"{path}:score")({}, None) == 0.5


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nothing", "is no metric"),
        ("absent.py:score", "there is no file absent.py"),
        ("no_such_module_here:score", "raised ModuleNotFoundError"),
        ("{}:other", "has no other .asked for as the metric"),
        ("{}:limit", "is a int, not a function"),
    ],
)
def test_what_cannot_be_used_is_named(place, said, tmp_path):
    path = tmp_path / "task.py"
    path.write_text("limit = 3\ndef score(outputs, label):\n    return 0.5\n")
    with pytest.raises(InputError, match=said):
        load_metric(place.format(path))
