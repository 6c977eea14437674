"""Labels inside Ray Data.

    >>> import ray
    >>> from classify_video.ray import Labeller
    >>> clips = ray.data.read_parquet("clips.parquet")         # a column `path`
    >>> labels = clips.map_batches(Labeller, fn_constructor_args=["ucf14-lite0-lstm"], batch_format="pyarrow",
    ...                            batch_size=32, num_cpus=1, compute=ray.data.ActorPoolStrategy(size=16))
"""

from __future__ import annotations

import os
from typing import Any

import pyarrow
import ray

from ._engine import Tables


class Labeller:
    """A class for `ray.data.Dataset.map_batches` with `batch_format="pyarrow"`: each actor loads the model once, and
    answers a row a clip as `Model.label` does.

    A broken clip is a row with its reason in `error`. A file that can't be read raises `OSError`, which Ray tries again
    where `DataContext.retried_map_errors` says so.

    Args:
        model: A name or folder, as `Model` takes it; a folder must lie on every machine.
        threads: Cores to use; by default as many as Ray gave the actor (`num_cpus`), at least one.
        options: `Model`'s others.
    """

    def __init__(
        self, model: str | os.PathLike[str] = "kinetics400-i3d", *, threads: int | None = None, **options: Any
    ) -> None:
        self._tables = Tables(model, threads or given_cores(), options)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        return self._tables.label(batch)


def given_cores() -> int:
    """Cores that Ray gave this actor."""
    given = ray.get_runtime_context().get_assigned_resources()
    return max(1, int(given.get("CPU", 1)))
