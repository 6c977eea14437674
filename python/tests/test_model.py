"""Clips: answers, odd inputs, and what a model is as a Python object."""

import csv
import io
import json
import math
import os
import pickle
import threading
import warnings

import numpy
import pytest

import classify_video
from classify_video import ClipError, ClipLabels, FailedClip, Label, Model, ModelError, UsageError
from conftest import FAST, ROOT


def rows(output):
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("name", [FAST, "kinetics400-i3d"])
def test_answers_are_the_commands(name, samples, command):
    told = rows(command("--model", name, "--format", "json", *samples).stdout)
    own = Model(name)
    assert [own.classify(clip).to_dict() for clip in samples] == told
    assert [clip.to_dict() for clip in own.classify_many(samples)] == told


def test_all_labels_and_a_threshold_are_the_commands(samples, command):
    clip = samples[0]
    told = rows(command("--model", FAST, "-k", "400", "--threshold", "0.9", "-f", "json", "--frames", "8", clip).stdout)
    answer = Model(FAST, top=None, threshold=0.9, frames=8).classify(clip)
    assert [answer.to_dict()] == told
    assert len(answer.labels) == 14
    assert math.isclose(sum(one.score for one in answer.labels), 1, abs_tol=1e-3)


def test_several_labels_are_told_as_in_the_commands_tables(several, samples, command):
    clip = samples[0]
    scores = sorted(one.score for one in Model(several, top=None).classify(clip).labels)
    # All that the model knows, some, and none.
    for threshold, shown in [(0, 14), ((scores[5] + scores[6]) / 2, 8), (1, 0)]:
        table = command("--model", several, "--threshold", str(threshold), "-f", "csv", clip).stdout
        label, score = list(csv.reader(io.StringIO(table)))[1][1:3]
        answer = Model(several, threshold=threshold).classify(clip)
        assert len(answer.shown) == shown and answer.label == (label or None), table
        assert answer.score == (pytest.approx(float(score), abs=1e-6) if score else None), table


def told(*labels, **more):
    return ClipLabels("a.mp4", labels, more.pop("confident", None), 2.0, 4, "m", (), **more)


def test_what_is_shown_is_told_and_what_is_guessed_is_called_so():
    sure, unsure = (told(Label("run", 0.9), Label("jump", 0.1), confident=sure) for sure in [True, False])
    assert repr(sure) == "<ClipLabels 'a.mp4': run 90.0 %, 2.0 s>"
    assert repr(unsure) == "<ClipLabels 'a.mp4': not sure, at best run 90.0 %, 2.0 s>"
    assert (unsure.label, unsure.score) == ("run", 0.9)
    assert "guesses" not in sure._repr_html_() and "not sure; the best guesses are" in unsure._repr_html_()

    shown = [Label(name, score / 10, True) for name, score in zip("gfedcba", range(9, 2, -1))]
    seven = told(*shown, Label("other", 0.1, False))
    page = seven._repr_html_()
    assert (seven.label, seven.score) == ("a|b|c|d|e|f|g", 0.3)
    assert all(f">{one.label}<" in page for one in shown) and "other" not in page and "guesses" not in page
    assert repr(told(*shown[:2])) == "<ClipLabels 'a.mp4': g 90.0 %, f 80.0 %, 2.0 s>"

    none = told(Label("run", 0.2, False), Label("jump", 0.1, False))
    assert (none.label, none.score) == (None, None)
    assert repr(none) == "<ClipLabels 'a.mp4': nothing it knows, at best run 20.0 %, 2.0 s>"
    page = none._repr_html_()
    assert "nothing it knows; the best guesses are" in page and ">run<" in page and ">jump<" in page

    page = told(*(Label(str(number), 0.0025) for number in range(400)))._repr_html_()
    assert ">19<" in page and ">20<" not in page and "and 380 more" in page


def test_bytes_and_files_are_clips(model, samples):
    expected = model.classify(samples[0])
    content = open(samples[0], "rb").read()
    with open(samples[0], "rb") as file:
        answers = list(model.classify_many([content, file, bytearray(content), io.BytesIO(content)]))
    assert [clip.path for clip in answers] == ["<bytes>", samples[0], "<bytes>", "<file>"]
    for clip in answers:
        assert clip.labels == expected.labels
    assert [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if "memfd" in resolved(fd)] == []


def resolved(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return ""


def test_odd_inputs_are_errors_that_name_them(model, samples, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(open(samples[0], "rb").read()[:3000])
    empty = tmp_path / "empty.mp4"
    empty.touch()
    odd = [str(text), str(cut), str(empty), "missing.mp4", str(tmp_path), b"", b"\0" * 99, "", "a\0b.mp4", "-"]
    answers = list(model.classify_many([*odd, samples[0]], on_error="row"))
    for given, answer in zip(odd, answers):
        name = given if isinstance(given, str) else "<bytes>"
        assert isinstance(answer, FailedClip) and answer.path == name and answer.error, (given, answer)
        with pytest.raises(ClipError) as raised:
            model.classify(given)
        assert (raised.value.path, raised.value.reason) == (name, answer.error)
        assert name in str(raised.value)
    assert isinstance(answers[-1], ClipLabels) and answers[-1].error is None
    with pytest.raises(ClipError, match="missing.mp4: no such file"):
        list(model.classify_many([samples[0], "missing.mp4", samples[0]]))


def test_what_is_no_clip_is_a_type_error(model, samples):
    for wrong in [3, None, io.StringIO("text")]:
        with pytest.raises(TypeError):
            model.classify(wrong)


def test_many_are_read_lazily_and_stay_in_order(model, samples):
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield samples[number % 3]
            number += 1

    answers = model.classify_many(endless())
    assert taken == []
    first = [next(answers).path for _ in range(6)]
    assert first == samples * 2
    assert len(taken) <= 6 + 8 * model.threads
    answers.close()
    assert model.classify(samples[0]).path == samples[0]


def test_frames_and_features_are_the_commands_numbers(model, samples, command, tmp_path):
    clip = samples[0]
    frames, features = model.frames(clip), model.features(clip)
    assert frames.dtype == numpy.uint8 and frames.ndim == 5 and frames.shape[-1] == 3
    assert features.dtype == numpy.float32 and features.ndim == 3 and features.shape[0] == frames.shape[0]
    assert numpy.isfinite(features).all()
    file = tmp_path / "input.npy"
    command("frames", clip, "--model", FAST, "-o", file)
    preprocess = json.loads((ROOT / "models" / FAST / "preprocessor_config.json").read_text())
    mean, std = (numpy.float32(preprocess[key]) for key in ("image_mean", "image_std"))
    expected = (frames.astype(numpy.float32) * numpy.float32(1 / 255) - mean) / std
    assert numpy.allclose(numpy.load(file), expected, atol=1e-5)
    with pytest.raises(ClipError, match="missing.mp4"):
        model.frames("missing.mp4")


def test_a_damaged_clip_warns(model, samples, tmp_path):
    # Its index stands at its beginning, so that a cut one can be read.
    content = open(samples[2], "rb").read()
    clip = tmp_path / "cut.mp4"
    clip.write_bytes(content[: len(content) * 2 // 3])
    answer = model.classify(clip)
    assert "truncated" in answer.warnings[0] and answer.warnings[0] in answer._repr_html_()
    with warnings.catch_warnings(record=True) as caught:
        model.frames(clip)
    assert [str(warning.message) for warning in caught] == [f"{clip}: {warning}" for warning in answer.warnings]
    assert all(warning.category is classify_video.ClipWarning for warning in caught)


def test_timeline_is_the_commands(model, samples, command):
    told = rows(command("--model", FAST, "--timeline", "-f", "json", samples[1]).stdout)
    film = model.timeline(samples[1])
    assert film.to_dicts() == told
    assert film.segments[0].start == 0 and film.segments[-1].end == film.duration
    with pytest.raises(ClipError):
        model.timeline("-")
    with pytest.raises(UsageError):
        model.timeline(samples[1], window=0)


def test_a_model_pickles_by_name_and_settings(model, samples):
    twin = pickle.loads(pickle.dumps(Model(FAST, threads=1, top=2, windows=1)))
    assert (twin.name, twin.threads, repr(twin)) == (FAST, 1, repr(Model(FAST, threads=1, top=2, windows=1)))
    answer = twin.classify(samples[0])
    assert answer.labels == model.classify(samples[0]).labels[:2]
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_errors_pickle():
    error = pickle.loads(pickle.dumps(ClipError("a.mp4", "no video")))
    assert isinstance(error, classify_video.ClassifyError)
    assert (str(error), error.path, error.reason) == ("a.mp4: no video", "a.mp4", "no video")


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(ModelError, match="no-such"):
        Model("no-such")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError) as raised:
        Model(tmp_path)
    assert raised.value.path == str(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [{"threads": 0}, {"top": 0}, {"size": 1}, {"frames": 0}, {"windows": -1}, {"threshold": 2.0}, {"timeout": 0}]
    + [{"timeout": math.nan}, {"labels": []}, {"labels": ["a", "a"]}, {"labels": "a, b"}],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(classify_video.ClassifyError):
        Model(FAST, **settings)


def test_the_folder_may_change(folder, monkeypatch, samples):
    own = Model(FAST)
    before = own.classify("samples/bikes.mp4")
    monkeypatch.chdir("samples")
    assert own.classify("bikes.mp4").labels == before.labels


def test_the_lock_is_let_go(samples):
    own, counted, over = Model("kinetics400-i3d"), 0, threading.Event()

    def count():
        nonlocal counted
        while not over.is_set():
            counted += 1
            over.wait(0.002)

    own.classify(samples[0])
    counter = threading.Thread(target=count)
    counter.start()
    before = counted
    own.classify(samples[0])
    during = counted - before
    over.set()
    counter.join()
    assert during > 5


def test_threads_share_a_model(model, samples):
    expected = [model.classify(clip).labels for clip in samples]
    got = [None] * 6
    threads = [
        threading.Thread(target=lambda i=i: got.__setitem__(i, model.classify(samples[i % 3]).labels)) for i in range(6)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert got == expected * 2


def test_a_notebook_shows_the_frames(model, samples):
    page = model.classify(samples[0])._repr_html_()
    assert "data:image/jpeg;base64," in page and "balance_beam.mp4" in page
    assert "Above: natural colours. Below: what the network saw" in page
    plain = Model("imagenet-lite0", frames=2).classify(samples[0])._repr_html_()
    assert "data:image/jpeg;base64," in plain and "natural colours" not in plain
    # Where the clip is gone, or never had a name, its labels are shown alone.
    page = model.classify(open(samples[0], "rb").read())._repr_html_()
    assert "image/jpeg" not in page and "natural colours" not in page and "&lt;bytes&gt;" in page


def test_names_that_are_not_text(model, samples, tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")
    os.symlink(samples[0], name)
    answer = model.classify(name)
    assert answer.path == name and answer.to_dict()["path"] == list(os.fsencode(name))
