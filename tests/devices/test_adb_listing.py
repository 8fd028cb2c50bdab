"""On recorded text: no two phones with one serial were at hand."""

import pytest

from edgekit.devices.adb_listing import AdbEntry, choose_device, parse_devices
from edgekit.errors import DeviceError

RECORDED = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
0123456789ABCDEF       device usb:1-1 product:rk3588 model:board device:rk3588 transport_id:1
0123456789ABCDEF       device usb:1-2 product:rk3588 model:board device:rk3588 transport_id:4
R58M123ABCD            unauthorized usb:3-2 transport_id:2
emulator-5554          device product:sdk_gphone64_x86_64 model:sdk device:emu64x transport_id:3
192.168.1.20:5555      offline transport_id:5
ZY22                   no permissions (missing udev rules? user is in plugdev); see [URL] usb:1-4 transport_id:6
adb-R58M-x._adb-tls-connect._tcp device product:a51 model:SM_A515F device:a51 transport_id:7
OLD                    recovery
"""


def test_every_line_is_read():
    entries = parse_devices(RECORDED)
    assert [(entry.serial, entry.state, entry.transport) for entry in entries] == [
        ("0123456789ABCDEF", "device", "1"),
        ("0123456789ABCDEF", "device", "4"),
        ("R58M123ABCD", "unauthorized", "2"),
        ("emulator-5554", "device", "3"),
        ("192.168.1.20:5555", "offline", "5"),
        ("ZY22", "no permissions", "6"),
        ("adb-R58M-x._adb-tls-connect._tcp", "device", "7"),
        ("OLD", "recovery", ""),
    ]


def test_nothing_is_read_from_no_devices():
    assert parse_devices("List of devices attached\n\n") == ()
    assert parse_devices("") == ()
    assert parse_devices("error: cannot connect to daemon\n") == ()


def test_one_of_its_serial_is_chosen():
    assert choose_device(parse_devices(RECORDED), "emulator-5554").transport == "3"


def test_two_devices_of_the_same_serial_are_told_apart_by_transport():
    entries = parse_devices(RECORDED)
    with pytest.raises(DeviceError, match="2 devices have the serial '0123456789ABCDEF'") as caught:
        choose_device(entries, "0123456789ABCDEF")
    assert "adb:0123456789ABCDEF?transport=1 (usb:1-1 " in caught.value.hint
    assert "adb:0123456789ABCDEF?transport=4 (usb:1-2 " in caught.value.hint
    assert choose_device(entries, "0123456789ABCDEF", transport="4").details.startswith("usb:1-2 ")


def test_a_transport_of_another_device_is_refused():
    with pytest.raises(DeviceError, match="no device '0123456789ABCDEF' has transport 3") as caught:
        choose_device(parse_devices(RECORDED), "0123456789ABCDEF", transport="3")
    assert "plugged in again" in caught.value.hint


@pytest.mark.parametrize(
    ("serial", "said", "hint"),
    [
        ("R58M123ABCD", "it is 'unauthorized'", "accept this computer's key"),
        ("192.168.1.20:5555", "it is 'offline'", "adb reconnect"),
        ("ZY22", "it is 'no permissions'", "android-sdk-platform-tools-common"),
        ("OLD", "it is 'recovery'", "adb reboot"),
        ("absent", "no device 'absent'; it lists 0123456789ABCDEF, 192.168.1.20:5555, ", "USB debugging"),
        ("10.0.0.9:5555", "no device '10.0.0.9:5555'", "adb connect 10.0.0.9:5555"),
    ],
)
def test_one_that_cannot_be_used_is_told_with_what_to_do(serial, said, hint):
    with pytest.raises(DeviceError, match=r"^adb:x: ") as caught:
        choose_device(parse_devices(RECORDED), serial, device="adb:x")
    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_a_state_that_nobody_knows_is_told_as_it_is():
    with pytest.raises(DeviceError, match="it is 'dreaming'"):
        choose_device((AdbEntry("x", "dreaming"),), "x")


def test_an_empty_list_says_none():
    with pytest.raises(DeviceError, match="it lists none"):
        choose_device((), "x")
