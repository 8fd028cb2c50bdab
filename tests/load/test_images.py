"""Image files become exactly the tensor that their Preprocessing describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.errors import CalibrationError, RecipeError
from edgekit.load.image_folder import list_images
from edgekit.load.images import fit_geometry, from_pixels, read_image
from edgekit.load.presets import default_preprocessing, parse_preprocessing, preprocessing_of
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.spec import TensorSpec

RAW = Preprocessing((8, 6), mean=(0.0,), std=(1.0,))
SPEC = TensorSpec("x", (1, 3, 224, 224), batch_axis=0)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_lossless_pixels_arrive_unchanged_in_every_layout(tmp_path: Path) -> None:
    pixels = noise(8, 6)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", RAW)[0], pixels.transpose(2, 0, 1))
    bgr = Preprocessing((8, 6), mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0), layout="NHWC", color="BGR")
    wanted = (pixels[:, :, ::-1].astype(np.float32) - [1, 2, 3]) / [2, 4, 8]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", bgr)[0], wanted)


def test_modes_are_converted(tmp_path: Path) -> None:
    gray = noise(8, 6, 1)
    deep = gray.astype(np.uint16) << 8 | 17
    cases = {
        "l.png": Image.fromarray(gray),
        "la.png": Image.merge("LA", [Image.fromarray(gray), Image.new("L", (6, 8), 7)]),
        "rgba.png": Image.merge("RGBA", [Image.fromarray(gray)] * 3 + [Image.new("L", (6, 8), 7)]),
        "deep.png": Image.fromarray(deep),
        "deep.tif": Image.fromarray(deep.astype(np.int32)),
    }
    for name, image in cases.items():
        image.save(tmp_path / name)
        got = read_image(tmp_path / name, RAW)
        np.testing.assert_array_equal(got[0], np.stack([gray] * 3), err_msg=name)
    palette = Image.fromarray(noise(8, 6)).quantize(16)
    palette.save(tmp_path / "p.png", transparency=3)
    read_image(tmp_path / "p.png", RAW)
    Image.new("CMYK", (6, 8), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=100)
    assert abs(read_image(tmp_path / "c.jpg", RAW)[0, :, 0, 0] - [255, 0, 0]).max() < 8
    Image.fromarray(gray.astype(np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(CalibrationError, match=r"f\.tif: it holds float pixels"):
        read_image(tmp_path / "f.tif", RAW)


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    pixels = noise(6, 8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show rotated by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png", RAW)[0], np.rot90(pixels, -1).transpose(2, 0, 1))


def test_geometry_is_that_of_torchvision() -> None:
    # torchvision Resize(8) of 20x13 gives 12x8 (long side floored); CenterCrop((8, 6)) then starts at round(2.0).
    image = Image.fromarray(noise(20, 13))
    recipe = Preprocessing((8, 6), resize=8)
    got = np.asarray(fit_geometry(image, recipe))
    wanted = np.asarray(image.resize((8, 12), Image.Resampling.BILINEAR))[2:10, 1:7]
    np.testing.assert_array_equal(got, wanted)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_any_image_gives_the_asked_shape(high: int, wide: int, height: int, width: int, more: int) -> None:
    for resize in (None, max(height, width) + more):
        recipe = Preprocessing((height, width), resize=resize, layout="NHWC")
        assert from_pixels(noise(high, wide), recipe).shape == (1, height, width, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.png", None, "absent.png"),
        ("text.jpg", b"hello", "cannot be decoded"),
        ("empty.png", b"", "cannot be decoded"),
        ("short.png", "truncated", "cannot be decoded"),
        ("bomb.png", "bomb", "refused.*decompression bomb"),
    ],
)
def test_bad_files_are_named(name: str, content: bytes | str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "truncated":
        Image.fromarray(noise(100, 100)).save(path)
        path.write_bytes(path.read_bytes()[:5000])
    elif content == "bomb":
        Image.new("1", (20000, 20000)).save(path)
    with pytest.raises(CalibrationError, match=message) as caught:
        read_image(path, RAW)
    assert name in str(caught.value)
    assert caught.value.hint


def test_a_strip_is_not_blown_up() -> None:
    with pytest.raises(CalibrationError, match="would be resized"):
        from_pixels(noise(1, 5000), Preprocessing((224, 224), resize=256))


def make_folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name, format="PNG")
    return root


def test_folders_are_searched_and_hidden_files_left_out(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "a", "z.PNG", "deep/er/b.png", "._z.png", ".cache/c.png")
    (root / "notes.txt").write_text("no image")
    found = list_images(root)
    assert [path.relative_to(root).as_posix() for path in found.paths] == ["deep/er/b.png", "z.PNG"]
    assert found.classes is None  # not every image sits in a folder of its class


def test_labels_from_files_and_folders(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "a", "10/1.png", "9/1.png", "9/2.png")
    assert list(list_images(root).classes) == [10, 9, 9]
    (root / "labels.csv").write_text("file,label\n9/1.png,cat\n9/2.png,ant\n10/1.png,bee\n")
    assert list(list_images(root).classes) == [1, 2, 0]
    (root / "labels.csv").unlink()
    (root / "labels.txt").write_text("10/1.png 4\n9/1.png 5\n\n9/2.png 600\n")
    assert list(list_images(root).classes) == [4, 5, 600]
    (root / "labels.txt").write_text("10/1.png 4\n")
    with pytest.raises(CalibrationError, match=r"no label for 2 of 3 images, first 9/1\.png"):
        list_images(root)
    (root / "labels.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(CalibrationError, match="not UTF-8"):
        list_images(root)


def test_presets_fit_the_input() -> None:
    assert preprocessing_of("imagenet", SPEC).resize == 256
    lite = preprocessing_of("efficientnet-lite", SPEC)
    assert (lite.mean, lite.std, lite.interpolation) == ((127.0,), (128.0,), "bicubic")
    small = preprocessing_of("-1..1", TensorSpec("x", (1, 32, 32, 3)))
    assert (small.layout, small.resize, small.mean) == ("NHWC", None, (127.5,))
    gray, finding = default_preprocessing(TensorSpec("x", (1, 1, 28, 28)))
    assert (gray.color, gray.std, finding.code) == ("L", (255.0,), "preprocessing-assumed")
    for shape in ((1, 16), (1, 7, 9, 9), (1, 3, 8)):
        with pytest.raises(CalibrationError, match="an image input is"):
            preprocessing_of("unit", TensorSpec("x", shape))
    with pytest.raises(RecipeError, match="no preprocessing preset is called 'imgnet'"):
        preprocessing_of("imgnet", SPEC)


def test_one_line_forms() -> None:
    assert parse_preprocessing("lite", SPEC) == preprocessing_of("lite", SPEC)
    wide = parse_preprocessing("imagenet, size=192x160, interpolation=bicubic", SPEC)
    assert (wide.size, wide.resize, wide.interpolation) == ((192, 160), 219, "bicubic")
    own = parse_preprocessing("mean=1/2/3,std=4,size=32,resize=none,color=BGR")
    assert own == Preprocessing((32, 32), None, (1.0, 2.0, 3.0), (4.0,), color="BGR")
    assert parse_preprocessing("0..1,size=300,color=L").channels == 1
    with pytest.raises(RecipeError, match="no preprocessing preset"):
        parse_preprocessing("", SPEC)
    for text, message in (
        ("imagenet", "does not say the image size"),
        ("size=32", "neither a preset"),
        ("lite,size=tall", "is not made of numbers"),
        ("lite,size=32,size=33", "given twice"),
        ("lite,size=32,colour=RGB", "unknown preprocessing field"),
        ("lite,size=32,color=", "has no value"),
        ("lite,size=32,std=0", "std must be positive"),
        ("lite,size=32,resize=16", "resize must be in 32"),
        ("lite,size=1x2x3", "is not made of numbers"),
        ("lite,size=0", "size must be"),
        ("", "does not say the image size"),
    ):
        with pytest.raises(RecipeError, match=message):
            parse_preprocessing(text)
