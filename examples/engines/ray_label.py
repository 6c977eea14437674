"""Labels a folder's clips inside Ray: ray_label.py FOLDER OUTPUT"""

import sys
from pathlib import Path

import ray
from classify_video.ray import Labeller

folder, output = sys.argv[1:]
context = ray.data.DataContext.get_current()
context.retried_map_errors, context.max_map_retries = ["Errno"], 2
clips = ray.data.from_items([{"path": str(path)} for path in Path(folder).resolve().rglob("*.mp4")])
labels = clips.map_batches(
    Labeller,
    fn_constructor_args=["ucf14-lite0-lstm"],
    batch_format="pyarrow",
    batch_size=32,
    num_cpus=1,
    compute=ray.data.ActorPoolStrategy(size=2),
)
labels.write_parquet(output)
