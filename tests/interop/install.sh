#!/usr/bin/env bash
# The independent programs of the tests of interoperability, on Debian 12: a registry, skopeo, oras, the stock
# model_signing, another TUF client, BitTorrent clients, and a PKCS#11 token in software. Nothing is started, and no
# service is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
own=.interop # what is unpacked here instead of being installed; git ignores it

packages=(skopeo softhsm2 opensc curl golang-go golang-golang-x-mod-dev aria2 rtorrent zstd)
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

# A package of npm in a folder of its own. No script of a package runs, and parts in other languages are left out.
from_npm() { # FOLDER PACKAGE VERSION
    if ! command -v npm >/dev/null; then
        echo "no npm: the tests with $2 are skipped; install node 18.17 or newer with its npm" >&2
    elif [[ $(cat "$own/$1/.installed" 2>/dev/null) != "$3" ]]; then
        rm -rf "${own:?}/$1"
        mkdir -p "$own/$1"
        npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional --prefix "$own/$1" "$2@$3"
        echo "$3" >"$own/$1/.installed"
    fi
}
from_npm node tuf-js 3.1.0 # the newest for node 18 and 20
from_npm ipfs-car ipfs-car 3.1.0
from_npm webtorrent webtorrent 1.9.7 # JavaScript alone; 2.8 imports a part that is compiled

# A gateway of IPFS, and Helia; for node 20. What package.json replaces by nothing, 90 MB, no part of the gateway calls.
wanted=$(sha256sum <tests/interop/ipfs_js/package.json)
if ! command -v npm >/dev/null; then
    echo "no npm: the tests with a gateway of IPFS and with Helia are skipped; install node 20 or newer with its npm" >&2
elif [[ $(cat "$own/ipfs-js/.installed" 2>/dev/null) != "$wanted" ]]; then
    rm -rf "$own/ipfs-js"
    mkdir -p "$own/ipfs-js"
    cp tests/interop/ipfs_js/package.json "$own/ipfs-js"
    npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional --prefix "$own/ipfs-js"
    printf '%s\n' "$wanted" >"$own/ipfs-js/.installed"
fi
