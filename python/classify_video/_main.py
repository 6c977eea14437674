"""The command `classify`."""

from __future__ import annotations

import sys

from . import _classify, _start


def main() -> None:
    """Does what the arguments ask, and ends the process."""
    _classify.start_by(_start.COMMAND)
    _classify.main(["classify", *sys.argv[1:]])
