#!/usr/bin/env bash
# How long a lone clip takes from the shell by each of two programs, in turns: medians, and the median of the differences.
#
# start_up.sh PROGRAM PROGRAM CLIP [TIMES] [ARGUMENT...]
set -euo pipefail
exec python3 - "$@" <<'END'
import statistics
import subprocess
import sys
import time

first, second, clip, *rest = sys.argv[1:]
times, arguments = int(rest[0]) if rest else 40, rest[1:]


def run(program):
    start = time.perf_counter()
    subprocess.run([program, clip, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - start)


pairs = []
for turn in range(times + 2):
    # Who comes first has the colder caches: they take turns. The first two only warm up.
    if turn % 2:
        pair = (run(first), run(second))
    else:
        b = run(second)
        pair = (run(first), b)
    if turn >= 2:
        pairs.append(pair)
for program, took in zip((first, second), zip(*pairs)):
    print(f"{statistics.median(took):7.1f} ms (fastest {min(took):.1f})  {program}")
apart = sorted(a - b for a, b in pairs)
low, high = apart[len(apart) // 4], apart[3 * len(apart) // 4]
print(f"{statistics.median(apart):7.1f} ms sooner by the second (quartiles {low:.1f} to {high:.1f}), {times} pairs")
END
