#!/usr/bin/env python3
"""Writes the lists that docs/unknown.md measures with.

unknown_lists.py UCF14 TANK OUT: the folders with split1.csv and with split.csv, and a folder for the lists. For each of
three draws: four classes are left out; `near` shows their test clips as `_none_`, `far` 100 railway test clips,
`background` has two more classes left out, of which 50 training clips are `_none_` to learn from. `far` without a number
has all classes.
"""
import csv
import pathlib
import random
import sys

ucf, tank, out = (pathlib.Path(folder).resolve() for folder in sys.argv[1:4])
rows = list(csv.DictReader(open(ucf / "split1.csv")))
classes = sorted({row["label"] for row in rows})
railway = sorted(row["path"] for row in csv.DictReader(open(tank / "split.csv")) if row["split"] == "test")
random.Random(0).shuffle(railway)
out.mkdir(exist_ok=True)


def write(name, lines):
    with open(out / f"{name}.csv", "w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split", "group"], *lines])


def line(row, label=None):
    return [ucf / row["path"], label or row["label"], row["split"], row["group"]]


far = [[tank / path, "_none_", "test", path] for path in railway[:100]]
write("far", [line(row) for row in rows] + far)

for draw in range(3):
    left_out = random.Random(draw).sample(classes, 4)
    known = [line(row) for row in rows if row["label"] not in left_out]
    near = [line(row, "_none_") for row in rows if row["label"] in left_out and row["split"] == "test"]
    write(f"near{draw}", known + near)
    write(f"far{draw}", known + far)
    many = [c for c in classes if sum(row["label"] == c and row["split"] == "train" for row in rows) >= 25]
    background = random.Random(10 + draw).sample([c for c in many if c not in left_out], 2)
    shown = [row for row in rows if row["label"] in background and row["split"] == "train"]
    shown = [line(row, "_none_") for row in random.Random(draw).sample(shown, 50)]
    fewer = [row for row in known if row[1] not in background]
    write(f"background{draw}", fewer + near + shown)
    write(f"without{draw}", fewer + near)
    print(draw, "left out:", *left_out, "| background:", *background)
