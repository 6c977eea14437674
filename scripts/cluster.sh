#!/usr/bin/env bash
# Runs what the Python package has for engines on local clusters of several workers, each engine in an environment of its
# own: tests/cluster. Needs PyPI, some 5 GB of disk, Java 17 for Spark, and the clips in ../shared; by hand, not in CI.
#
# cluster.sh [WHEEL]: the tests, of the package in WHEEL, or of the one that scripts/python.sh built last.
# cluster.sh --measure [WHEEL]: benches/engines/measure.py instead, for the figures in docs/scale.md. On a quiet machine.
# ENGINES: which of them, "ray daft spark" where it isn't set.
set -euo pipefail

measures=
[[ ${1:-} == --measure ]] && measures=yes && shift
root=$(realpath "$(dirname "$0")/..")
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
shared=$(realpath "${CLASSIFY_SHARED:-$root/../shared}")
if [[ -z ${1:-} ]]; then
    "$root/scripts/python.sh"
    set -- "$target"/python/wheels/*.whl
fi
wheel=$(realpath "$1")
work=$target/cluster
mkdir -p "$work"

declare -A needs=([ray]="ray[data]" [daft]="daft[ray]" [spark]="pyspark[sql]")
for engine in ${ENGINES:-ray daft spark}; do
    if [[ $engine == spark ]] && ! java -version 2>/dev/null; then
        echo "skipped: spark, there is no Java (scripts/packages.sh cluster)" >&2
        continue
    fi
    venv=$work/$engine
    [[ -x $venv/bin/python ]] && "$venv/bin/python" -c '' 2>/dev/null || python3 -m venv --clear "$venv"
    # What comes last is for measuring.
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        "${needs[$engine]}" pyarrow "pytest<10" av onnxruntime
    "$venv/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"
    # From a folder where only the installed package is found.
    cd "$work"
    if [[ $measures ]]; then
        "$venv/bin/python" "$root/benches/engines/measure.py" "$engine" "$shared/data/ucf14"
    else
        CLASSIFY_SHARED=$shared "$venv/bin/python" -m pytest -q -rs -s -p no:cacheprovider \
            --basetemp "$work/tmp" "$root/tests/cluster" --engine "$engine"
    fi
done
