#!/usr/bin/env python3
"""What a clip costs one core, by model: cost.py CLIP...

Runs where the package is installed. Prints a clip's seconds of processor time, of the worker process and of Python,
starting left out; the bytes that were read; and the most memory that the worker had. All in the mean of the clips.
"""

import os
import pathlib
import sys
import time

import classify_video

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parents[1] / "tests" / "cluster")]

from engines import cpu, workers  # noqa: E402

MODELS = ["ucf14-lite0-lstm", "kinetics400-i3d"]


def told(process, file, name):
    """A number that the system tells of a process."""
    lines = pathlib.Path(f"/proc/{process}/{file}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def main(*clips):
    length = sum(os.path.getsize(clip) for clip in clips) / len(clips)
    print(f"{len(clips)} clips, {length / 1e6:.2f} MB each")
    for name in MODELS:
        others = workers()
        model = classify_video.Model(name, threads=1)
        model.classify(clips[0])
        [worker] = (own for own, parent in workers().items() if parent == os.getpid() and own not in others)
        before = cpu(worker), time.process_time(), told(worker, "io", "rchar")
        answers = list(model.classify_many(clips, on_error="row"))
        after = cpu(worker), time.process_time(), told(worker, "io", "rchar")
        spent, python, read = ((b - a) / len(clips) for a, b in zip(before, after))
        lasts = [answer.duration for answer in answers if answer.error is None]
        print(
            f"{name}: a clip of {sum(lasts) / len(lasts):.1f} s takes {spent:.3f} s of a core, and {python:.4f} s in"
            f" Python; {read / 1e6:.2f} MB are read; {told(worker, 'status', 'VmHWM') / 1024:.0f} MB of memory at most;"
            f" {len(clips) - len(lasts)} failed"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
