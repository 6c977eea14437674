"""Labels inside Daft.

    >>> import daft
    >>> from classify_video.daft import Labeller
    >>> labeller = daft.cls(Labeller, cpus=1, max_concurrency=16, use_process=True)("ucf14-lite0-lstm")
    >>> clips = daft.read_parquet("clips.parquet")             # a column `path`
    >>> labels = clips.select("*", labeller(clips["path"]))
"""

from __future__ import annotations

import os
from typing import Any

import daft
import pyarrow

from ._engine import Tables
from ._table import ADDED

ANSWER = daft.DataType.from_arrow_type(pyarrow.struct(list(ADDED)))

BATCH = 32
"""Clips a call at most. Daft deals a table out to instances by calls, and a table of paths is small: without a limit
one instance would get it all."""


class Labeller:
    """A class for `daft.cls`: each instance loads the model once, and answers a row a clip. In a `select` the answer is
    the columns that `Model.label` adds.

    A broken clip is a row with its reason in `error`. A file that can't be read raises `OSError`, which Daft tries again
    as often as `max_retries` of `daft.cls` says.

    Args:
        model: A name or folder, as `Model` takes it; a folder must lie on every machine.
        threads: Cores to use. Daft doesn't tell an instance how many it was given: say here what `cpus` says.
        options: `Model`'s others.
    """

    def __init__(
        self, model: str | os.PathLike[str] = "kinetics400-i3d", *, threads: int = 1, **options: Any
    ) -> None:
        self._tables = Tables(model, threads, options)

    def label(self, path: daft.Series, content: daft.Series | None = None) -> daft.Series:
        """Answers about the clips at `path`; or about those that `content` is the bytes of, which `path` names."""
        columns = {"path": path} if content is None else {"path": path, "bytes": content}
        answers = self._tables.label(pyarrow.table({name: column.to_arrow() for name, column in columns.items()}))
        arrays = [answers[name].combine_chunks() for name in ADDED.names]
        return daft.Series.from_arrow(pyarrow.StructArray.from_arrays(arrays, fields=list(ADDED)))

    __call__ = daft.method.batch(label, return_dtype=ANSWER, unnest=True, batch_size=BATCH)
