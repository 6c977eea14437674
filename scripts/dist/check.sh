#!/usr/bin/env bash
# Holds two programs against each other: what they say of each sample and of each odd file has to be the same to the byte.
#
# check.sh PROGRAM PROGRAM [FOLDER...]     FOLDERs: more clips, beside the samples and those in ../shared/data/odd
set -euo pipefail
repo=$(realpath "$(dirname "$0")/../..")
one=$(realpath "$1") two=$(realpath "$2")
shift 2
folders=("$repo/samples" "$@")
odd=${CLASSIFY_SHARED:-$repo/../shared}/data/odd
if [[ -d $odd ]]; then folders+=("$odd"); else echo "skipped: $odd is not there"; fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0
# What is said on standard error is part of the answer; the seconds that it took are not.
answer() {
    local program=$1 to=$2 folder=$3
    shift 3
    (cd "$folder" && "$program" "$@") </dev/null >"$to.out" 2>"$to.err" || echo "status $?" >>"$to.out"
    sed -i -E '/clips? (in|took)|clips a second| in [0-9.]+ s/d' "$to.err"
}
compare() {
    answer "$one" "$out/one" "$@"
    answer "$two" "$out/two" "$@"
    local what
    for what in out err; do
        if ! cmp -s "$out/one.$what" "$out/two.$what"; then
            echo "differs in $1: classify ${*:2}"
            diff "$out/one.$what" "$out/two.$what" | head -n 40 || true
            failed=1
        fi
    done
    echo "compared $(wc -l <"$out/one.out") lines of $1: classify ${*:2}"
}
for folder in "${folders[@]}"; do
    compare "$folder" . --format json --model imagenet-lite0
    compare "$folder" check . --json
done
compare "$repo/samples" . --format json
compare "$repo/samples" bikes.mp4 --timeline --format json --model ucf14-lite0-lstm
exit $failed
