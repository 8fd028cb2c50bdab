import pytest

from edgekit.devices.local import LocalDevice
from edgekit.devices.opening import open_device
from edgekit.errors import DeviceError, InputError
from edgekit.testing.device_check import check_device
from edgekit.types.bench import Kind


def test_it_keeps_every_promise_of_a_device():
    check_device(LocalDevice)


def test_it_is_real_and_its_folder_private(tmp_path):
    device = open_device(f"local:?folder={tmp_path}")
    try:
        assert (device.uri, device.kind, device.emulated) == (f"local:?folder={tmp_path}", Kind.WALL_NS, "")
        assert device.folder.parent == tmp_path
        assert device.folder.stat().st_mode & 0o777 == 0o700
    finally:
        assert device.close() == ()
    assert list(tmp_path.iterdir()) == []


def test_no_space_is_told_with_what_there_is(small_disk):
    device = open_device(f"local:?folder={small_disk}")
    try:
        with pytest.raises(
            DeviceError, match=r"'model' cannot be written: no space in .*, \S+ k?B of 1.0 MB"
        ) as caught:
            device.push({"model": b"x" * 2_000_000})
        assert "?folder=" in caught.value.hint
    finally:
        assert device.close() == ()


def test_a_folder_that_cannot_be_made_is_told():
    with pytest.raises(DeviceError, match=r"no folder can be made in /no/such: No such file") as caught:
        open_device("local:?folder=/no/such")
    assert "?folder=" in caught.value.hint


def test_another_option_is_refused():
    with pytest.raises(InputError, match="no option 'hostkey'"):
        open_device("local:?hostkey=x")
