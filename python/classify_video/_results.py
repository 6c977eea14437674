"""What a model answers."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def rounded(value: float, digits: int) -> float:
    """As the program rounds what it writes: halves away from zero."""
    scaled = value * 10.0**digits
    whole = math.floor(scaled)
    return (whole + (scaled - whole >= 0.5)) / 10.0**digits


BARS = 20
"""Labels that a notebook shows of a clip at most, beside those that it shows of several."""


def told(path: str) -> str | list[int]:
    """A path in JSON, as the program writes it: one that isn't UTF-8 is the list of its bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return list(os.fsencode(path))
    return path


@dataclass(frozen=True)
class Label:
    """A label, and how likely the model thinks it, between 0 and 1."""

    label: str
    score: float
    above: bool | None = None
    """Whether the score reaches the label's own threshold; `None` where the model names one label a clip."""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the row that `classify --format json` writes."""
        told: dict[str, Any] = {"label": self.label, "score": rounded(self.score, 6)}
        return told if self.above is None else told | {"above": self.above}


@dataclass(frozen=True)
class ClipLabels:
    """What a clip shows."""

    path: str
    """The clip as it was named; `<bytes>` for bytes."""
    labels: tuple[Label, ...]
    """The best labels, best first; where the clip may show several, those that it shows come first and are all there."""
    confident: bool | None
    """Whether the model knows such clips well enough; `None` where it has no threshold."""
    duration: float
    """Seconds."""
    frames: int
    """How many frames the model saw."""
    model: str
    """The model's name."""
    warnings: tuple[str, ...]
    """What is wrong with the clip without keeping it from being labelled."""
    _filmstrip: Callable[[str], bytes | None] | None = field(default=None, repr=False, compare=False)
    _luma: bool = field(default=False, repr=False, compare=False)
    """Whether its filmstrip has a second row, as the network sees brightness instead of colours."""

    @property
    def label(self) -> str | None:
        """The best label. By a model that names several it is as in the command's tables: all that the clip shows, by
        their names, with `|` between them; `None` where it shows none of them."""
        return "|".join(sorted(one.label for one in self._told)) or None

    @property
    def score(self) -> float | None:
        """The best label's score, between 0 and 1; the lowest of several."""
        return min((one.score for one in self._told), default=None)

    @property
    def shown(self) -> tuple[Label, ...] | None:
        """The labels that the clip shows, by a model that names several; `None` by one that names one."""
        if self.labels[0].above is None:
            return None
        return tuple(one for one in self.labels if one.above)

    @property
    def _told(self) -> tuple[Label, ...]:
        """What is said of it: the labels that it shows, or the best one by a model that names one."""
        return self.labels[:1] if self.shown is None else self.shown

    @property
    def _doubt(self) -> str:
        """What the command says above labels that are guesses; else nothing."""
        if self.shown == ():
            return "nothing it knows"
        return "not sure" if self.confident is False else ""

    @property
    def error(self) -> None:
        """Nothing: see `FailedClip`."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """The row that `classify --format json` writes."""
        row = {
            "path": told(self.path),
            "labels": [one.to_dict() for one in self.labels],
            "duration_s": rounded(self.duration, 3),
            "frames": self.frames,
            "model": self.model,
        }
        if self.confident is not None:
            row["confident"] = self.confident
        return row

    def __repr__(self) -> str:
        best = ", ".join(f"{one.label} {100 * one.score:.1f} %" for one in self._told or self.labels[:1])
        doubt = f"{self._doubt}, at best " if self._doubt else ""
        return f"<ClipLabels {self.path!r}: {doubt}{best}, {self.duration:.1f} s>"

    def _repr_html_(self) -> str:
        strip = self._filmstrip(self.path) if self._filmstrip else None
        return page(self, strip)


@dataclass(frozen=True)
class FailedClip:
    """A clip that couldn't be labelled."""

    path: str
    """The clip as it was named."""
    error: str
    """Why."""

    def to_dict(self) -> dict[str, Any]:
        """The row that `classify --format json` writes."""
        return {"path": told(self.path), "error": self.error}


@dataclass(frozen=True)
class Segment:
    """A stretch of a film in which one thing happens."""

    start: float
    """Seconds from the film's first picture."""
    end: float
    """Seconds from the film's first picture."""
    label: str | None
    """`None` where the model is not sure."""
    score: float
    """Mean score of the label; where there is none, of the best guesses."""

    def to_dict(self) -> dict[str, Any]:
        """The row that `classify --timeline --format json` writes, without the film's path."""
        return {
            "start_s": rounded(self.start, 3),
            "end_s": rounded(self.end, 3),
            "label": self.label,
            "score": rounded(self.score, 6),
        }


@dataclass(frozen=True)
class Timeline:
    """What happens when in a film."""

    path: str
    """The film as it was named."""
    segments: tuple[Segment, ...]
    """In order of time; by a model that names several labels, they may overlap and leave gaps."""
    duration: float
    """Seconds."""
    warnings: tuple[str, ...]
    """What is wrong with the film."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows that `classify --timeline --format json` writes."""
        return [{"path": told(self.path), **segment.to_dict()} for segment in self.segments]


def page(clip: ClipLabels, strip: bytes | None) -> str:
    """A clip in a notebook: its frames, and a bar a label."""
    import base64

    picture = ""
    if strip:
        source = base64.b64encode(strip).decode()
        picture = f'<img src="data:image/jpeg;base64,{source}" alt="frames of the clip"><br>'
    if strip and clip._luma:
        picture += (
            "<small>Above: natural colours. Below: what the network saw, the brightness at three moments instead of"
            " red, green and blue.</small><br>"
        )
    doubt = f"{clip._doubt}; the best guesses are" if clip._doubt else ""
    bars = clip.shown or clip.labels[:BARS]
    rows = "".join(
        f"<tr><td style='text-align: left'>{html.escape(one.label)}</td><td>{100 * one.score:.1f} %</td>"
        f"<td style='text-align: left'><div style='background: #4a90d9; height: .8em;"
        f" width: {160 * one.score:.0f}px'></div></td></tr>"
        for one in bars
    )
    others = 0 if clip.shown else len(clip.labels) - len(bars)
    more = f"and {others} more" if others else ""
    notes = "".join(f"<br>{html.escape(warning)}" for warning in clip.warnings)
    return (
        f"<div><b>{html.escape(clip.path)}</b> {clip.duration:.1f} s, {html.escape(clip.model)}{notes}<br>"
        f"{picture}{doubt}<table>{rows}</table>{more}</div>"
    )
