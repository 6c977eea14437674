#!/usr/bin/env bash
# Builds the FFmpeg that goes into the portable program and the Python wheel: static, LGPL, from Debian 12's own source
# packages, with dav1d (AV1), libvpx (writes VP9) and zlib. Into FOLDER, where pkg-config finds it; takes ten minutes, and
# nothing where the recipe (this file) and the compiler are those that it was built with.
#
# ffmpeg.sh FOLDER
#
# To relink with a changed FFmpeg: change the sources under FOLDER/src, then `KEEP_SOURCES=1 ffmpeg.sh FOLDER`.
set -euo pipefail

self=$(realpath "$0")
mkdir -p "$1"
prefix=$(realpath "$1")
recipe=$(cat "$self" <(gcc --version) | sha256sum)
sources=(ffmpeg dav1d libvpx zlib)

if [[ -z ${KEEP_SOURCES:-} && -f $prefix/recipe && $(<"$prefix/recipe") == "$recipe" ]]; then
    exit
fi
if ! grep -qx VERSION_CODENAME=bookworm /etc/os-release; then
    echo "the static FFmpeg is built from Debian 12's source packages: do it on Debian 12" >&2
    exit 1
fi

# Sources by an apt of our own: the system's lists are read, turned to source packages, and left as they are.
fetch() {
    local apt=$prefix/apt file
    rm -rf "$apt" "$prefix/src"
    mkdir -p "$apt"/{sources,lists/partial,cache/archives/partial} "$prefix/src"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ -f $file ]] || continue
        sed -nE '/\/debian(-security)?\/? /s/^deb /deb-src /p' "$file" >"$apt/sources/$(basename "$file" .list).list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        grep -qsE '^URIs:.*/debian(-security)?/?$' "$file" || continue
        sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/sources/$(basename "$file")"
    done
    local options=(
        -q -o APT::Sandbox::User= -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/sources"
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
    )
    apt-get "${options[@]}" update
    (cd "$prefix/src" && apt-get "${options[@]}" source --only-source "${sources[@]}")
    rm -rf "$apt"
}

say() { echo "static FFmpeg: $*" >&2; }
trap 'say "failed: the last lines of $prefix/build/*.log tell why"' ERR

[[ -n ${KEEP_SOURCES:-} ]] || { say "fetching sources"; fetch; }

rm -rf "$prefix"/{recipe,lib,include,share,build}
mkdir -p "$prefix/build"
export PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig
# Position independent all over, as the wheel's shared object takes it in too.
export CFLAGS="-O2 -fPIC"

say "zlib"
(
    cd "$prefix"/src/zlib-*/
    ./configure --static --prefix="$prefix"
    make -j"$(nproc)" libz.a
    make install
) &>"$prefix/build/zlib.log"

say "dav1d"
(
    cd "$prefix"/src/dav1d-*/
    meson setup "$prefix/build/dav1d" --prefix="$prefix" --libdir=lib --default-library=static \
        --buildtype=release -Denable_tools=false -Denable_tests=false
    ninja -C "$prefix/build/dav1d" install
) &>"$prefix/build/dav1d.log"

# FFmpeg's own decoders read VP8 and VP9.
say "libvpx"
(
    mkdir "$prefix/build/libvpx"
    cd "$prefix/build/libvpx"
    "$prefix"/src/libvpx-*/configure --prefix="$prefix" --target=x86_64-linux-gcc --as=nasm --enable-pic \
        --disable-vp8 --disable-vp9-decoder --disable-examples --disable-tools --disable-docs --disable-unit-tests
    make -j"$(nproc)"
    make install
) &>"$prefix/build/libvpx.log"

# Nothing of the system that just happens to be there (--disable-autodetect); no network, as only files are read; all
# of FFmpeg's own decoders, demuxers, parsers and bitstream filters; what writes, as far as `--overlay` needs it.
say "FFmpeg"
(
    mkdir "$prefix/build/ffmpeg"
    cd "$prefix/build/ffmpeg"
    "$prefix"/src/ffmpeg-*/configure --prefix="$prefix" --enable-static --disable-shared --enable-pic \
        --pkg-config-flags=--static --extra-cflags="-I$prefix/include" --extra-ldflags="-L$prefix/lib" \
        --disable-autodetect --enable-pthreads --enable-zlib --enable-libdav1d --enable-libvpx \
        --disable-programs --disable-doc --disable-debug --disable-network \
        --disable-avdevice --disable-avfilter --disable-postproc --disable-hwaccels \
        --disable-encoders --enable-encoder=libvpx_vp9,mpeg4 \
        --disable-muxers --enable-muxer=avi,ipod,matroska,mov,mp4,mpegts,nut,webm
    grep -qx '#define HAVE_X86ASM 1' config.h || { echo "FFmpeg without its assembly is slow: install nasm"; exit 1; }
    make -j"$(nproc)"
    make install
) &>"$prefix/build/ffmpeg.log"

# Which versions they are and what they may be used for, for those who get them.
mkdir -p "$prefix/share/licences"
for source in "${sources[@]}"; do
    sed -n 's/^Version: //p' "$prefix"/src/"$source"_*.dsc >"$prefix/share/licences/$source.version"
    cp "$prefix"/src/"$source"-*/debian/copyright "$prefix/share/licences/$source.copyright"
done
cp "$prefix"/src/ffmpeg-*/COPYING.LGPLv2.1 "$prefix/share/licences/"
grep '^#define FFMPEG_CONFIGURATION' "$prefix/build/ffmpeg/config.h" | cut -d'"' -f2 >"$prefix/share/licences/ffmpeg.configuration"

rm -rf "$prefix/build"/{dav1d,libvpx}
echo "$recipe" >"$prefix/recipe"
