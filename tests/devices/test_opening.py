import io
import sys
import tarfile
from importlib.metadata import EntryPoint

import pytest

from edgekit import plugins
from edgekit.devices.local import LocalDevice
from edgekit.devices.opening import open_device
from edgekit.errors import DeviceError, EdgekitError, InputError


def make_runtime(path, launcher, name="runtime/python"):
    """A portable runtime whose launcher is the given shell script."""
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.mode, member.size = 0o755, len(launcher)
        archive.addfile(member, io.BytesIO(launcher.encode()))
    return path


@pytest.fixture
def uri(tmp_path):
    """This machine, with a place for folders that should be empty in the end."""
    (tmp_path / "there").mkdir()
    yield f"local:?folder={tmp_path / 'there'}"
    assert list((tmp_path / "there").iterdir()) == [], "something was left"


def test_a_runtime_that_is_brought_along_starts_the_programs(tmp_path, uri):
    launcher = f'#!/bin/sh\nBROUGHT=$(dirname "$0") exec {sys.executable} "$@"\n'
    device = open_device(uri, runtime=make_runtime(tmp_path / "runtime.tar.gz", launcher))
    try:
        assert device.python == ("sh", "./runtime/python")
        assert [path.name for path in device.folder.iterdir()] == ["runtime"], "its archive takes space no more"
        with device.start((*device.python, "-c", "import os; print(os.environ['BROUGHT'])"), "") as stream:
            assert list(stream.lines(30)) == ["./runtime"]
    finally:
        assert device.close() == ()


def test_a_runtime_for_another_machine_is_told(tmp_path, uri):
    runtime = make_runtime(
        tmp_path / "runtime.tar.gz", "#!/bin/sh\necho 'cannot execute: Exec format error' >&2; exit 126\n"
    )
    with pytest.raises(DeviceError, match=r"'sh ./runtime/python' does not start there: .*Exec format error") as caught:
        open_device(uri, runtime=runtime)
    assert "uname -m" in caught.value.hint


def test_an_archive_without_a_launcher_is_told(tmp_path, uri):
    with pytest.raises(DeviceError, match=r"'sh ./runtime/python' does not start there"):
        open_device(uri, runtime=make_runtime(tmp_path / "runtime.tar.gz", "", name="other/file"))


def test_a_file_that_is_no_archive_is_told(tmp_path, uri):
    (tmp_path / "runtime.tar.gz").write_bytes(b"nothing of the kind")
    with pytest.raises(DeviceError, match="cannot be unpacked there"):
        open_device(uri, runtime=tmp_path / "runtime.tar.gz")


def test_no_space_for_the_runtime_is_told(tmp_path, small_disk):
    runtime = tmp_path / "runtime.tar.gz"
    with tarfile.open(runtime, "w:gz") as archive:
        member = tarfile.TarInfo("runtime/python")
        member.size = 3_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(DeviceError, match=r"(?s)cannot be unpacked there: tar: .*; \d+ B are free there") as caught:
        open_device(f"local:?folder={small_disk}", runtime=runtime)
    assert "?folder=" in caught.value.hint
    assert list(small_disk.iterdir()) == []


def test_a_runtime_that_is_not_here_is_refused_before_anything_is_opened(tmp_path):
    with pytest.raises(InputError, match="no portable runtime at"):
        open_device("ssh://nobody@host.invalid", runtime=tmp_path / "absent.tar.gz")


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("/no/such/python", "'/no/such/python' cannot be started: No such file"),
        ("false", "'false' does not start there: it ended with 1"),
        ("true", "there is Python in name only"),
        ("sh%20-c%20%22echo%203%207%22", "there is Python 3.7"),
    ],
)
def test_a_python_that_does_not_start_is_told_with_what_to_do(uri, python, said):
    with pytest.raises(DeviceError, match=said) as caught:
        open_device(f"{uri}&python={python}")
    assert "edgekit bench bundle --arch aarch64" in caught.value.hint
    assert "--runtime FILE" in caught.value.hint


def test_a_kind_that_nobody_knows_names_the_nearest():
    with pytest.raises(InputError, match="shh") as caught:
        open_device("shh://pi@host")
    assert "did you mean 'ssh'" in caught.value.hint


def test_another_package_adds_a_device(monkeypatch):
    point = EntryPoint("rack", "tests.devices.test_opening:open_rack", "edgekit.devices")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "edgekit.devices" else [])
    device = open_device("rack:board-7?slot=2")
    try:
        assert device.uri == "rack:board-7"
    finally:
        device.close()


def open_rack(uri):
    assert uri.options == {"slot": "2"}
    return LocalDevice(uri.display)


def test_a_missing_asyncssh_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    for name in [name for name in sys.modules if name.startswith("edgekit.devices.ssh")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(EdgekitError, match="asyncssh") as caught:
        open_device("ssh://pi@host")
    assert "edgekit-ml[bench]" in caught.value.hint
