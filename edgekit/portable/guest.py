"""The emulated ARM machine's software: a kernel of Debian, and one initramfs with sshd and the portable runtime.

Everything is in memory: there is no disk, no udev and no init system, so that a boot costs a few hundred million
instructions. Its only network is a port of the host's loopback.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edgekit.errors import DeviceError
from edgekit.portable.cache import key_of
from edgekit.portable.commands import find_program, run_program
from edgekit.portable.debian import DebianArchive
from edgekit.portable.initramfs import write_initramfs
from edgekit.portable.runtime import SUITE
from edgekit.types.progress import Progress

RECIPE = 1
"""Counted up when the same ingredients are to be put together in another way."""
KERNEL_PACKAGE = "linux-image-cloud-arm64"
"""The kernel for virtual machines; a third of the usual one."""
MODULES = ("virtio", "virtio_ring", "virtio_mmio", "failover", "net_failover", "virtio_net")
"""What the network card needs, in the order of loading."""
PACKAGES = (
    "busybox-static",
    "openssh-server",
    *("libc6", "libcrypt1", "libssl3", "zlib1g"),
    *("libaudit1", "libcap-ng0", "libpam0g", "libselinux1", "libpcre2-8-0", "libwrap0", "libnsl2", "libtirpc3"),
    *("libsystemd0", "libcap2", "libgcrypt20", "libgpg-error0", "liblz4-1", "liblzma5", "libzstd1"),
    *("libgssapi-krb5-2", "libkrb5-3", "libkrb5support0", "libk5crypto3", "libkeyutils1", "libcom-err2"),
)
"""sshd, and the libraries it is linked with."""
NEEDLESS = ("usr/share", "usr/lib/aarch64-linux-gnu/gconv", "usr/lib/aarch64-linux-gnu/perl-base", "lib/systemd")
READY = "Server listening on"
"""What sshd writes to the serial console once it answers."""
PYTHON = "/runtime/python"
KERNEL, INITRAMFS, CLIENT_KEY, FINGERPRINT = "kernel", "initramfs", "client_key", "fingerprint"
HOST_KEY = "host_key"
FILES = {
    "init": f"""\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/usr/sbin HOME=/root
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmp /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
ln -s /proc/self/fd /dev/fd
for module in {" ".join(MODULES)}; do insmod /modules/$module.ko; done
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config
poweroff -f
""",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    # PYTHONHASHSEED: the order of a dict is to cost the same number of instructions in every process.
    "etc/ssh/sshd_config": f"""\
AddressFamily inet
HostKey /etc/ssh/{HOST_KEY}
AuthenticationMethods publickey
AuthorizedKeysFile /root/.ssh/authorized_keys
StrictModes no
UsePAM no
UseDNS no
LoginGraceTime 0
MaxSessions 100
PidFile none
PrintMotd no
SetEnv PYTHONHASHSEED=0
Subsystem sftp internal-sftp
""",
}
"""Files of the machine; sshd's version of 9.2 knows the options."""
FOLDERS = ("proc", "sys", "tmp", "root/.ssh", "run/sshd", "bin", "etc/ssh", "modules", "var/log")


def guest_key(runtime_key: str) -> str:
    """Key of everything that the machine is made of."""
    return key_of(RECIPE, SUITE, KERNEL_PACKAGE, MODULES, PACKAGES, NEEDLESS, FILES, runtime_key)


def build_guest(folder: Path, runtime: Path, progress: Progress) -> None:
    """Make the kernel, the initramfs, the key that logs in and the fingerprint of the machine's own.

    Args:
        folder: To be filled.
        runtime: The aarch64 runtime, unpacked.
        progress: Who watches.

    Raises:
        DeviceError: This machine has no apt with a mirror of Debian, no ssh-keygen, or no network.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        scratch, root = Path(place), Path(place) / "root"
        with progress.stage("fetch the emulated machine's kernel and sshd"):
            archive = DebianArchive(SUITE, "arm64", scratch / "apt")
            archive.unpack(PACKAGES, root)
            archive.unpack((archive.resolve(KERNEL_PACKAGE),), scratch / "kernel")
        with progress.stage("put the emulated machine together"):
            for name in NEEDLESS:
                shutil.rmtree(root / name, ignore_errors=True)
            for name in FOLDERS:
                (root / name).mkdir(parents=True, exist_ok=True)
            for name, contents in FILES.items():
                (root / name).write_text(contents)
            (root / "init").chmod(0o755)
            _copy_kernel(scratch / "kernel", folder / KERNEL, root / "modules")
            _make_keys(folder, root)
            write_initramfs(folder / INITRAMFS, {"": root, "runtime": runtime})


def _copy_kernel(package: Path, to: Path, modules: Path) -> None:
    images = sorted((package / "boot").glob("vmlinuz-*"))
    if len(images) != 1:
        raise DeviceError(f"the package {KERNEL_PACKAGE} holds {len(images)} kernels instead of one")
    shutil.copyfile(images[0], to)
    for name in MODULES:
        files = sorted(package.rglob(f"{name}.ko"))
        if len(files) != 1:
            raise DeviceError(f"the package {KERNEL_PACKAGE} has no module {name}.ko")
        shutil.copyfile(files[0], modules / files[0].name)


def _make_keys(folder: Path, root: Path) -> None:
    """Throwaway keys: whoever reads this cache may enter the emulated machine, which has nothing to take."""
    keygen = find_program("ssh-keygen", package="openssh-client")
    for key in (folder / HOST_KEY, folder / CLIENT_KEY):
        run_program((keygen, "-q", "-t", "ed25519", "-N", "", "-C", "edgekit", "-f", key), doing="make a key")
    listing = run_program((keygen, "-l", "-E", "sha256", "-f", folder / HOST_KEY), doing="read a key")
    (folder / HOST_KEY).rename(root / "etc/ssh" / HOST_KEY)
    (folder / f"{HOST_KEY}.pub").unlink()
    (folder / f"{CLIENT_KEY}.pub").rename(root / "root/.ssh/authorized_keys")
    (folder / FINGERPRINT).write_text(listing.split()[1])
