#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that the build needs, where one is missing.
# `packages.sh test`: those of the tests too, which make videos with the command ffmpeg and put the Python package into a
# virtual environment; they skip what they can't make.
# `packages.sh web`: those, a browser that the tests of pages drive, and npm, by which the tests of stores get a server in
# Azure's place; they skip without.
# `packages.sh cluster`: those of the tests inside engines, of which Spark needs Java.
# `packages.sh dist`: those that `make dist` builds FFmpeg, the .deb and the wheel with.
set -euo pipefail

packages=(libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libclang-dev clang pkg-config)
[[ ${1:-} != test && ${1:-} != web ]] || packages+=(ffmpeg python3-venv)
[[ ${1:-} != web ]] || command -v npm >/dev/null || packages+=(nodejs npm)
# Ubuntu has both as snaps only.
[[ ${1:-} != web ]] || ! grep -qsx ID=debian /etc/os-release || packages+=(chromium chromium-driver)
[[ ${1:-} != cluster ]] || packages+=(python3-venv default-jre-headless)
[[ ${1:-} != dist ]] || packages+=(build-essential dpkg-dev meson nasm ninja-build python3-venv xz-utils)

if ! command -v cargo >/dev/null; then
    echo "cargo isn't there: install Rust first, see https://rustup.rs" >&2
    exit 1
fi

if command -v dpkg-query >/dev/null; then
    missing=()
    for package in "${packages[@]}"; do
        status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
        [[ $status == *"ok installed" ]] || missing+=("$package")
    done
    if ((${#missing[@]} > 0)); then
        echo "installing ${missing[*]}"
        root=()
        ((EUID == 0)) || root=(sudo)
        "${root[@]}" apt-get update -q
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
    fi
elif ! pkg-config --exists libavcodec libavformat libavutil libswscale; then
    echo "FFmpeg's development files are missing: install your system's packages for ${packages[*]}" >&2
    exit 1
fi
