"""A process of ours, started by the path of this file: a worker, or a command for another process.

Without the package around it, as importing that takes longer than many a clip.
"""

import sys

sys.path.append(__file__.rpartition("/")[0])

import _classify  # noqa: E402

if sys.argv[1:] == ["__worker"]:
    _classify.serve()
_classify.tell(["classify", *sys.argv[1:]])
