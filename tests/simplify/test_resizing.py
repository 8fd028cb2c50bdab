import numpy as np
import pytest

from edgekit.errors import UnsupportedOpError


def model(attributes, operands="x, , scales", size="1,2,4,6"):
    return f"(float[{size}] x) => (float y) {{ y = Resize <{attributes}> ({operands}) }}"


@pytest.mark.parametrize("mode", ['mode="nearest"', 'mode="linear"'])
@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
def test_modes_and_coordinates(check, mode, coordinates):
    attributes = f'{mode}, coordinate_transformation_mode="{coordinates}", nearest_mode="floor"'
    found = check(model(attributes), {"scales": np.float32([1, 1, 2, 2.5])})
    assert found.node("Resize").attributes["sizes"] == (8, 15)
    assert found.node("Resize").attributes["coordinates"] == coordinates.removeprefix("pytorch_")


def test_sizes_and_axes(check):
    found = check(model('mode="linear", axes=[3,2]', "x, , , sizes"), {"sizes": np.int64([9, 7])})
    assert found.node("Resize").attributes["sizes"] == (7, 9)


def test_old_resize_is_asymmetric(check):
    found = check(model('mode="nearest"', "x, scales"), {"scales": np.float32([1, 1, 2, 2])}, opset=10)
    assert found.node("Resize").attributes == {
        "sizes": (8, 12),
        "mode": "nearest",
        "coordinates": "asymmetric",
        "nearest_mode": "floor",
    }


def test_to_one_pixel(check):
    attributes = 'mode="linear", coordinate_transformation_mode="pytorch_half_pixel"'
    found = check(model(attributes, "x, , , sizes"), {"sizes": np.int64([1, 2, 1, 1])})
    assert found.node("Resize").attributes["coordinates"] == "asymmetric"


@pytest.mark.parametrize(
    ("attributes", "scales", "reason"),
    [
        ('mode="cubic"', [1, 1, 2, 2], "cubic"),
        ('mode="linear", antialias=1', [1, 1, 0.5, 0.5], "antialiased"),
        ('mode="linear"', [1, 1, 1.4, 2], "not the whole number"),
        ('mode="nearest"', [1, 2, 1, 1], "only the spatial axes"),
    ],
)
def test_refusals(check, attributes, scales, reason):
    with pytest.raises(UnsupportedOpError, match=reason):
        check(model(attributes), {"scales": np.float32(scales)})
