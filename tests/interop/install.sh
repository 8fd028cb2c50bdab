#!/usr/bin/env bash
# The independent programs of the tests of interoperability, on Debian 12: a registry, skopeo, oras, the stock
# model_signing, another TUF client, and a PKCS#11 token in software. Nothing is started, and no service is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
own=.interop # what is unpacked here instead of being installed; git ignores it

packages=(skopeo softhsm2 opensc curl golang-go golang-golang-x-mod-dev aria2 zstd)
missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
done
registry=$own/registry/usr/bin/docker-registry
if ((${#missing[@]})) || [[ ! -x $registry ]]; then
    if [[ $(id -u) != 0 ]]; then
        echo "as root: tests/interop/install.sh, for apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    apt-get update -qq
fi
if ((${#missing[@]})); then
    # Without what is recommended: opensc's is a daemon for card readers.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [[ ! -x $registry ]]; then
    # Unpacked, not installed: the package would bring a service that starts with the machine.
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    (cd "$fresh" && apt-get download -qq -o APT::Sandbox::User=root docker-registry)
    mkdir -p "$own/registry"
    dpkg-deb --extract "$fresh"/docker-registry_*.deb "$own/registry"
fi

wanted=$(sha256sum <tests/interop/requirements.txt)
if [[ $(cat .venv-interop/.installed 2>/dev/null) != "$wanted" ]]; then
    rm -rf .venv-interop
    "${PYTHON:-$(command -v python3.11 || command -v python3)}" -m venv .venv-interop
    PIP_QUIET=2 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        .venv-interop/bin/python -m pip install --requirement tests/interop/requirements.txt
    printf '%s\n' "$wanted" >.venv-interop/.installed
fi

tuf_js=3.1.0 # the newest for node 18 and 20
if ! command -v npm >/dev/null; then
    echo "no npm: the tests with tuf-js are skipped; install node 18.17 or newer with its npm" >&2
elif [[ $(cat "$own/node/.installed" 2>/dev/null) != "$tuf_js" ]]; then
    rm -rf "$own/node"
    mkdir -p "$own/node"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$own/node" "tuf-js@$tuf_js"
    echo "$tuf_js" >"$own/node/.installed"
fi

ipfs_car=3.1.0
if ! command -v npm >/dev/null; then
    echo "no npm: the tests with ipfs-car are skipped" >&2
elif [[ $(cat "$own/ipfs-car/.installed" 2>/dev/null) != "$ipfs_car" ]]; then
    rm -rf "$own/ipfs-car"
    mkdir -p "$own/ipfs-car"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$own/ipfs-car" "ipfs-car@$ipfs_car"
    echo "$ipfs_car" >"$own/ipfs-car/.installed"
fi
