"""Labels a folder's clips inside Spark: spark-submit spark_label.py FOLDER OUTPUT"""

import sys
from pathlib import Path

from classify_video.spark import Labeller
from pyspark.sql import SparkSession

folder, output = sys.argv[1:]
session = SparkSession.builder.getOrCreate()
clips = session.createDataFrame([(str(path),) for path in Path(folder).resolve().rglob("*.mp4")], ["path"])
labeller = Labeller("ucf14-lite0-lstm")
labels = clips.repartition(40).mapInArrow(labeller, labeller.schema(clips))
labels.write.parquet(output)
