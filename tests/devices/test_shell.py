"""The commands are said to a real sh, and to the small tools of boards and phones."""

import subprocess
import sys
import time

import pytest

from edgekit.devices import shell
from edgekit.errors import InputError
from tests.devices.parts import find_program


def say(command, **options):
    return subprocess.run(("sh", "-c", command), capture_output=True, text=True, **options)


def test_a_folder_is_made_private_and_named_by_its_real_path(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    folder = shell.parse_folder(say(shell.make_folder(f"{tmp_path}/link")).stdout)
    assert folder.startswith(f"{tmp_path}/real/edgekit.")
    made = next((tmp_path / "real").iterdir())
    assert made.stat().st_mode & 0o777 == 0o700


def test_without_a_place_for_temporary_files_the_folder_is_made_at_home(tmp_path):
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "absent"), "HOME": str(tmp_path)}
    done = say(shell.make_folder(""), env=environment)
    assert shell.parse_folder(done.stdout).startswith(f"{tmp_path}/edgekit.")
    assert not done.stderr


@pytest.mark.parametrize("parent", ["relative", "/with space", "/a;rm", "~/x", "/$HOME"])
def test_a_parent_that_needs_quoting_is_refused(parent):
    with pytest.raises(InputError, match="no absolute path"):
        shell.make_folder(parent)


@pytest.mark.parametrize(
    "text", ["", "/\n", "/home/pi\n", "/tmp/edgekit.a1B2c3/..", "bash: no such thing\n", "edgekit.a1B2c3"]
)
def test_what_is_no_folder_of_ours_is_not_taken_for_one(text):
    assert shell.parse_folder(text) == ""


def test_removing_tells_what_stays(tmp_path):
    folder = tmp_path / "it's mine"
    folder.mkdir()
    (folder / "file").touch()
    assert say(shell.remove(str(folder))).stdout == ""
    assert not folder.exists()
    assert say(shell.remove("/proc/self")).stdout == "/proc/self\n"


def test_ending_hits_what_works_in_the_folder_and_nothing_else(tmp_path):
    ours, other = tmp_path / "edgekit.a1B2c3", tmp_path / "edgekitXa1B2c3"
    for folder in (ours, other, ours / "below"):
        folder.mkdir()
    wait = (sys.executable, "-c", "import sys; sys.stdin.read()")
    processes = {
        folder: subprocess.Popen(wait, cwd=folder, stdin=subprocess.PIPE, start_new_session=True)
        for folder in (ours, other, ours / "below")
    }
    try:
        assert say(shell.end_all_in(str(ours))).returncode == 0
        time.sleep(0.2)
        codes = {folder.name: process.poll() for folder, process in processes.items()}
        assert codes == {ours.name: -9, other.name: None, "below": None}
    finally:
        for process in processes.values():
            process.communicate()


@pytest.mark.parametrize("box", ["busybox", "toybox"])
def test_small_tools_understand_all_of_it(tmp_path, box):
    """Alpine and OpenWrt have busybox, Android has toybox."""
    program = find_program(box, box)
    applets = tmp_path / "bin"
    applets.mkdir()
    (applets / "sh").symlink_to("/bin/sh")
    for name in ("mktemp", "ls", "sed", "kill", "rm", "cat", "df"):
        (applets / name).symlink_to(program)
    environment = {"PATH": str(applets), "TMPDIR": str(tmp_path)}

    def speak(command, text=""):
        return subprocess.run(("/bin/sh", "-c", command), capture_output=True, text=True, env=environment, input=text)

    folder = shell.parse_folder(speak(shell.make_folder("")).stdout)
    assert folder
    assert speak(shell.receive(folder, "file"), "text").returncode == 0
    assert speak(shell.send(folder, "file")).stdout == "text"
    assert shell.parse_space(speak(shell.show_space(folder)).stdout)
    waiting = subprocess.Popen((sys.executable, "-c", "input()"), cwd=folder, stdin=subprocess.PIPE)
    try:
        speak(shell.end_all_in(folder))
        assert waiting.wait(5) == -9
    finally:
        waiting.communicate()
    assert speak(shell.remove(folder)).stdout == ""


def test_space_is_read_from_every_layout_of_df():
    wrapped = (
        "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/block/dm-9-of-long-name\n 1000 900 100 90% /data\n"
    )
    assert shell.parse_space(wrapped) == (102_400, 1_024_000)
    assert shell.parse_space("df: /x: No such file or directory\n") is None
    assert shell.parse_space("") is None


def test_space_is_blamed_only_when_it_is_why():
    text = "Filesystem 1K-blocks Used Available Use% Mounted on\ntmpfs 1024 1000 24 98% /tmp\n"
    assert "24.6 kB of 1.0 MB are free, 100.0 kB" in shell.describe_space(text, needed_bytes=100_000)
    assert shell.describe_space(text, needed_bytes=10_000) == ""
    assert shell.describe_space("nonsense", needed_bytes=10**12) == ""
