"""What the tests have in common. They run against the package that is installed."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import classify_video

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAST = "ucf14-lite0-lstm"


@pytest.fixture(scope="session")
def samples():
    return sorted(str(path) for path in (ROOT / "samples").glob("*.mp4"))


@pytest.fixture(scope="session")
def model():
    return classify_video.Model(FAST, threads=2)


@pytest.fixture(scope="session")
def several(tmp_path_factory):
    """The folder of a model that names several labels: the small one, whose scores stand for themselves."""
    folder = tmp_path_factory.mktemp("models") / "several"
    shutil.copytree(ROOT / "models" / FAST, folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("knowing", None)
    config |= {"scores": "sigmoid", "thresholds": [0.5] * len(config["id2label"])}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def command():
    """Runs the command `classify` that came with the package."""
    program = pathlib.Path(sys.executable).with_name("classify")

    def run(*arguments):
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300)

    return run


def copies(clip, folder, count):
    """Copies of an MP4 file that show the same and differ in their bytes: by an empty box at the end."""
    folder.mkdir(parents=True)
    for number in range(count):
        box = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        (folder / f"{number}.mp4").write_bytes(pathlib.Path(clip).read_bytes() + box)


@pytest.fixture
def labelled(tmp_path, samples):
    """A folder of labelled clips, a folder a label."""
    beam, _, jacks = samples
    copies(beam, tmp_path / "clips" / "beam", 4)
    copies(jacks, tmp_path / "clips" / "jacks", 4)
    return tmp_path / "clips"


def workers():
    """The processes that this one started and that are still there."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"__worker" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own with the samples in it, to work in."""
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    return tmp_path
