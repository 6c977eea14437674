#!/usr/bin/env bash
# `make dist`: what is passed on to people without Rust, into $CARGO_TARGET_DIR/dist:
#   classify-VERSION-x86_64-linux.tar.gz   a portable program, FFmpeg inside
#   classify_VERSION-1_amd64.deb           for Debian 12, on its FFmpeg
#   classify_video-….whl                   for Python, on the same static FFmpeg
# Needs Debian 12: its compilers, its FFmpeg, its source packages.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$target
dist=$target/dist
ffmpeg=$dist/ffmpeg
tools=$dist/tools
cargo_deb=3.8.0
# Of Debian 10, RHEL 8 and Ubuntu 18.10: what scripts/dist/linker.sh links against.
glibc=2.28
version=$(sed -n '/^\[package\]/,/^version/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=classify-$version-x86_64-linux

scripts/packages.sh dist
scripts/dist/ffmpeg.sh "$ffmpeg"
rm -f "$dist"/*.{tar.gz,deb,whl}

# What stands beside a program: `beside PROGRAM FOLDER`.
beside() {
    mkdir -p "$2/man"
    "$1" man -o "$2/man"
    "$1" completions bash >"$2/classify.bash"
    "$1" completions zsh >"$2/_classify"
    "$1" completions fish >"$2/classify.fish"
}

echo "the .deb" >&2
if ! "$tools/bin/cargo-deb" --version 2>/dev/null | grep -qF "$cargo_deb"; then
    # Compressed by the command xz, so without a library for it.
    CARGO_TARGET_DIR=$tools/build cargo install cargo-deb --version "$cargo_deb" --locked --no-default-features \
        --root "$tools"
    rm -rf "$tools/build"
fi
cargo build --release --locked --bin classify
beside_deb=$target/release/deb
rm -rf "$beside_deb"
beside "$target/release/classify" "$beside_deb"
scripts/dist/licences.py >"$beside_deb/LICENCES"
"$tools/bin/cargo-deb" --no-build --strip --output "$dist/classify_$version-1_amd64.deb" >&2

echo "the portable program" >&2
zig=$tools/zig
if ! cmp -s scripts/dist/zig.txt "$zig/zig.txt"; then
    rm -rf "$zig"
    python3 -m venv "$zig"
    "$zig/bin/pip" install -q -r scripts/dist/zig.txt
    cp scripts/dist/zig.txt "$zig/"
fi
# Only FFmpeg is asked for by pkg-config, and only the static one may be found. Zig links the program only: what it is made
# of is compiled as for the .deb.
PKG_CONFIG_LIBDIR=$ffmpeg/lib/pkgconfig ZIG=$zig/bin \
    cargo rustc --release --locked --features static-ffmpeg --bin classify -- -C "linker=$PWD/scripts/dist/linker.sh"
rm -rf "${dist:?}/$name"
mkdir -p "$dist/$name"
strip -o "$dist/$name/classify" "$target/release/classify"
beside "$dist/$name/classify" "$dist/$name"
mkdir "$dist/$name/completions"
mv "$dist/$name"/{classify.bash,_classify,classify.fish} "$dist/$name/completions/"
scripts/dist/licences.py "$ffmpeg" >"$dist/$name/LICENCES"
cp README.md LICENSE-MIT LICENSE-APACHE NOTICE docs/install.md "$dist/$name/"
cp -r samples "$dist/$name/"
# All are the same bytes wherever and whenever they are packed.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -C "$dist" -c "$name" |
    gzip -9n >"$dist/$name.tar.gz"

# Nothing but the C library, and no newer one than is said.
strange=$(ldd "$dist/$name/classify" | awk '{ print $1 }' |
    grep -vE '^(linux-vdso|libc|libm|libdl|libpthread|/lib64/ld-linux-x86-64)\.so' || true)
[[ -z $strange ]] || { echo "the portable program needs $strange" >&2; exit 1; }
needs=$(objdump -T "$dist/$name/classify" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
[[ $needs == "GLIBC_$glibc" ]] || { echo "the portable program needs $needs" >&2; exit 1; }

echo "the wheel" >&2
scripts/dist/wheel.sh "$ffmpeg" "$zig" "$dist"

(cd "$dist" && du -b --apparent-size -- *.tar.gz *.deb $(ls -- *.whl 2>/dev/null) | awk '{ printf "%6.1f MB  %s\n", $1 / 1e6, $2 }')
