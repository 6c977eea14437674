#!/usr/bin/env python3
"""Clips a second inside an engine, beside the command's and a peer's in the same engine.

    measure.py ENGINE FOLDER [--clips N] [--rounds N]       ENGINE: ray, daft, spark

Runs in an environment of `scripts/cluster.sh`. A round is the command on two threads, two actors of one core, and
two of the peer's, one after the other on the same clips; ratios are of the same round. Start-up is left out: of the
command what it takes for its first 64 clips, of actors all until each of them has answered once.
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE), str(HERE.parents[1] / "tests" / "cluster")]

FAST = "ucf14-lite0-lstm"
FIRST = 64


def main():
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("engine", choices=["ray", "daft", "spark"])
    given.add_argument("folder", type=pathlib.Path)
    given.add_argument("--clips", type=int, default=1256)
    given.add_argument("--rounds", type=int, default=5)
    given = given.parse_args()
    if given.clips < 4 * FIRST:
        sys.exit(f"--clips: at least {4 * FIRST}, so that each actor answers several times")
    from engines import cluster

    clips = sorted(given.folder.resolve().rglob("*.mp4"))[: given.clips]
    program = pathlib.Path(sys.executable).with_name("classify")
    with tempfile.TemporaryDirectory() as work, cluster(given.engine) as (environment, start):
        work = pathlib.Path(work)
        subprocess.run([program, "export", "--onnx", "-q", FAST, "-o", work / "peer.onnx"], check=True)
        listed, first = work / "clips.txt", work / "first.txt"
        listed.write_text("".join(f"{clip}\n" for clip in clips))
        first.write_text("".join(f"{clip}\n" for clip in clips[:FIRST]))
        ratios = []
        for number in range(given.rounds):
            command = (len(clips) - FIRST) / (by_command(program, listed) - by_command(program, first))
            rates = {}
            for kind in ("ours", "peer"):
                stamps, labels = work / f"{number}-{kind}", work / f"{number}-{kind}.parquet"
                stamps.mkdir()
                arguments = [__file__, "--inside", given.engine, kind, listed, labels, stamps, work / "peer.onnx"]
                ran = subprocess.run([*start, *arguments], env=environment, capture_output=True, text=True)
                if ran.returncode:
                    sys.exit(f"{given.engine}, {kind}:\n{ran.stdout}{ran.stderr}")
                rates[kind] = rate(stamps)
            ratios.append((rates["ours"] / command, rates["ours"] / rates["peer"]))
            agree = agreement(work / f"{number}-ours.parquet", work / f"{number}-peer.parquet")
            print(
                f"{given.engine}: command {command:.1f}, ours {rates['ours']:.1f}, peer {rates['peer']:.1f} clips/s;"
                f" ours/command {ratios[-1][0]:.2f}, ours/peer {ratios[-1][1]:.2f};"
                f" {agree} of {len(clips)} labels are the peer's",
                flush=True,
            )
    both = [statistics.median(pair) for pair in zip(*ratios)]
    print(f"{given.engine}: medians of {given.rounds}: ours/command {both[0]:.2f}, ours/peer {both[1]:.2f}")


def by_command(program, listed):
    """Seconds of the command."""
    begin = time.monotonic()
    arguments = [program, "--model", FAST, "--threads", "2", "--format", "json", "--list", listed]
    subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def rate(stamps):
    """Clips a second, from when all actors have answered once."""
    calls = []
    for file in stamps.iterdir():
        calls.append([tuple(map(float, line.split())) for line in file.read_text().splitlines()])
    warm = max(of_one[0][1] for of_one in calls)
    end = max(ended for of_one in calls for _, ended, _ in of_one)
    clips = sum(
        count * min(1, (ended - warm) / (ended - began))
        for of_one in calls
        for began, ended, count in of_one
        if ended > warm
    )
    return clips / (end - warm)


def agreement(ours, peers):
    """How many clips have the same best label in both."""
    from pyarrow.parquet import read_table

    best = [dict(zip(*(read_table(labels)[name].to_pylist() for name in ("path", "label")))) for labels in (ours, peers)]
    return sum(best[1][path] == label for path, label in best[0].items())


class Stamped:
    """Tables that write down when they were labelled: a line a call, a file a process."""

    def __init__(self, tables, stamps):
        self.tables, self.stamps = tables, stamps

    def label(self, table):
        import os

        began = time.monotonic()
        answer = self.tables.label(table)
        if table.num_rows:
            with open(f"{self.stamps}/{os.getpid()}", "a") as file:
                file.write(f"{began} {time.monotonic()} {table.num_rows}\n")
        return answer


def replaced(module, kind, stamps, model):
    """Has the engine's module label by stamped tables, or by the peer's."""
    sys.path[1:1] = [str(HERE)]
    from classify_video._engine import Tables

    def tables(name, threads, options):
        if kind == "ours":
            return Stamped(Tables(name, threads, options), stamps)
        from peer import Peer

        return Stamped(Peer(model, threads), stamps)

    module.Tables = tables


def inside(engine, kind, listed, labels, *replacing):
    """Labels the clips in the engine."""
    paths = pathlib.Path(listed).read_text().splitlines()
    globals()[f"in_{engine}"](paths, labels, (kind, *replacing))


def in_ray(paths, labels, replacing):
    import classify_video.ray
    import ray

    class Labeller(classify_video.ray.Labeller):
        def __init__(self, *replacing):
            replaced(classify_video.ray, *replacing)
            super().__init__(FAST)

    clips = ray.data.from_items([{"path": path} for path in paths])
    actors = ray.data.ActorPoolStrategy(size=2)
    labelled = clips.map_batches(
        Labeller, fn_constructor_args=replacing, batch_format="pyarrow", batch_size=32, num_cpus=1, compute=actors
    )
    labelled.write_parquet(labels)


def in_daft(paths, labels, replacing):
    import classify_video.daft
    import daft

    class Labeller(classify_video.daft.Labeller):
        def __init__(self, *replacing):
            replaced(classify_video.daft, *replacing)
            super().__init__(FAST)

    labeller = daft.cls(Labeller, cpus=1, max_concurrency=2, use_process=True)(*replacing)
    clips = daft.from_pydict({"path": paths}).into_partitions(40)
    clips.select("*", labeller(clips["path"])).write_parquet(labels)


def in_spark(paths, labels, replacing):
    import classify_video.spark
    from pyspark.sql import SparkSession

    labeller = classify_video.spark.Labeller(FAST)

    def label(batches):
        import classify_video.spark

        if classify_video.spark._loaded is None:
            replaced(classify_video.spark, *replacing)
        return labeller(batches)

    session = SparkSession.builder.getOrCreate()
    clips = session.createDataFrame([(path,) for path in paths], ["path"])
    clips.repartition(40).mapInArrow(label, labeller.schema(clips)).write.parquet(labels)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(*sys.argv[2:])
    else:
        main()
