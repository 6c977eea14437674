"""Says what happens in video clips, and learns new labels from a folder of labelled clips.

    >>> import classify_video
    >>> model = classify_video.Model()                      # knows 400 human actions
    >>> clip = model.classify("samples/jumping_jacks.mp4")
    >>> clip.label
    'jumping jacks'

Clips are read by processes of their own: one that crashes the decoder is an error of that clip, and Python goes on.
"""

from ._classify import __version__
from ._errors import (
    ClassifyError,
    ClipError,
    ClipWarning,
    DataError,
    FileError,
    ModelError,
    UsageError,
)
from ._model import Model
from ._results import ClipLabels, FailedClip, Label, Segment, Timeline
from ._training import Epoch, Evaluation, Training, Validation, evaluate, train

__all__ = [
    "ClassifyError",
    "ClipError",
    "ClipLabels",
    "ClipWarning",
    "DataError",
    "Epoch",
    "Evaluation",
    "FailedClip",
    "FileError",
    "Label",
    "Model",
    "ModelError",
    "Segment",
    "Timeline",
    "Training",
    "UsageError",
    "Validation",
    "__version__",
    "evaluate",
    "train",
]
