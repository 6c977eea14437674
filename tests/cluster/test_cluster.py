"""The engines' examples, on local clusters: what they answer is what the command answers, whatever dies on the way."""

import collections
import importlib
import os
import signal
import threading
import time

import pytest
from conftest import FAST
from engines import Sampled, cpu, example, workers

import pyarrow
import pyarrow.parquet


def answers(folder, output):
    """The rows that an engine wrote, as the command tells them, by their path in `folder`; none twice."""
    rows = pyarrow.parquet.read_table(output).to_pylist()
    paths = collections.Counter(os.path.relpath(row["path"], folder) for row in rows)
    assert [path for path, count in paths.items() if count > 1] == []
    return {os.path.relpath(row["path"], folder): row_told(row) for row in rows}


def row_told(row):
    if row["error"] is not None:
        return {"error": row["error"]}
    labels = [{"label": one["label"], "score": one["score"]} for one in row["labels"]]
    assert (row["label"], row["score"]) == (labels[0]["label"], labels[0]["score"])
    told = {"labels": labels} | {name: row[name] for name in ("duration_s", "frames", "model")}
    return told if row["confident"] is None else told | {"confident": row["confident"]}


def ended(process):
    """How an example ended: its exit status, and what it wrote."""
    output, _ = process.communicate(timeout=1500)
    return process.returncode, output


def test_all_clips_twice(engine, started, data, told, tmp_path):
    clips = data / "ucf14"
    folder = tmp_path / "clips"
    for copy in ("a", "b"):
        for path in clips.rglob("*.mp4"):
            link = folder / copy / path.relative_to(clips)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    process = example(engine, *started, folder, tmp_path / "labels")
    ours, theirs, most = {}, {}, 0
    collected = threading.Thread(target=lambda: ours.update(end=ended(process)))
    collected.start()
    seen = {}
    while collected.is_alive():
        now = workers()
        most = max(most, len(now))
        for pair in now.items():
            for kind, one in zip((seen, theirs), pair):
                kind.setdefault(one, Sampled(one)).look()
        time.sleep(0.5)
    status, output = ours["end"]
    assert status == 0, output
    expected = told(clips)
    assert len(expected) == 1256
    got = answers(folder, tmp_path / "labels")
    assert got == {f"{copy}/{path}": row for copy in "ab" for path, row in expected.items()}
    # Two actors of one core: two workers at a time, each loaded once, each on one core.
    assert most == 2 and len(seen) == 2, (most, len(seen))
    for one in [*seen.values(), *theirs.values()]:
        half = len(one.memory) // 2
        early, late = (sorted(part)[len(part) // 2] for part in (one.memory[half // 2 : half], one.memory[-half // 2 :]))
        print(f"{engine}: {one.cores():.2f} cores, {early >> 20} MB in the first half, {late >> 20} MB at the end")
        assert one.cores() < 1.1
        assert late < 1.1 * early + (8 << 20), one.memory


@pytest.mark.parametrize("whose", ["the engine's", "ours"])
def test_a_killed_process_costs_no_row_and_doubles_none(engine, started, data, told, tmp_path, whose):
    clips = data / "ucf14"
    process = example(engine, *started, clips, tmp_path / "labels")
    killed = []

    def kill():
        while process.poll() is None and not killed:
            for own, parent in workers().items():
                # In the middle of its clips: a worker's half of them takes some fourteen seconds.
                if cpu(own) > 5:
                    victim = parent if whose == "the engine's" else own
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
                    return
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    status, output = ended(process)
    killer.join()
    assert killed and status == 0, output
    assert answers(clips, tmp_path / "labels") == told(clips)


def test_broken_clips_are_rows(engine, started, data, told, tmp_path):
    folder = tmp_path / "clips"
    for number, path in enumerate(sorted((data / "odd").rglob("*.mp4"))):
        folder.mkdir(exist_ok=True)
        (folder / f"{number:03} {path.name}").symlink_to(path)
    status, output = ended(example(engine, *started, folder, tmp_path / "labels"))
    assert status == 0, output
    expected = told(folder)
    assert any("error" in row for row in expected.values()) and any("labels" in row for row in expected.values())
    assert answers(folder, tmp_path / "labels") == expected


def test_what_cannot_be_read_is_the_engines_to_try_again(engine, started, data, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.mp4").symlink_to(next((data / "ucf14").rglob("*.mp4")))
    # Root may read everything but this.
    (folder / "b.mp4").symlink_to("/proc/self/mem")
    status, output = ended(example(engine, *started, folder, tmp_path / "labels"))
    assert status != 0
    assert "Input/output error" in output and "b.mp4" in output, output
