from edgekit.bench.probes.android import read_phone, read_release
from edgekit.bench.probes.reading import Reading, reading_of


def test_a_phone(recorded):
    reading = reading_of(recorded("pixel_6"))
    assert read_phone(reading) == "Pixel 6 (Tensor)"
    assert read_release(reading) == "14"


def test_a_phone_without_the_name_of_its_chip():
    outputs = {"getprop ro.product.model": "SM-A525F\n", "getprop ro.build.version.release": "11\n"}
    assert read_phone(Reading(outputs=outputs)) == "SM-A525F"


def test_no_android(recorded):
    assert read_phone(reading_of(recorded("laptop"))) == ""
