"""A model, and what it answers about clips."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _start  # noqa: F401
from ._classify import Ticket, Workers
from ._errors import ClipError, ClipWarning, UsageError
from ._given import Clip, Given, Memory
from ._results import ClipLabels, FailedClip, Label, Segment, Timeline

if TYPE_CHECKING:
    import numpy
    import numpy.typing
    import pyarrow

AHEAD = 8
"""Clips a thread that are begun before they are asked for: what is read ahead is held in memory."""


class Model:
    """A model, ready to label clips by processes of its own.

    `model` is a model inside the package (`kinetics400-i3d`, `ucf14-lite0-lstm`, `imagenet-lite0`), a model folder, or
    the name of a model that `classify pull` fetched.

    The processes start with the first clip and end with this object. Threads may share it. It is pickled by its name
    and settings, so that each process of an engine starts its own.

    Args:
        model: Name or folder.
        threads: Cores to use; all by default.
        top: How many of a clip's best labels are told; `None` for all.
        windows: Windows to look at in a clip, spread over it, instead of the model's own number.
        frames: Frames a window, instead of the model's own number.
        size: Width and height of the frames in pixels, instead of the model's own.
        threshold: A clip is not confident where its best score is below; by a model that names several labels, a clip
            shows those whose scores reach it. Instead of the model's own.
        labels: Labels in plain words instead of the model's own, for models that learned pictures with texts:
            `["a person falls", "an empty room"]`, or for each label the words that describe it.
        timeout: Seconds after which a clip is given up.

    Raises:
        ModelError: It isn't there, or can't be used.
        UsageError: The settings don't fit.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "kinetics400-i3d",
        *,
        threads: int | None = None,
        top: int | None = 5,
        windows: int | None = None,
        frames: int | None = None,
        size: int | None = None,
        threshold: float | None = None,
        labels: str | Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        timeout: float = 300.0,
    ) -> None:
        within("threads", threads, 1, 1024)
        within("top", top, 1, 100_000)
        within("windows", windows, 1, 1000)
        within("frames", frames, 1, 10_000)
        within("size", size, 16, 4096)
        within("threshold", threshold, 0, 1)
        self._settings: dict[str, Any] = {
            "threads": threads,
            "top": top,
            "windows": windows,
            "frames": frames,
            "size": size,
            "threshold": threshold,
            "labels": described(labels),
            "timeout": timeout,
        }
        self._workers = Workers(os.fspath(model), **self._settings)

    @property
    def name(self) -> str:
        """The model's name, as results carry it."""
        return self._workers.name

    @property
    def labels(self) -> list[str]:
        """What it can answer, in its own order."""
        return self._workers.labels

    @property
    def threads(self) -> int:
        """Cores that it uses."""
        return self._workers.threads

    def classify(self, clip: Clip) -> ClipLabels:
        """Says what happens in a clip, on all threads.

        Args:
            clip: A path, a clip's bytes, or an open file, which is read to its end. Without a name its format is told
                by its content alone.

        Raises:
            ClipError: It can't be labelled.
        """
        given = Given(clip)
        return self._labelled(given, self._workers.label(given.path, given.name, True))

    @overload
    def classify_many(self, clips: Iterable[Clip], on_error: Literal["raise"] = "raise") -> Iterator[ClipLabels]: ...

    @overload
    def classify_many(self, clips: Iterable[Clip], on_error: Literal["row"]) -> Iterator[ClipLabels | FailedClip]: ...

    def classify_many(
        self, clips: Iterable[Clip], on_error: Literal["raise", "row"] = "raise"
    ) -> Iterator[ClipLabels] | Iterator[ClipLabels | FailedClip]:
        """Says what happens in many clips, in their order, a clip a thread.

        `clips` is read as results are asked for, a few clips ahead; it may be without end.

        Args:
            clips: Clips as `classify` takes them.
            on_error: What a clip is that can't be labelled: `"raise"` raises its `ClipError`, `"row"` gives a
                `FailedClip` in its place.
        """
        if on_error not in ("raise", "row"):
            raise UsageError(None, f"on_error: must be 'raise' or 'row', not {on_error!r}")
        return self._many((Given(clip) for clip in clips), raises=on_error == "raise")

    def label(self, table: pyarrow.Table) -> pyarrow.Table:
        """Labels the clips of a table, a row a clip; never raises because of a clip.

        Args:
            table: With a column `path`. Where there is a column `bytes` too, clips are read from there, and the path
                is the name that errors carry; a clip without bytes is read from its path.

        Returns:
            The table without `bytes`, and with the columns `label`, `score`, `confident`, `duration_s`, `frames`,
            `model`, `labels` (a list of `label`, `score` and `above`, best first), `warnings` and `error`, which is null where
            the clip was labelled. `label` and `score` are those of `ClipLabels`: null where a clip shows none of several
            labels. Figures are rounded as the program writes them.

        Raises:
            UsageError: The table has no column `path`, or has one of the columns that are added.
        """
        from ._table import label

        return label(table, lambda clips: self._many(clips, raises=False))

    def frames(self, clip: Clip) -> numpy.typing.NDArray[numpy.uint8]:
        """The frames of a clip that the model sees, upright, RGB: `uint8 [windows, frames, height, width, 3]`.

        What is wrong with the clip without keeping it from being read is a `ClipWarning`.

        Raises:
            ClipError: It can't be read.
        """
        return self._numbers(clip, self._workers.frames, "u1")

    def features(self, clip: Clip) -> numpy.typing.NDArray[numpy.float32]:
        """What the CNN makes of a clip's frames: `float32 [windows, T', D]`, a vector of length D for each of T' steps.

        What is wrong with the clip without keeping it from being read is a `ClipWarning`.

        Raises:
            ClipError: It can't be read.
        """
        return self._numbers(clip, self._workers.features, "f4")

    def timeline(self, film: Clip, *, window: float | None = None, cuts: bool = True) -> Timeline:
        """Says what happens when in a film, which is watched from its first picture to its last.

        Args:
            film: A path, a film's bytes, or an open file.
            window: Seconds that are looked at together, 0.1 to 3600; by default what the model was trained on.
            cuts: Whether cuts between scenes end a label.

        Raises:
            ClipError: It can't be watched.
        """
        within("window", window, 0.1, 3600)
        given = Given(film)
        answer = json.loads(self._workers.timeline(given.path, given.name, window, cuts).wait())
        segments = (
            Segment(one["start"], one["end"], one["label"], single(one["score"])) for one in answer["segments"]
        )
        return Timeline(given.name, tuple(segments), answer["duration_s"], tuple(answer["warnings"]))

    def filmstrip(self, clip: Clip) -> bytes | None:
        """Some of the frames that the model sees side by side, a JPEG picture; `None` where the clip can't be read.

        Where the network sees the brightness at three moments instead of red, green and blue, there are two rows: the
        frames in natural colours, and below them what it sees.
        """
        given = Given(clip)
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "strip.jpg")
            try:
                self._workers.strip(given.path, given.name, file).wait()
                with open(file, "rb") as strip:
                    return strip.read()
            except (ClipError, FileNotFoundError):
                return None

    def _numbers(self, clip: Clip, ask: Any, kind: str) -> numpy.typing.NDArray[Any]:
        given, memory = Given(clip), Memory()
        answer = json.loads(ask(given.path, given.name, memory.path).wait())
        for warning in answer["warnings"]:
            warnings.warn(f"{given.name}: {warning}", ClipWarning, stacklevel=3)
        return memory.numbers(answer["shape"], kind)

    def _many(self, clips: Iterable[Given | FailedClip], raises: bool) -> Iterator[Any]:
        begun: deque[tuple[Given, Ticket] | FailedClip] = deque()
        try:
            for clip in clips:
                if isinstance(clip, FailedClip):
                    begun.append(clip)
                else:
                    begun.append((clip, self._workers.label(clip.path, clip.name, False)))
                if len(begun) >= AHEAD * self.threads:
                    yield self._row(begun.popleft(), raises)
            while begun:
                yield self._row(begun.popleft(), raises)
        finally:
            # Work that nobody waits for ends.
            begun.clear()

    def _row(self, begun: tuple[Given, Ticket] | FailedClip, raises: bool) -> ClipLabels | FailedClip:
        if isinstance(begun, FailedClip):
            return begun
        try:
            return self._labelled(*begun)
        except ClipError as error:
            if raises:
                raise
            return FailedClip(begun[0].name, error.reason)

    def _labelled(self, given: Given, ticket: Ticket) -> ClipLabels:
        answer = json.loads(ticket.wait())
        return ClipLabels(
            path=given.name,
            labels=tuple(Label(one["label"], single(one["score"]), one.get("above")) for one in answer["labels"]),
            confident=answer["confident"],
            duration=answer["duration_s"],
            frames=answer["frames"],
            model=answer["model"],
            warnings=tuple(answer["warnings"]),
            _filmstrip=None if given.in_memory else self.filmstrip,
            _luma=self._workers.luma,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self._workers.model, self._settings)

    def __repr__(self) -> str:
        given = {name: value for name, value in self._settings.items() if value is not None and name != "labels"}
        return f"Model({self._workers.model!r}, {', '.join(f'{name}={value!r}' for name, value in given.items())})"


def remade(kind: type[Model], model: str, settings: dict[str, Any]) -> Model:
    """A model that was pickled."""
    labels = settings["labels"]
    return kind(model, **{**settings, "labels": labels if labels is None else dict(labels)})


def described(
    labels: str | Sequence[str] | Mapping[str, Sequence[str]] | None,
) -> list[tuple[str, list[str]]] | None:
    """Labels, each with the words that describe it; none stand for the label itself."""
    if labels is None:
        return None
    if isinstance(labels, str):
        labels = [part.strip() for part in labels.split(",") if part.strip()]
    if isinstance(labels, Mapping):
        pairs = [(label, list(texts)) for label, texts in labels.items()]
    else:
        pairs = [(label, []) for label in labels]
    if not pairs or len({label for label, _ in pairs}) < len(pairs):
        raise UsageError(None, "labels: there must be some, and none of them twice")
    return pairs


def within(name: str, value: float | None, least: float, most: float) -> None:
    """Refuses a setting that is out of bounds."""
    if value is not None and not least <= value <= most:
        raise UsageError(None, f"{name}: must be between {least} and {most}, not {value}")


def single(score: float) -> float:
    """The very score of single precision that the program told in as few digits as tell it apart."""
    value: float = struct.unpack("f", struct.pack("f", score))[0]
    return value
