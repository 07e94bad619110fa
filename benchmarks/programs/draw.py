"""Draws panels of horizontal bars: a JSON document on standard input, the path of a PNG as argument.

{"title": ..., "note": ..., "panels": [{"title": ..., "unit": ..., "bars": [[NAME, VALUE, TEXT, KIND]],
"mark": null or the value of a line across the bars, "log": whether the scale is logarithmic}]}; KIND is one of COLOURS.
"""

import json
import sys

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

COLOURS = {"ours": "#1b6ca8", "peer": "#b0b7bf", "missed": "#c8553d"}
BAR_INCHES = 0.27
PANEL_INCHES = 0.85
WIDTH_INCHES = 9


def main():
    document = json.load(sys.stdin)
    panels = document["panels"]
    heights = [PANEL_INCHES + BAR_INCHES * len(panel["bars"]) for panel in panels]
    figure, places = plt.subplots(
        len(panels), figsize=(WIDTH_INCHES, sum(heights) + 0.6), squeeze=False,
        height_ratios=heights, layout="constrained", facecolor="white",
    )  # fmt: skip
    figure.suptitle(document["title"], fontsize=12, fontweight="bold", color="black")
    figure.supxlabel(document["note"], fontsize=7, color="#444444")
    for panel, place in zip(panels, places[:, 0], strict=True):
        draw(panel, place)
    figure.savefig(sys.argv[1], dpi=110, facecolor="white")


def draw(panel, place):
    bars = panel["bars"]
    names, values, texts, kinds = zip(*bars, strict=True)
    drawn = place.barh(range(len(bars)), values, color=[COLOURS[kind] for kind in kinds], height=0.72)
    place.bar_label(drawn, labels=texts, padding=3, fontsize=8, color="black")
    place.set_yticks(range(len(bars)), names, fontsize=8)
    place.invert_yaxis()
    place.set_title(panel["title"], fontsize=9, loc="left", color="black")
    place.set_xlabel(panel["unit"], fontsize=8)
    place.tick_params(axis="x", labelsize=8)
    place.spines[["top", "right"]].set_visible(False)
    if panel["log"]:
        place.set_xscale("log")
        place.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        place.xaxis.set_major_formatter("{x:g}")
        place.xaxis.set_minor_formatter(NullFormatter())
    place.margins(x=0.16)
    if panel["mark"] is not None:
        place.axvline(panel["mark"], color="black", linewidth=1, linestyle="--")


main()
