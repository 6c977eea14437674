#!/usr/bin/env bash
# `make test-dist`: what `make dist` made, in bare roots of Debian releases, without Rust and FFmpeg: unpack, label a sample,
# learn from 40 clips; the wheel into a fresh virtual environment, where Python is new enough; in Debian 12 the .deb by apt.
# As root, by hand: it takes minutes and a Debian mirror.
#
# bare_roots.sh [RELEASE...]      [default: bullseye bookworm trixie]
set -euo pipefail
cd "$(dirname "$0")/../.."
dist=$(realpath "${CARGO_TARGET_DIR:-target}")/dist
clips=${CLASSIFY_SHARED:-../shared}/data/ucf14
mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1 || true)
(($# > 0)) || set -- bullseye bookworm trixie

((EUID == 0)) || { echo "a root can only be made by root: sudo make test-dist" >&2; exit 1; }
command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap

for release; do
    root=$dist/roots/$release
    if [[ ! -e $root/made ]]; then
        echo "$release: making the root"
        rm -rf "$root"
        mkdir -p "$root"
        debootstrap --variant=minbase "$release" "$root" "${mirror% }" >"$root.log"
        touch "$root/made"
    fi
    rm -rf "${root:?}/try"
    mkdir "$root/try"
    cp "$dist"/classify-*.tar.gz "$root/try/"
    if [[ -d $clips ]]; then
        # Four classes of ten clips.
        for class in BrushingTeeth PullUps JumpingJack TrampolineJumping; do
            [[ -d $clips/$class ]] || continue
            mkdir -p "$root/try/clips/$class"
            ls "$clips/$class" | awk 'NR % 5 == 1' | head -n 10 | while read -r clip; do
                cp "$clips/$class/$clip" "$root/try/clips/$class/"
            done
        done
        find "$root/try/clips" -name '*.mp4' | wc -l | sed "s/^/$release: clips to learn from: /"
    else
        echo "skipped: learning ($clips is not there)"
    fi
    [[ $release != bookworm ]] || cp "$dist"/classify_*.deb "$root/try/"
    # The wheel, where Python is new enough, and what it needs from PyPI.
    python=
    case $release in bookworm) python=3.11 ;; trixie) python=3.13 ;; esac
    if [[ -n $python ]]; then
        cp "$dist"/classify_video-*.whl "$root/try/"
        "$dist/tools/zig/bin/pip" download -q --disable-pip-version-check --only-binary=:all: --python-version "$python" \
            -d "$root/try/wheels" numpy
    fi
    # A namespace of its own for the mounts, which end with it.
    unshare --mount chroot "$root" /bin/bash -euo pipefail <<'END'
mount -t proc proc /proc
cd /try
export LC_ALL=C.UTF-8
! command -v ffmpeg cargo
tar xzf classify-*.tar.gz
program=$(echo /try/classify-*-linux/classify)
$program /try/classify-*-linux/samples/jumping_jacks.mp4
$program doctor
if [[ -d clips ]]; then
    $program train clips -o model --preset quick 2>&1 | tail -n 5
    $program --model model clips/*/*_c01.mp4 --format csv | sed -n 1,4p
fi
$program --timeline --model ucf14-lite0-lstm classify-*-linux/samples/bikes.mp4 --overlay out.webm
$program --timeline --model ucf14-lite0-lstm classify-*-linux/samples/bikes.mp4 --overlay out.mp4 2>&1 >/dev/null |
    grep "no H.264 encoder"
$program check out.webm out.mp4
if compgen -G 'classify_video-*.whl' >/dev/null; then
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >/dev/null
    rm -rf venv
    python3 -m venv venv
    venv/bin/pip install -q --no-index --find-links wheels classify_video-*.whl
    cmp <(venv/bin/classify --format json --model ucf14-lite0-lstm classify-*-linux/samples) \
        <($program --format json --model ucf14-lite0-lstm classify-*-linux/samples)
    venv/bin/python - <<'PYTHON'
import pathlib
import classify_video
print(classify_video.Model("ucf14-lite0-lstm").classify(next(pathlib.Path().glob("classify-*-linux/samples/jumping_jacks.mp4"))))
if pathlib.Path("clips").is_dir():
    print(classify_video.train("clips", "by-python", preset="quick"))
PYTHON
fi
if compgen -G 'classify_*.deb' >/dev/null; then
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ./classify_*.deb >/dev/null
    [[ $(command -v classify) == /usr/bin/classify ]]
    cmp <(classify --format json --model ucf14-lite0-lstm classify-*-linux/samples) \
        <($program --format json --model ucf14-lite0-lstm classify-*-linux/samples)
    [[ -f /usr/share/bash-completion/completions/classify ]]
    classify doctor
    apt-get purge -y -q classify >/dev/null
fi
END
    echo "$release: all is well"
done
