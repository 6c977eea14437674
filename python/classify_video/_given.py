"""Clips as callers give them: paths, bytes, files that are open."""

from __future__ import annotations

import os
import shutil
from typing import IO, TYPE_CHECKING, Any, Protocol, Union

if TYPE_CHECKING:
    import numpy.typing


class Reads(Protocol):
    """An open file: whatever has `read`."""

    def read(self, size: int = ..., /) -> bytes:
        """Up to `size` bytes; none at the end."""


Clip = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, Reads]
"""A clip: its path, its bytes, or an open file, which is read from where it stands to its end."""


class Given:
    """A clip, readable at `path` by other processes for as long as this object lives; the caller knows it as `name`."""

    def __init__(self, clip: Clip, name: str | None = None) -> None:
        self.in_memory: Memory | None = None
        if isinstance(clip, (str, os.PathLike)):
            self.path = os.fspath(clip)
            if not isinstance(self.path, str):
                self.path = os.fsdecode(self.path)
            # What stands behind the question mark of a web address may be a signature, which no message should hold.
            web = self.path.startswith(("http://", "https://"))
            self.name = name or (self.path.partition("?")[0] if web else self.path)
            return
        self.in_memory = Memory()
        self.path = self.in_memory.path
        if isinstance(clip, (bytes, bytearray, memoryview)):
            self.name = name or "<bytes>"
            self.in_memory.file.write(clip)
        elif hasattr(clip, "read"):
            own = getattr(clip, "name", None)
            self.name = name or (own if isinstance(own, str) else "<file>")
            try:
                shutil.copyfileobj(clip, self.in_memory.file)
            except TypeError:
                raise TypeError(f"{self.name}: a file to be read must be open in binary mode") from None
        else:
            kind = type(clip).__name__
            raise TypeError(f"a clip is a path, bytes or an open file, not {kind}")
        self.in_memory.file.flush()


class Memory:
    """A file in memory that other processes of the user find at `path`. It is gone when this object or this process is,
    however that ends."""

    def __init__(self) -> None:
        self.file: IO[bytes] = os.fdopen(os.memfd_create("classify"), "w+b")
        self.path = f"/proc/{os.getpid()}/fd/{self.file.fileno()}"

    def numbers(self, shape: list[int], kind: str) -> numpy.typing.NDArray[Any]:
        """What was written to it, as an array."""
        import numpy

        self.file.seek(0)
        return numpy.fromfile(self.file, dtype=kind).reshape(shape)
