"""Who is let in, and whom we trust: every refusal is another message, and says what to do."""

import errno
import getpass
import shutil
import socket
import subprocess
import threading
import time

import pytest

from edgekit.devices import ssh_connection
from edgekit.devices.opening import open_device
from edgekit.devices.ssh_connection import SshPlace, explain_unreachable
from edgekit.errors import DeviceError, DeviceTimeoutError, InputError
from tests.devices.parts import find_program, free_port
from tests.devices.ssh_server import run_sshd


def refusal(uri):
    """What opening it raises."""
    with pytest.raises(DeviceError) as caught:
        open_device(uri)
    assert caught.value.__cause__ is not None
    return caught.value


def works(uri):
    """Open it, and leave nothing."""
    assert open_device(uri).close() == ()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder, and no ssh agent."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "home"


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_any_of_the_hosts_keys_can_be_pinned(sshd, kind):
    works(sshd.uri(known_hosts="", hostkey=sshd.fingerprint(kind)))


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_known_hosts_with_only_one_of_its_keys_is_enough(sshd, tmp_path, kind):
    line = next(line for line in sshd.known_hosts.read_text().splitlines() if kind in line)
    (tmp_path / "known").write_text(line + "\n")
    works(sshd.uri(known_hosts=str(tmp_path / "known")))


def test_hashed_names_in_known_hosts_are_found(sshd, tmp_path):
    shutil.copy(sshd.known_hosts, tmp_path / "known")
    subprocess.run((find_program("ssh-keygen", "openssh-client"), "-q", "-H", "-f", tmp_path / "known"), check=True)
    assert "127.0.0.1" not in (tmp_path / "known").read_text()
    works(sshd.uri(known_hosts=str(tmp_path / "known")))


def test_an_unknown_host_is_refused_with_its_fingerprint_and_how_to_pin_it(sshd, home):
    error = refusal(sshd.uri(known_hosts=""))
    assert "the host is not known" in str(error)
    assert f"{home}/.ssh/known_hosts has no line for it" in str(error)
    shown = sshd.fingerprint("ed25519") if "ed25519" in str(error) else sshd.fingerprint("rsa")
    assert shown in str(error)
    assert f"?hostkey={shown}" in error.hint
    assert "ssh-keygen -lf /etc/ssh/ssh_host_" in error.hint
    works(sshd.uri(known_hosts="", hostkey=error.hint.partition("?hostkey=")[2].partition(",")[0]))


def test_a_changed_key_is_refused_with_another_message(sshd, tmp_path):
    other = (sshd.folder / "other.pub").read_text().split()[1]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} ssh-ed25519 {other}\n")
    error = refusal(sshd.uri(known_hosts=str(tmp_path / "known")))
    assert "the host's key has changed" in str(error)
    assert sshd.fingerprint("ed25519") in str(error)
    assert f"ssh-keygen -f {tmp_path}/known -R '[127.0.0.1]:{sshd.port}'" in error.hint


def test_a_key_of_a_kind_that_the_host_has_no_more_is_a_change_too(ssh_keys, tmp_path):
    with run_sshd(ssh_keys, more="HostKeyAlgorithms rsa-sha2-512") as server:
        line = next(line for line in server.known_hosts.read_text().splitlines() if "ed25519" in line)
        (tmp_path / "known").write_text(line + "\n")
        error = refusal(server.uri(known_hosts=str(tmp_path / "known")))
    assert "the host's key has changed" in str(error)
    assert f"it showed rsa {server.fingerprint('rsa')}" in str(error)


def test_a_pin_that_does_not_match_shows_every_key_of_the_host(sshd):
    error = refusal(sshd.uri(known_hosts="", hostkey="SHA256:" + "A" * 43))
    assert "is not the pinned SHA256:AAAA" in str(error)
    assert sshd.fingerprint("ed25519") in str(error)
    assert sshd.fingerprint("rsa") in str(error)
    assert "do not go on" in error.hint


def test_a_pin_outweighs_known_hosts(sshd):
    assert "is not the pinned" in str(refusal(sshd.uri(hostkey="SHA256:" + "A" * 43)))


def test_a_revoked_key_is_refused(sshd, tmp_path):
    text = sshd.known_hosts.read_text()
    (tmp_path / "known").write_text("".join(f"@revoked {line}\n" for line in text.splitlines()))
    assert "revoked" in str(refusal(sshd.uri(known_hosts=str(tmp_path / "known"))))


@pytest.mark.parametrize("pin", ["SHA256:short", "MD5:00:11", "SHA256:" + "!" * 43])
def test_what_is_no_fingerprint_is_refused_before_connecting(pin):
    with pytest.raises(InputError, match="is no fingerprint"):
        open_device(f"ssh://127.0.0.1:{free_port()}?hostkey={pin}")


def test_a_known_hosts_file_must_be_there_when_it_is_named(tmp_path):
    with pytest.raises(InputError, match="no known_hosts file"):
        open_device(f"ssh://127.0.0.1?known_hosts={tmp_path}/absent")


def test_a_wrong_key_is_refused(sshd):
    error = refusal(sshd.uri(key=str(sshd.folder / "other")))
    assert f"does not let '{getpass.getuser()}' in with the key {sshd.folder}/other" in str(error)
    assert f"ssh-copy-id -p {sshd.port}" in error.hint


def test_no_key_at_all_is_refused(sshd, home):
    error = refusal(sshd.uri(key=""))
    assert "with any key of the ssh agent and of ~/.ssh" in str(error)
    assert "?key=FILE" in error.hint


def test_a_missing_key_file_is_told(sshd, tmp_path):
    error = refusal(sshd.uri(key=str(tmp_path / "absent")))
    assert f"the key {tmp_path}/absent cannot be read: No such file" in str(error)


def test_a_public_key_is_no_private_one(sshd):
    assert "is no private key" in str(refusal(sshd.uri(key=str(sshd.folder / "user.pub"))))


def test_no_error_shows_a_key_or_a_passphrase(sshd, tmp_path):
    secret = tmp_path / "secret"
    keygen = find_program("ssh-keygen", "openssh-client")
    subprocess.run((keygen, "-q", "-t", "ed25519", "-N", "open sesame", "-f", secret), check=True)
    broken = tmp_path / "broken"
    text = (sshd.folder / "user").read_text()
    broken.write_text(text.replace("AAAA", "AAAB"))
    for file, said, hint in ((secret, "has a passphrase", "ssh-add"), (broken, "is no private key", "")):
        error = refusal(sshd.uri(key=str(file)))
        told = f"{error} {error.hint} {error.__cause__}"
        assert said in told
        assert hint in error.hint
        for line in file.read_text().splitlines()[1:-1]:
            assert line not in told
        assert "sesame" not in told


def test_the_agent_is_asked_when_no_key_is_named(sshd, home, tmp_path, monkeypatch):
    agent = subprocess.Popen((find_program("ssh-agent", "openssh-client"), "-D", "-a", tmp_path / "agent"), stdout=-3)
    try:
        for _ in range(100):
            if (tmp_path / "agent").exists():
                break
            time.sleep(0.05)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        subprocess.run(("ssh-add", "-q", sshd.folder / "user"), check=True)
        works(sshd.uri(key=""))
    finally:
        agent.kill()
        agent.wait()


def test_an_alias_of_the_users_ssh_configuration_works(sshd, home):
    shutil.copy(sshd.known_hosts, home / ".ssh" / "known_hosts")
    (home / ".ssh" / "config").write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {sshd.folder}/user\n"
    )
    works("ssh://board")


def test_a_configuration_that_cannot_be_read_is_told(home):
    (home / ".ssh" / "config").write_text("Port many\n")
    error = refusal("ssh://127.0.0.1")
    assert "a file in ~/.ssh cannot be used (ConfigParseError)" in str(error)


def test_a_closed_port_is_told(home):
    port = free_port()
    error = refusal(f"ssh://127.0.0.1:{port}")
    assert f"no ssh server answers at port {port}" in str(error)
    assert "systemctl enable --now ssh" in error.hint


def test_a_host_that_does_not_answer_is_a_timeout(home, monkeypatch):
    monkeypatch.setattr(ssh_connection.SshConnection.__init__, "__kwdefaults__", {"timeout_s": 0.5})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        error = refusal(f"ssh://127.0.0.1:{silent.getsockname()[1]}")
    assert isinstance(error, DeviceTimeoutError)
    assert "no answer within 0.5 s" in str(error)
    assert time.monotonic() - started < 5


def test_a_server_of_another_kind_is_told(home):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        other.settimeout(10)

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        error = refusal(f"ssh://127.0.0.1:{other.getsockname()[1]}")
        answering.join()
    assert "no connection:" in str(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "there is no host 'board'"),
        (UnicodeError("label too long"), "there is no host 'board'"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "down or in another network"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed"),
            "no ssh server",
        ),
        (OSError("Multiple exceptions: [Errno 101] Connect call failed, [Errno 113] Connect call failed"), "is down"),
        (TimeoutError(), "no answer within 20 s"),
    ],
)
def test_what_the_network_says_is_put_in_words(error, said):
    told = explain_unreachable(error, SshPlace("board"), "ssh://board", timeout_s=20)
    assert said in str(told)
    assert told.hint
