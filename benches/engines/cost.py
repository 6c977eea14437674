#!/usr/bin/env python3
"""What a clip of ten seconds costs a core, by model: cost.py FOLDER [CLIPS]

Runs in an environment of `scripts/cluster.sh`. Takes CLIPS (30) clips of 9 to 11 seconds from the folder, and one of
1080×1920 that is made here: the packets of a sample, three times, at half its speed. Prints, in the mean of the clips, the
processor time of the worker process and of Python, starting left out; the bytes that were read; the worker's most memory.
"""

import os
import pathlib
import sys
import tempfile
import time

import av

import classify_video

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parents[1] / "tests" / "cluster")]

from engines import ROOT, cpu, workers  # noqa: E402

MODELS = ["ucf14-lite0-lstm", "kinetics400-i3d"]


def lasts(clip):
    """Seconds."""
    with av.open(str(clip)) as container:
        return container.duration / av.time_base


def large(to):
    """Writes ten seconds of 1080×1920 at 30 pictures a second."""
    base = 0
    with av.open(str(to), "w") as output:
        stream = None
        for _ in range(3):
            with av.open(str(ROOT / "samples" / "balance_beam.mp4")) as source:
                video = source.streams.video[0]
                stream = stream or output.add_stream_from_template(video)
                for packet in source.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = 2 * (base + packet.pts), 2 * (base + packet.dts)
                    packet.duration *= 2
                    packet.stream = stream
                    output.mux(packet)
                base += video.duration


def told(process, file, name):
    """A number that the system tells of a process."""
    lines = pathlib.Path(f"/proc/{process}/{file}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def measure(name, clips):
    others = workers()
    model = classify_video.Model(name, threads=1)
    model.classify(clips[0])
    [worker] = (own for own, parent in workers().items() if parent == os.getpid() and own not in others)
    before = cpu(worker), time.process_time(), told(worker, "io", "rchar")
    for answer in model.classify_many(clips):
        assert 9 <= answer.duration <= 11, answer
    after = cpu(worker), time.process_time(), told(worker, "io", "rchar")
    spent, python, read = ((b - a) / len(clips) for a, b in zip(before, after))
    print(
        f"  {name}: {spent:.3f} s of a core, and {python:.4f} s in Python; {read / 1e6:.2f} MB are read;"
        f" {told(worker, 'status', 'VmHWM') / 1024:.0f} MB of memory at most",
        flush=True,
    )


def main(folder, count="30"):
    clips = [clip for clip in sorted(pathlib.Path(folder).rglob("*.mp4")) if 9 <= lasts(clip) <= 11]
    # From all over the folder.
    clips = clips[:: max(1, len(clips) // int(count))]
    with tempfile.TemporaryDirectory() as work:
        hd = pathlib.Path(work, "large.mp4")
        large(hd)
        for what, some in ((folder, clips), ("1080×1920", [hd] * 4)):
            size = sum(clip.stat().st_size for clip in some) / len(some)
            print(f"{what}: {len(some)} clips, {size / 1e6:.2f} MB each", flush=True)
            for name in MODELS:
                measure(name, some)


if __name__ == "__main__":
    main(*sys.argv[1:])
