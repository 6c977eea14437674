#!/usr/bin/env bash
# Tests the Python package as a user gets it: builds the wheel with maturin, puts it into a virtual environment of its own
# and runs python/tests from another folder. Says that it skips where Python has no venv or PyPI can't be reached.
#
# python.sh: on the system's FFmpeg, in $CARGO_TARGET_DIR, whose builds it goes on from.
# python.sh WHEEL: the wheel that is there.
set -euo pipefail

root=$(realpath "$(dirname "$0")/..")
wheel=${1:+$(realpath "$1")}
target=${CARGO_TARGET_DIR:-$root/target}
mkdir -p "$target/python"
target=$(realpath "$target")
work=$target/python

skip() {
    echo "skipped: the Python package, $1" >&2
    exit 0
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || skip "there is no Python 3.10 or newer"
python3 -c 'import ensurepip, venv' 2>/dev/null || skip "Python's module venv isn't there (python3-venv)"

# What the tests need stays for the next time, the package itself comes anew.
venv=$work/venv
[[ -x $venv/bin/python ]] && "$venv/bin/python" -c '' 2>/dev/null || python3 -m venv --clear "$venv"
needs=("maturin>=1.9,<2" numpy pyarrow "pytest<10" "mypy<3")
"$venv/bin/pip" install --quiet --disable-pip-version-check "${needs[@]}" || skip "PyPI can't be reached"

if [[ -z $wheel ]]; then
    rm -rf "$work/wheels"
    (
        cd "$root/python"
        export CARGO_TARGET_DIR=$target VIRTUAL_ENV=$venv
        # Without auditwheel: on the system's FFmpeg it is for this machine alone.
        "$venv/bin/maturin" build --quiet --release --locked --auditwheel skip --out "$work/wheels"
    )
    wheel=$(echo "$work"/wheels/*.whl)
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"

# From a folder where only the installed package is found.
mkdir -p "$work/run"
cd "$work/run"
"$venv/bin/python" -m pytest -q -rs -p no:cacheprovider "$root/python/tests"
