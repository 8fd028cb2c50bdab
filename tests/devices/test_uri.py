from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.devices.uri import DeviceUri, SshAddress, parse_ssh_address, parse_uri
from edgekit.errors import InputError


@pytest.mark.parametrize(
    ("text", "kind", "address", "options"),
    [
        ("local:", "local", "", {}),
        (" local:?python=/opt/py/bin/python3 ", "local", "", {"python": "/opt/py/bin/python3"}),
        ("ssh://pi@10.0.0.7:2222", "ssh", "//pi@10.0.0.7:2222", {}),
        ("ssh://[fe80::1]:22", "ssh", "//[fe80::1]:22", {}),
        ("adb:0123456789ABCDEF", "adb", "0123456789ABCDEF", {}),
        ("adb:127.0.0.1:5555?transport=3", "adb", "127.0.0.1:5555", {"transport": "3"}),
        ("qemu-user:cortex-a72", "qemu-user", "cortex-a72", {}),
        ("rack:board-7?slot=2", "rack", "board-7", {"slot": "2"}),
    ],
)
def test_the_parts_are_found(text, kind, address, options):
    uri = parse_uri(text)
    assert (uri.kind, uri.address, dict(uri.options)) == (kind, address, options)


def test_values_are_percent_decoded_and_keep_their_plus():
    uri = parse_uri("ssh://pi@host?hostkey=SHA256:a+b/c&python=taskset%20-c%200%20%22my%20python%22&key=a=b")
    assert uri.options["hostkey"] == "SHA256:a+b/c"
    assert uri.options["key"] == "a=b"
    assert uri.python == ("taskset", "-c", "0", "my python")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("//host", SshAddress("", "host", None)),
        ("//pi@host/", SshAddress("pi", "host", None)),
        ("//pi@host:2222", SshAddress("pi", "host", 2222)),
        ("//pi@[::1]:2222", SshAddress("pi", "::1", 2222)),
        ("//my%40name@host", SshAddress("my@name", "host", None)),
    ],
)
def test_an_ssh_address_has_user_host_and_port(address, expected):
    assert parse_ssh_address(DeviceUri("ssh", address)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raspberrypi", "is no device"),
        ("", "is no device"),
        ("SSH://pi@host", "is no device"),
        ("local:here", "no address"),
        ("ssh://", "does not say which"),
        ("ssh:pi@host", "no address for ssh"),
        ("ssh://pi@host/folder", "no address for ssh"),
        ("ssh://pi@host:0", "no address for ssh"),
        ("ssh://pi@host:70000", "no address for ssh"),
        ("adb:", "does not say which"),
        ("qemu-user:", "does not say which"),
        ("local:?python", "has no value"),
        ("local:?python=", "has no value"),
        ("local:?", "has no value"),
        ("local:?python=a&python=b", "given twice"),
    ],
)
def test_what_cannot_be_one_is_refused(text, said):
    with pytest.raises(InputError, match=said):
        parse_uri(text)


def test_an_open_quote_is_refused():
    with pytest.raises(InputError, match="No closing quotation"):
        _ = parse_uri("local:?python='a").python


@pytest.mark.parametrize("text", ["ssh://pi:hunter2@host", "ssh://pi:hunter2@host/x?key=y", "SSH://pi:hunter2@host"])
def test_a_password_is_refused_and_not_repeated(text):
    with pytest.raises(InputError) as caught:
        parse_uri(text)
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_the_display_form_has_no_files_of_the_user_and_nothing_unknown():
    uri = parse_uri("ssh://pi@host?key=/home/me/.ssh/id&hostkey=SHA256:x&known_hosts=/home/me/k&python=py&token=s3cret")
    assert uri.display == "ssh://pi@host?python=py"


def test_an_option_that_the_device_lacks_names_those_it_has():
    with pytest.raises(InputError, match="'local:' has no option 'colour'") as caught:
        parse_uri("local:?colour=red").allow("python", "folder")
    assert "?folder=" in caught.value.hint


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text):
    with suppress(InputError):
        parse_uri(text)
