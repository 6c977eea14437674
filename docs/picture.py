#!/usr/bin/env python3
"""Draws what commands print in a terminal as an SVG, for the README.

    docs/picture.py docs/run.svg 'classify clip.mp4' 'classify --model … clip.mp4'

Runs each command as it stands in the picture, in the current folder, with colours on.
"""

import html
import os
import re
import subprocess
import sys

COLUMN, LINE, MARGIN = 8.43, 19, 16
INK, PAPER = "#d5d9e0", "#16181d"
COLOURS = {"31": "#f47067", "32": "#57ab5a", "33": "#d9a343", "36": "#58a6c7"}


def spans(line):
    """(text, style) pieces of a line with SGR codes."""
    bold, dim, colour = False, False, None
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        if not piece.startswith("\x1b"):
            if piece:
                opacity = ' opacity="0.6"' if dim else ""
                weight = ' font-weight="bold"' if bold else ""
                yield piece, f'fill="{colour or INK}"{weight}{opacity}'
            continue
        for code in piece[2:-1].split(";"):
            if code in ("", "0"):
                bold, dim, colour = False, False, None
            elif code == "1":
                bold = True
            elif code == "2":
                dim = True
            else:
                colour = COLOURS.get(code, colour)


def block(x, y, text, style):
    """Bars are drawn as rectangles: fonts leave gaps between block characters."""
    eighths = sum(8 - "█▉▊▋▌▍▎▏".index(c) for c in text)
    return f'<rect x="{x:.1f}" y="{y - 12}" width="{eighths * COLUMN / 8:.1f}" height="13" rx="1.5" {style}/>'


def main():
    target, commands = sys.argv[1], sys.argv[2:]
    lines = []
    for command in commands:
        run = subprocess.run(command, shell=True, capture_output=True, text=True,
                             env={**os.environ, "CLICOLOR_FORCE": "1"})
        if run.returncode != 0:
            sys.exit(f"{command}: {run.stderr}")
        if lines:
            lines.append("")
        lines += [f"\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m", *run.stdout.rstrip("\n").split("\n")]
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = max(map(len, plain)) * COLUMN + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
           f'viewBox="0 0 {width:.0f} {height}" role="img" aria-label="A run of classify in a terminal">',
           f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
           '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="14">']
    for row, line in enumerate(lines):
        column, y = 0, MARGIN + 14 + row * LINE
        for text, style in spans(line):
            x = MARGIN + column * COLUMN
            if set(text) <= set("█▉▊▋▌▍▎▏"):
                out.append(block(x, y, text, style))
            elif text.strip():
                length = len(text) * COLUMN
                out.append(f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}" xml:space="preserve" {style}>'
                           f"{html.escape(text)}</text>")
            column += len(text)
    out += ["</g>", "</svg>", ""]
    with open(target, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


main()
