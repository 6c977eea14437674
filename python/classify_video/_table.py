"""Tables of clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow

from ._errors import UsageError
from ._given import Given
from ._results import ClipLabels, FailedClip, rounded

LABEL = pyarrow.struct([("label", pyarrow.string()), ("score", pyarrow.float64()), ("above", pyarrow.bool_())])

ADDED = pyarrow.schema(
    [
        ("label", pyarrow.string()),
        ("score", pyarrow.float64()),
        ("confident", pyarrow.bool_()),
        ("duration_s", pyarrow.float64()),
        ("frames", pyarrow.int64()),
        ("model", pyarrow.string()),
        ("labels", pyarrow.list_(LABEL)),
        ("warnings", pyarrow.list_(pyarrow.string())),
        ("error", pyarrow.string()),
    ]
)
"""The columns that answers are."""


def label(
    table: pyarrow.Table, answers: Callable[[Iterator[Given | FailedClip]], Iterator[ClipLabels | FailedClip]]
) -> pyarrow.Table:
    """See `Model.label`; `answers` labels clips, in their order."""
    names = table.column_names
    if "path" not in names:
        raise UsageError(None, f"the table has no column 'path', only {', '.join(names) or 'none at all'}")
    for name in ADDED.names:
        if name in names:
            raise UsageError(None, f"the table has a column '{name}' already, which labels would be written to")
    rows = [row(clip) for clip in answers(clips(table))]
    if "bytes" in names:
        table = table.drop_columns(["bytes"]) if hasattr(table, "drop_columns") else table.drop(["bytes"])
    for field in ADDED:
        table = table.append_column(field, pyarrow.array([row[field.name] for row in rows], field.type))
    return table


def clips(table: pyarrow.Table) -> Iterator[Given | FailedClip]:
    """The rows' clips, each taken from the table when it is asked for."""
    contents = table["bytes"] if "bytes" in table.column_names else None
    for index, path in enumerate(table["path"]):
        name = path.as_py()
        content = None if contents is None else contents[index]
        if content is not None and content.is_valid:
            yield Given(memoryview(content.as_buffer()), name)
        elif name is None:
            yield FailedClip("", "the row names no clip")
        else:
            yield Given(name)


def row(clip: ClipLabels | FailedClip) -> dict[str, Any]:
    """A clip's values of the columns that are added."""
    if isinstance(clip, FailedClip):
        return dict.fromkeys(ADDED.names) | {"error": clip.error}
    return {
        "label": clip.label,
        "score": None if clip.score is None else rounded(clip.score, 6),
        "confident": clip.confident,
        "duration_s": rounded(clip.duration, 3),
        "frames": clip.frames,
        "model": clip.model,
        "labels": [one.to_dict() for one in clip.labels],
        "warnings": list(clip.warnings),
        "error": None,
    }
