"""What labellers have in common that run inside an engine: Ray, Daft, Spark."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from typing import Any

import pyarrow

from ._given import Given
from ._model import Model
from ._results import ClipLabels, FailedClip
from ._table import label

NAMED_WRONGLY = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
"""Errors of a path that stay whoever tries it, and whenever."""

UNREAD = ("the store can't be read", "the store refuses it")
"""What the program says of a store that may answer the next time or elsewhere; of an object that is gone it says so."""

PIECE = 1 << 20
"""Bytes that are read at a time."""


class Tables:
    """Labels tables of clips as `Model.label` does, for an engine that does a piece of work again where it failed.

    A clip that is broken is a row with its reason. What may go well the next time or on another machine is raised, for
    the engine to decide: a file that can't be read (permission, disk, network) as Python's own `OSError`, with its name;
    a worker process that can't be started as `ClassifyError`.

    Args:
        model: As `Model` takes it.
        threads: Cores to use.
        options: `Model`'s others.
    """

    def __init__(self, model: str | os.PathLike[str], threads: int, options: dict[str, Any]) -> None:
        self._model = Model(model, threads=threads, **options)

    def label(self, table: pyarrow.Table) -> pyarrow.Table:
        """See `Model.label`; besides, a path may be an address as engines list files by, `file:/…`.

        Raises:
            OSError: A file that is there can't be read.
        """
        return label(table, self._answers)

    def _answers(self, clips: Iterator[Given | FailedClip]) -> Iterator[ClipLabels | FailedClip]:
        begun: deque[Given | FailedClip] = deque()

        def noted() -> Iterator[Given | FailedClip]:
            for clip in clips:
                if isinstance(clip, Given):
                    clip.path = local(clip.path)
                begun.append(clip)
                yield clip

        for answer in self._model._many(noted(), raises=False):
            clip = begun.popleft()
            if isinstance(clip, Given) and doubtful(answer):
                answer = self._once_more(clip)
            yield answer

    def _once_more(self, clip: Given) -> ClipLabels | FailedClip:
        """The clip's last answer. To the decoder a file that can't be read on is one that was cut off, and whether a
        process was killed because of its clip shows when the next one is, too."""
        read_through(clip.path)
        answer: ClipLabels | FailedClip = next(self._model._many([clip], raises=False))
        if isinstance(answer, FailedClip) and answer.error.startswith(UNREAD):
            raise OSError(errno.EIO, answer.error, clip.name)
        return answer


def doubtful(answer: ClipLabels | FailedClip) -> bool:
    """Whether an answer may be owed to something else than its clip."""
    if isinstance(answer, FailedClip):
        # Twice as long is not what a limit of time is for.
        return not answer.error.startswith("not done within")
    return any(warning.startswith("truncated") for warning in answer.warnings)


def read_through(path: str) -> None:
    """Reads a file to its end.

    Raises:
        OSError: It is there and can't be read.
    """
    try:
        # Others than files may never end.
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb", buffering=0) as file:
                while file.read(PIECE):
                    pass
    except (*NAMED_WRONGLY, ValueError):
        pass
    except OSError as error:
        # Reading, other than opening, doesn't say of what.
        error.filename = path
        raise


def local(path: str) -> str:
    """A path of this machine, where it is an address of one: `file:/a b`, `file:///a b`. Engines don't escape in it."""
    if path.startswith("file:/") and not os.path.exists(path):
        return "/" + path.removeprefix("file:").lstrip("/")
    return path
