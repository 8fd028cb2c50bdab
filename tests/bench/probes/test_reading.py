import pytest

from edgekit.bench.probes.reading import Reading, number, reading_of


def test_only_text_is_kept():
    event = {
        "files": {"/a": "1\n", "/b": 2, "/c": b"3", 4: "x"},
        "commands": {"x": {"code": 0, "out": "y"}, "z": {"out": 1}, "w": "v", "u": None},
    }
    reading = reading_of(event)
    assert reading.files == {"/a": "1\n"}
    assert reading.outputs == {"x": "y"}


@pytest.mark.parametrize("event", [None, [], "x", {"files": [], "commands": 3}, {}])
def test_what_is_no_event_is_an_empty_reading(event):
    assert reading_of(event) == Reading()


def test_a_file_ends_before_its_nul():
    assert Reading(files={"/model": "Board\0\n"}).file("/model") == "Board"
    assert Reading().file("/model") == ""


def test_folders_come_in_the_order_of_their_numbers():
    reading = Reading(files={f"/cpu{core}/x": f" {core}\n" for core in (10, 2, 0)} | {"/other/x": "1"})
    assert list(reading.folders("/cpu[0-9]*")) == ["/cpu0", "/cpu2", "/cpu10"]
    assert reading.folders("/cpu[0-9]*")["/cpu10"] == {"x": "10"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12.0), (" -3.5\n", -3.5), ("nan", None), ("inf", None), ("1e999", None), ("", None), (None, None),
     (True, None), ([], None), (10**400, None), ("x", None)],
)  # fmt: skip
def test_numbers_are_finite(text, value):
    assert number(text) == value


def test_a_number_is_scaled():
    assert number("2500", scale=1e-3) == 2.5


def test_a_device_cannot_send_files_without_end():
    zones = {f"/sys/class/thermal/thermal_zone{number}/temp": "40000" for number in range(10_000)}
    assert len(reading_of({"files": zones}).files) == 2000
