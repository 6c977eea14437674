#!/usr/bin/env bash
# wheel.sh FFMPEG ZIG FOLDER: the Python wheel, on the static FFmpeg of `ffmpeg.sh FFMPEG` and linked by the zig in the
# virtual environment ZIG, into FOLDER. Nothing is grafted: it needs glibc 2.28 and nothing else, which is checked.
set -euo pipefail

ffmpeg=$(realpath "$1") zig=$(realpath "$2") folder=$(realpath "$3")
root=$(realpath "$(dirname "$0")/../..")
# As CONTRIBUTING says.
largest=75000000

maturin=$folder/tools/maturin
"$maturin/bin/maturin" --version >/dev/null 2>&1 || {
    python3 -m venv --clear "$maturin"
    "$maturin/bin/pip" install --quiet --disable-pip-version-check "maturin>=1.9,<2"
}
licences=$root/python/classify_video/LICENCES
trap 'rm -f "$licences"' EXIT
"$root/scripts/dist/licences.py" "$ffmpeg" >"$licences"

cd "$root/python"
rm -f "$folder"/classify_video-*.whl
PKG_CONFIG_LIBDIR=$ffmpeg/lib/pkgconfig ZIG=$zig/bin VIRTUAL_ENV=$maturin \
    "$maturin/bin/maturin" build --release --locked --features static-ffmpeg --out "$folder" \
    --auditwheel check --compatibility manylinux_2_28 -- -C "linker=$root/scripts/dist/linker.sh"

wheel=$(echo "$folder"/classify_video-*.whl)
size=$(stat -c %s "$wheel")
((size < largest)) || { echo "the wheel has $size bytes, more than $largest" >&2; exit 1; }
