"""Draws how many labels `classify annotate` needs, from the table of examples/annotate_simulation.rs.

    pip install matplotlib
    python3 docs/annotating_curve.py /tmp/simulation/simulation.csv docs/annotating-curve.svg
"""

import csv
import sys
from collections import defaultdict

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

table, picture = sys.argv[1:]
# The same table gives the same bytes.
plt.rcParams.update({"svg.hashsalt": "classify", "font.size": 9})

curves = defaultdict(lambda: defaultdict(list))
with open(table, newline="") as file:
    for row in csv.DictReader(file):
        curves[row["order"]][int(row["labels"])].append(100 * float(row["accuracy"]))

figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for order, colour in [("chosen", "#1a6fb5"), ("random", "#b5601a")]:
    labels = sorted(curves[order])
    seeds = [curves[order][count] for count in labels]
    axes.fill_between(labels, [min(s) for s in seeds], [max(s) for s in seeds], color=colour, alpha=0.15, lw=0)
    mean = [sum(s) / len(s) for s in seeds]
    axes.plot(labels, mean, color=colour, label=order if len(seeds[0]) == 1 else f"{order}: mean and range of {len(seeds[0])} seeds")
axes.axhline(90, color="#888", lw=0.7, ls=":")
axes.set(xlabel="labels given", ylabel="test clips right, %", ylim=(50, 100))
axes.legend(loc="lower right", frameon=False)
axes.grid(alpha=0.2)
figure.savefig(picture, metadata={"Date": None})
