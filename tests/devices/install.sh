#!/usr/bin/env bash
# What the tests of devices need of a Debian 12: an ssh server, adb, qemu, other shells, a browser.
set -euo pipefail

packages=(
    openssh-server openssh-client adb mmdebstrap iproute2 util-linux # ssh: and adb:
    qemu-system-arm busybox-static mksh toybox cpio                   # emulators, and the shells of bare devices
    chromium                                                          # the page
)
missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    exit 0
fi
if [[ $(id -u) != 0 ]]; then
    echo "as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
