"""Training and evaluation."""

import math
import os
import signal
import subprocess
import sys

import pytest

import classify_video
from classify_video import DataError, UsageError

QUICK = {"preset": "quick", "no_cache": True, "epochs": 3, "threads": 2}


def test_a_model_is_trained_measured_and_used(labelled, tmp_path, samples):
    seen = []
    trained = classify_video.train(labelled, tmp_path / "model", on_epoch=seen.append, **QUICK)
    assert tuple(seen) == trained.epochs and seen[0].epoch == 1 and seen[0].seconds > 0
    assert any(epoch.validation is not None for epoch in seen)
    assert 0 <= trained.accuracy <= 1 and trained.evaluation.split == "validation"
    assert trained.path == str(tmp_path / "model") and (tmp_path / "model" / "report.html").exists()
    model = trained.model(threads=1)
    assert model.labels == ["beam", "jacks"] and model.classify(samples[0]).label in model.labels

    measured = classify_video.evaluate(model, labelled, split="all")
    assert (measured.clips, measured.errors, measured.model) == (8, 0, "model")
    assert measured.mean_average_precision is None
    assert measured.accuracy_interval[0] <= measured.accuracy <= measured.accuracy_interval[1]
    assert measured.to_dict()["per_class"][0]["label"] == "beam"
    assert classify_video.evaluate(tmp_path / "model", labelled, split="all").accuracy == measured.accuracy

    with pytest.raises(classify_video.ModelError, match="force"):
        classify_video.train(labelled, tmp_path / "model", **QUICK)
    with pytest.raises(DataError, match="beam"):
        classify_video.evaluate("ucf14-lite0-lstm", labelled)


def test_clips_without_a_label_have_no_accuracy(tmp_path, samples):
    clips = tmp_path / "clips.csv"
    clips.write_text(f"path,label\n{samples[1]},_none_\n")
    measured = classify_video.evaluate("ucf14-lite0-lstm", clips, split="all", threads=2)
    assert measured.clips == 0 and math.isnan(measured.accuracy) and math.isnan(measured.macro_f1)


def test_what_cannot_be_trained(labelled, tmp_path):
    with pytest.raises(classify_video.FileError, match="nowhere"):
        classify_video.train(tmp_path / "nowhere", tmp_path / "model")
    with pytest.raises(UsageError, match="--no-such"):
        classify_video.train(labelled, tmp_path / "model", no_such=3)
    with pytest.raises(UsageError, match="presets"):
        classify_video.train(labelled, tmp_path / "model", preset="presets")
    (tmp_path / "one").mkdir()
    os.rename(labelled / "beam", tmp_path / "one" / "beam")
    with pytest.raises(DataError, match="one class"):
        classify_video.train(tmp_path / "one", tmp_path / "model", **QUICK)


def test_an_exception_in_on_epoch_ends_it_well(labelled, tmp_path):
    def enough(epoch):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        classify_video.train(labelled, tmp_path / "model", on_epoch=enough, **{**QUICK, "epochs": 100_000})
    assert (tmp_path / "model" / "model.safetensors").exists()


# What starts the tests in the background may have them ignore Ctrl-C.
TRAINS = f"""
import signal, sys, classify_video
signal.signal(signal.SIGINT, signal.default_int_handler)
def told(epoch):
    if epoch.epoch == 2:
        print("begun", flush=True)
classify_video.train(sys.argv[1], sys.argv[2], on_epoch=told, **{ {**QUICK, "epochs": 100_000, "patience": 100_000}!r})
"""


def test_ctrl_c_saves_the_best_model_so_far(labelled, tmp_path):
    words = [sys.executable, "-c", TRAINS, labelled, tmp_path / "model"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "begun\n", child.stderr.read()
    child.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in child.stderr.read()
    assert child.wait(60) != 0
    assert classify_video.Model(tmp_path / "model").labels == ["beam", "jacks"]
