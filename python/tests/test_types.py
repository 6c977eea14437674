"""What a type checker sees."""

import subprocess
import sys

import pytest

pytest.importorskip("mypy")

USES = """
import pathlib
import numpy
import pyarrow
import classify_video

model = classify_video.Model("ucf14-lite0-lstm", threads=2, labels=None)
clip = model.classify(pathlib.Path("a.mp4"))
label: str | None = clip.label
lowest: float | None = clip.score
score: float = clip.labels[0].score
for one in model.classify_many(["a.mp4", b"bytes", open("c.mp4", "rb")]):
    sure: bool | None = one.confident
for either in model.classify_many(["a.mp4"], on_error="row"):
    text: str | None = either.error if isinstance(either, classify_video.FailedClip) else either.label
features = model.features("a.mp4")
shape: tuple[int, ...] = features.shape
trained = classify_video.train("clips", "model", preset="quick", on_epoch=lambda epoch: print(epoch.train_loss))
accuracy: float = classify_video.evaluate(trained.path, "clips").accuracy
reveal_type(model.frames("a.mp4"))
model.classify(3)
clip.label = "b"
"""


def mypy(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *arguments], capture_output=True, text=True, **options
    )


def test_uses_are_checked(tmp_path):
    file = tmp_path / "uses.py"
    file.write_text(USES.replace("import pyarrow\n", ""))
    checked = mypy(file, cwd=tmp_path).stdout
    assert "unsignedinteger" in checked or "uint8" in checked, checked
    errors = [line for line in checked.splitlines() if ": error: " in line]
    assert len(errors) == 2, checked
    assert "Argument 1" in errors[0] and "read-only" in errors[1]


def test_the_package_is_checked_and_its_stub_fits(tmp_path):
    checked = mypy("-p", "classify_video", "--ignore-missing-imports", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    stubs = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "classify_video._classify"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert stubs.returncode == 0, stubs.stdout
