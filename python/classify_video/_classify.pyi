"""The program, as far as Python needs it."""

import os
from collections.abc import Sequence
from typing import NoReturn, final

__all__ = ["Ticket", "Workers", "__version__", "main", "serve", "start_by", "tell"]
__version__: str

@final
class Workers:
    """A model's worker processes."""

    def __new__(
        cls,
        model: str,
        *,
        threads: int | None,
        top: int | None,
        windows: int | None,
        frames: int | None,
        size: int | None,
        threshold: float | None,
        labels: Sequence[tuple[str, Sequence[str]]] | None,
        timeout: float,
    ) -> Workers: ...
    @property
    def model(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def threads(self) -> int: ...
    def label(self, path: str | os.PathLike[str], name: str, alone: bool) -> Ticket: ...
    def strip(self, path: str | os.PathLike[str], name: str, to: str) -> Ticket: ...
    def frames(self, path: str | os.PathLike[str], name: str, to: str) -> Ticket: ...
    def features(self, path: str | os.PathLike[str], name: str, to: str) -> Ticket: ...
    def timeline(self, path: str | os.PathLike[str], name: str, window: float | None, cuts: bool) -> Ticket: ...

@final
class Ticket:
    """An answer to come."""

    def wait(self) -> str: ...

def start_by(command: Sequence[str]) -> None: ...
def main(arguments: Sequence[str]) -> NoReturn: ...
def serve() -> NoReturn: ...
def tell(arguments: Sequence[str]) -> NoReturn: ...
