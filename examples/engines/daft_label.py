"""Labels a folder's clips inside Daft: daft_label.py FOLDER OUTPUT"""

import sys
from pathlib import Path

import daft
from classify_video.daft import Labeller

folder, output = sys.argv[1:]
actors = daft.cls(Labeller, cpus=1, max_concurrency=2, use_process=True, max_retries=2)
labeller = actors("ucf14-lite0-lstm")
clips = daft.from_pydict({"path": [str(path) for path in Path(folder).resolve().rglob("*.mp4")]})
clips = clips.into_partitions(40)
clips.select("*", labeller(clips["path"])).write_parquet(output)
