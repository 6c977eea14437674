"""Labels inside Spark.

    >>> from classify_video.spark import Labeller
    >>> labeller = Labeller("ucf14-lite0-lstm")
    >>> clips = session.read.parquet("clips.parquet")          # a column `path`
    >>> labels = clips.mapInArrow(labeller, labeller.schema(clips))
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from ._engine import Tables
from ._table import ADDED


class Labeller:
    """A function for `DataFrame.mapInArrow`: answers a row a clip as `Model.label` does. Each Python worker of Spark
    loads the model once, and keeps it for its next tasks.

    A broken clip is a row with its reason in `error`. A file that can't be read raises `OSError`, and Spark tries the
    task again (`spark.task.maxFailures`).

    Args:
        model: A name or folder, as `Model` takes it; a folder must lie on every machine.
        threads: Cores to use; by default as many as Spark gives a task (`spark.task.cpus`).
        options: `Model`'s others.
    """

    def __init__(
        self, model: str | os.PathLike[str] = "kinetics400-i3d", *, threads: int | None = None, **options: Any
    ) -> None:
        self._settings = (model, threads, options)

    def schema(self, frame: DataFrame) -> StructType:
        """The columns that `frame` has when it is labelled."""
        kept = [field for field in frame.schema.fields if field.name != "bytes"]
        return StructType(kept + from_arrow_schema(ADDED).fields)

    def __call__(self, batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        tables = loaded(*self._settings)
        for batch in batches:
            yield from tables.label(pyarrow.Table.from_batches([batch])).combine_chunks().to_batches()


_loaded: tuple[bytes, Tables] | None = None
"""What this process labelled with last, and its settings."""


def loaded(model: str | os.PathLike[str], threads: int | None, options: dict[str, Any]) -> Tables:
    """The model, loaded where it isn't the one that was used last."""
    global _loaded
    threads = threads or given_cores()
    settings = pickle.dumps((model, threads, options))
    if _loaded is None or _loaded[0] != settings:
        _loaded = (settings, Tables(model, threads, options))
    return _loaded[1]


def given_cores() -> int:
    """Cores that Spark gives this task."""
    task = TaskContext.get()
    return max(1, task.cpus()) if task else 1
