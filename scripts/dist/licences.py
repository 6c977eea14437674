#!/usr/bin/env python3
"""Writes the licences of all that is inside the program, as one text, to standard output.

licences.py [FFMPEG]

FFMPEG: the folder of scripts/dist/ffmpeg.sh, where FFmpeg and its libraries are inside, too. The crates are those that the
program is built of, by cargo's own word; which licences they may have stands in deny.toml.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = "x86_64-unknown-linux-gnu"
NAMES = ("licen", "copying", "copyright", "notice", "unlicense")
RULE = "=" * 100


def crates():
    """All packages that are linked: what the root needs, but not for its build scripts and tests alone."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    data = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    found, ahead = set(), [data["resolve"]["root"]]
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            needs = nodes[one]["deps"]
            ahead += [d["pkg"] for d in needs if any(k["kind"] is None for k in d["dep_kinds"])]
    # Those of the workspace have the program's own licence.
    outside = [packages[one] for one in found if packages[one]["source"]]
    return sorted(outside, key=lambda p: (p["name"], p["version"]))


def texts(package):
    """The files in which a crate states its licence; none in a few crates, which only name it."""
    folder = Path(package["manifest_path"]).parent
    files = [f for f in folder.iterdir() if f.is_file() and f.name.lower().startswith(NAMES)]
    if package["license_file"]:
        files.append(folder / package["license_file"])
    return [f.read_text(errors="replace").strip() for f in sorted(set(files))]


def write(title, text):
    print(f"{RULE}\n{title}\n{RULE}\n\n{text}\n")


def ffmpeg(folder):
    def read(name):
        return (folder / "share/licences" / name).read_text().strip()

    write(
        f"FFmpeg {read('ffmpeg.version')} (Debian's source package of that version)",
        "This program has FFmpeg (https://ffmpeg.org) inside, which is under the GNU Lesser General Public License, version\n"
        "2.1 or later: its text is below. FFmpeg's source is Debian's source package ffmpeg of that version, unchanged and\n"
        "configured with\n\n"
        f"    {read('ffmpeg.configuration')}\n\n"
        "You may put a changed FFmpeg into the program: docs/install.md in the program's source says how.\n\n"
        f"{read('COPYING.LGPLv2.1')}",
    )
    write("FFmpeg: who wrote what", read("ffmpeg.copyright"))
    for name in ("dav1d", "libvpx", "zlib"):
        write(f"{name} {read(name + '.version')} (Debian's source package of that version)", read(name + ".copyright"))


def main():
    write("classify: weights and sample clips of others", (ROOT / "NOTICE").read_text().strip())
    if len(sys.argv) > 1:
        ffmpeg(Path(sys.argv[1]))
    # Once each, however its lines are broken.
    by_text = {}
    for package in crates():
        name = f"{package['name']} {package['version']} ({package['license'] or 'see its file'})"
        for text in texts(package) or ["(The crate names its licence and has no file with its text.)"]:
            by_text.setdefault(" ".join(text.split()), (text, []))[1].append(name)
    for text, names in by_text.values():
        write("\n".join(names), text)


main()
