#!/usr/bin/env python3
"""Records what Hugging Face transformers answers for small random networks, a folder each as save_pretrained writes.

    make test-reference                      sets up both versions (check.sh says how) and checks both
    python make.py [FAMILY...]               makes anew what this version of transformers makes
    python make.py --check [FAMILY...]       remakes it elsewhere and compares; runs the other version's folders too

Run by version 4 (4.57) and by version 5 (5.24): each folder is written by one of them and answered by both. Beside
the files of the model stand

    expected.safetensors      activations: embeddings, block.N, pooled, logits ... of the input that `case.clip` makes
    pil.safetensors           what version 4's image processor (Pillow) makes of the pictures of `PICTURES`
    torchvision.safetensors   the same by version 5's (torchvision's tensors)
    tokens.json               what the tokenizer makes of `texts.STRINGS`: [text, ids, ids padded or cut] each
"""
import importlib
import json
import os
import sys
import tempfile

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import load_file

from case import VERSION, frames
from common import save

HERE = os.path.dirname(os.path.abspath(__file__))
FAMILIES = ["videomae", "clip", "timesformer", "vjepa2", "siglip", "vivit", "xclip"]
TOLERANCE = 1e-5
# Width and height; each is frame 0 of `frames`.
PICTURES = [(53, 37), (180, 120)]

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.manual_seed(0)
torch.set_num_threads(1)


def pictures(folder):
    """Writes {"53x37": f32 [3, height, width] ...}: what the folder's processor makes of each picture.

    Video processors are torchvision's in both versions.
    """
    video = os.path.exists(os.path.join(folder, "video_preprocessor_config.json"))
    options = {"use_fast": False} if VERSION == "4" and not video else {}
    kind = transformers.AutoVideoProcessor if video else transformers.AutoImageProcessor
    processor = kind.from_pretrained(folder, **options)
    found = {}
    for width, height in PICTURES:
        picture = Image.fromarray(frames(1, height, width)[0])
        if video:
            made = processor([[np.array(picture)]], return_tensors="pt")
        else:
            made = processor([picture], return_tensors="pt")
        pixels = next(iter(made.values())).numpy()
        found[f"{width}x{height}"] = np.ascontiguousarray(pixels.reshape(-1, *pixels.shape[-2:])[:3])
    name = "pil" if options else "torchvision"
    save(os.path.join(folder, f"{name}.safetensors"), found)


def record(case, folder, weights):
    """Writes what this version writes of the case; the files of the model only if `weights`."""
    case.describe(folder)
    if not case.build:
        return
    if weights:
        case.make(folder)
        save(os.path.join(folder, "expected.safetensors"), case.answers(folder))
        if case.tokens:
            write_tokens(os.path.join(folder, "tokens.json"), case.tokens(folder))
    if case.pictures:
        pictures(folder)


def write_tokens(path, value):
    """One text a line."""
    lines = [json.dumps(text, ensure_ascii=False) for text in value["texts"]]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{"max_length": {value["max_length"]}, "texts": [\n' + ",\n".join(lines) + "\n]}\n")


def tensors(path):
    """The tensors of a file in f32 or whole numbers."""
    if path.endswith(".bin"):
        return {name: tensor.float().numpy() for name, tensor in torch.load(path, weights_only=True).items()}
    from safetensors.torch import load_file as load

    return {name: (t.float() if t.is_floating_point() else t).numpy() for name, t in load(path).items()}


def differ(found, kept, what):
    """Prints the largest difference of each tensor; how many were too far apart or missing."""
    wrong = 0
    for name in sorted(found.keys() | kept.keys()):
        if name not in found or name not in kept or found[name].shape != kept[name].shape:
            print(f"  {what} {name}: missing or of another shape")
            wrong += 1
            continue
        difference = np.abs(found[name].astype(np.float64) - kept[name]).max()
        bad = not difference <= TOLERANCE
        wrong += bad
        print(f"  {what} {name} {list(kept[name].shape)} {difference:.1e}{'  WRONG' if bad else ''}")
    return wrong


def check(case):
    kept = os.path.join(HERE, case.name)
    wrong = 0
    with tempfile.TemporaryDirectory() as made:
        if case.maker == VERSION:
            record(case, made, True)
        else:
            record(case, made, False)
            if case.build and not case.alone:
                wrong += differ(case.answers(kept), load_file(os.path.join(kept, "expected.safetensors")), "expected")
                if case.tokens:
                    write_tokens(os.path.join(made, "tokens.json"), case.tokens(kept))
        for name in sorted(os.listdir(made)):
            path, other = os.path.join(made, name), os.path.join(kept, name)
            if name.endswith((".safetensors", ".bin")):
                wrong += differ(tensors(path), tensors(other), name)
            elif open(path, "rb").read() != open(other, "rb").read():
                print(f"  {name}: another text")
                wrong += 1
    return wrong


def main():
    arguments = sys.argv[1:]
    checking = "--check" in arguments
    wanted = [a for a in arguments if not a.startswith("-")] or FAMILIES
    wrong = 0
    for family in wanted:
        for case in importlib.import_module(family).CASES:
            print(f"{case.name} (version {VERSION}, {'made' if case.maker == VERSION else 'run'})")
            if checking:
                wrong += check(case)
            else:
                record(case, os.path.join(HERE, case.name), case.maker == VERSION)
    if checking:
        print(f"transformers {transformers.__version__}: {wrong} differences" if wrong else "all the same")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
