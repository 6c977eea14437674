"""How processes of ours are started: by this Python, without its packages, on the module beside this file."""

from __future__ import annotations

import os
import sys

from . import _classify

COMMAND = [sys.executable, "-I", "-S", os.path.join(os.path.dirname(os.path.abspath(__file__)), "_worker.py")]
_classify.start_by(COMMAND)
