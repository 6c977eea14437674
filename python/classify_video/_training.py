"""Learning and measuring: the program's commands, in a process of their own."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Union

from . import _errors
from ._errors import ClassifyError, UsageError
from ._model import Model
from ._start import COMMAND

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Validation:
    """Result on the validation clips."""

    loss: float
    """Mean cross-entropy in nats."""
    accuracy: float
    """Share of the clips that are right, in all labels where they show several."""
    macro_f1: float
    """Mean of the classes' F1."""
    mean_average_precision: float | None = None
    """Where clips show several labels."""


@dataclass(frozen=True)
class Epoch:
    """An epoch of a training."""

    stage: str
    """Which stage of the training."""
    epoch: int
    """Counted from 1 in each stage."""
    learning_rate: float
    """At its last step."""
    train_loss: float
    """Mean over its steps."""
    train_accuracy: float
    """Share of the clips shown that were right."""
    validation: Validation | None
    """`None` where the validation clips are among the training clips."""
    best: bool
    """Whether it was the best of its stage so far."""
    seconds: float
    """How long it took."""


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on labelled clips. A clip that can't be read counts as answered wrongly."""

    model: str
    """Its name."""
    split: str
    """Which clips: `train`, `validation`, `test` or `all`."""
    clips: int
    """How many, readable or not."""
    errors: int
    """How many of them couldn't be read."""
    accuracy: float
    """Share of the clips whose best label is right; of a model that names several labels, share of the clips with no label
    too many or too few. Where no clip has a label, this and other shares are no number (`nan`)."""
    accuracy_interval: tuple[float, float] | None
    """Its 95 % interval (Wilson), of a model that names one label a clip."""
    top5: float | None
    """Share of the clips with the right label among the best five, of a model that names one label a clip."""
    mean_average_precision: float | None
    """Mean over the labels of the area under precision over recall, of a model that names several labels a clip."""
    macro_f1: float
    """Mean of the classes' F1."""
    calibration_error: float
    """Mean distance of the best label's score from the share of right answers at that score."""
    warnings: tuple[str, ...]
    """What there is to say about the data."""
    figures: dict[str, Any] = field(repr=False)
    """All figures, as `classify eval --format json` writes them: classes, confusions, baseline."""

    def to_dict(self) -> dict[str, Any]:
        """All figures, as `classify eval --format json` writes them."""
        return self.figures


@dataclass(frozen=True)
class Training:
    """A model that was trained."""

    path: str
    """Its folder."""
    evaluation: Evaluation
    """How good it is: on the test clips where the data has some, else on the validation clips."""
    epochs: tuple[Epoch, ...] = field(repr=False)
    """Every epoch of every stage."""

    @property
    def accuracy(self) -> float:
        """See `Evaluation.accuracy`."""
        return self.evaluation.accuracy

    @property
    def warnings(self) -> tuple[str, ...]:
        """What there is to say about the data and the training."""
        return self.evaluation.warnings

    def model(self, **settings: Any) -> Model:
        """The model, with settings as `Model` takes them."""
        return Model(self.path, **settings)


def train(
    data: Path,
    out: Path,
    *,
    preset: str | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    threads: int | None = None,
    **options: str | float | bool | os.PathLike[str] | None,
) -> Training:
    """Learns new labels from labelled clips, and writes the model folder `out`.

    Ctrl-C, and whatever `on_epoch` raises, ends it well: the best model so far is measured and saved first.

    Args:
        data: A folder with one folder of clips a label, or a list: CSV with the columns `path,label[,split][,group]`.
        out: Folder to write the model to.
        preset: `"quick"`, `"balanced"` (the default), `"best"` or `"small"`.
        on_epoch: Is called with each epoch as soon as it is over.
        threads: Cores to use; all by default.
        options: Options of `classify train`, with `_` for `-`: `epochs=20`, `backbone="kinetics400-i3d"`, `force=True`.

    Raises:
        DataError: Nothing can be learned from the clips.
        UsageError: Options that aren't there, or don't go together; or `out` has a model already.
    """
    epochs: list[Epoch] = []

    def told(line: dict[str, Any]) -> None:
        if "stage" in line:
            names = Epoch.__dataclass_fields__
            row = {name: value for name, value in line.items() if name in names}
            if row["validation"] is not None:
                row["validation"] = Validation(**row["validation"])
            epochs.append(Epoch(**row))
            if on_epoch is not None:
                on_epoch(epochs[-1])

    options = {"preset": preset, "threads": threads, **options}
    evaluation = run("train", [f"--output={os.fspath(out)}"], options, data, told)
    return Training(os.fspath(out), evaluation, tuple(epochs))


def evaluate(
    model: str | os.PathLike[str] | Model,
    data: Path,
    *,
    split: str | None = None,
    report: Path | None = None,
    threads: int | None = None,
) -> Evaluation:
    """Measures a model on labelled clips.

    Args:
        model: A model, its name, or its folder.
        data: Labelled clips, as `train` takes them; their labels must be the model's.
        split: `"train"`, `"val"`, `"test"` or `"all"`; by default the test clips where the data has some, else all.
        report: A folder to write a page with confusion matrix and mistakes to, `report.html`.
        threads: Cores to use; all by default, or the model's.

    Raises:
        DataError: The labels aren't the model's, or no clip can be read.
    """
    options: dict[str, Any] = {"split": split, "report": report, "threads": threads}
    if isinstance(model, Model):
        settings = model._settings
        for name in ("threshold", "labels"):
            if settings[name] is not None:
                raise UsageError(None, f"a model with a {name} of its own can't be measured")
        options |= {name: settings[name] for name in ("windows", "frames", "size")}
        options["threads"] = threads or settings["threads"]
        model = model._workers.model
    return run("eval", [f"--model={os.fspath(model)}"], options, data, lambda line: None)


def run(
    command: str, arguments: list[str], options: dict[str, Any], data: Path, told: Callable[[dict[str, Any]], None]
) -> Evaluation:
    """Runs a command of the program, hands each line of JSON that it says to `told`, and returns its figures.

    In a session of its own: Ctrl-C at a terminal goes to this process, which passes it on once.
    """
    words = [*COMMAND, command, "--format=json", *arguments, *flags(options), "--", os.fspath(data)]
    last: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, start_new_session=True, text=True
        )
        with child:
            assert child.stdout is not None
            try:
                for text in child.stdout:
                    last = json.loads(text)
                    told(last)
            except BaseException:
                ended_well(child)
                raise
        said.seek(0)
        warnings = tuple(line[len("warning: ") :].rstrip() for line in said if line.startswith("warning: "))
    if "error" in last:
        raise getattr(_errors, last["error"])(last["path"], last["reason"])
    if "macro_f1" not in last:
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"status {child.returncode}"
        raise ClassifyError(os.fspath(data), f"the {command} process ended without an answer: {how}")
    return Evaluation(
        model=last["model"],
        split=last["split"],
        clips=last["clips"],
        errors=last["errors"],
        accuracy=share(last["accuracy"] if "accuracy" in last else last["exact"]),
        accuracy_interval=tuple(last["accuracy_interval"]) if "accuracy_interval" in last else None,
        top5=last.get("top5"),
        mean_average_precision=last.get("mean_average_precision"),
        macro_f1=share(last["macro_f1"]),
        calibration_error=share(last["calibration_error"]),
        warnings=warnings,
        figures=last,
    )


def share(told: float | None) -> float:
    """A share as the program tells it, which says nothing where it would be one of no clip."""
    return math.nan if told is None else told


def ended_well(child: subprocess.Popen[str]) -> None:
    """Asks a process to end and waits for it; whoever asks again doesn't wait."""
    assert child.stdout is not None
    try:
        child.send_signal(signal.SIGINT)
        child.stdout.read()
        child.wait()
    finally:
        child.kill()


def flags(options: dict[str, Any]) -> list[str]:
    """Options as the command's words."""
    words = []
    for name, value in options.items():
        word = "--" + name.replace("_", "-")
        if value is True:
            words.append(word)
        elif value is not None and value is not False:
            words.append(f"{word}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return words
