"""What can go wrong. Each error names the file that it is about."""

from __future__ import annotations


class ClassifyError(Exception):
    """Something that can't be done. `path` is the file that it is about, if any, `reason` says why."""

    def __init__(self, path: str | None, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return self.reason if self.path is None else f"{self.path}: {self.reason}"


class ClipError(ClassifyError):
    """A clip that can't be labelled: broken, no video, or it crashed the decoder. Others can be."""


class ModelError(ClassifyError):
    """A model that isn't there, or can't be used."""


class DataError(ClassifyError):
    """Labelled clips that nothing can be learned from, or measured on."""


class FileError(ClassifyError, OSError):
    """A file that can't be read or written."""


class UsageError(ClassifyError, ValueError):
    """A request that contradicts itself, or asks for what isn't there."""


class ClipWarning(UserWarning):
    """What is wrong with a clip without keeping it from being used."""
