"""What the families share: a folder to make, its random weights, its input and what is watched inside it."""
import json
import os
import sys
import zlib
from dataclasses import dataclass, field
from typing import Callable

import numpy as np
import torch
import transformers

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from common import frames  # noqa: E402

VERSION = transformers.__version__.split(".")[0]
LABELS = ["abseiling", "air drumming", "answering questions", "applauding", "applying cream"]


@dataclass
class Case:
    """One folder: who makes it, how, and what is recorded of it."""

    name: str
    maker: str  # the major version of transformers that writes the folder
    build: Callable | None  # () -> model; its weights are overwritten. None: `files` are all there is
    run: Callable | None  # (model, folder) -> {name: tensor}
    files: dict = field(default_factory=dict)  # {file name: JSON value}, written beside the weights
    extra: Callable | None = None  # (folder), writes further files before the model is run
    save: dict = field(default_factory=dict)  # options of save_pretrained
    dtype: torch.dtype = torch.float32  # of the stored weights; they are run in f32 all the same
    pickle: bool = False  # pytorch_model.bin in place of model.safetensors
    special: dict = field(default_factory=dict)  # {parameter: number} that no rule of `fill` should choose
    pictures: bool = True  # whether what the image processor makes is recorded
    tokens: Callable | None = None  # (folder) -> JSON value for tokens.json
    alone: bool = False  # the other version can't read it
    seed: int = 0

    def make(self, folder):
        model = self.build().eval()
        fill(model, self.seed, self.special)
        model = model.to(self.dtype)
        if self.pickle:
            model.config.architectures = [type(model).__name__]
            model.config.save_pretrained(folder)
            torch.save(dict(model.state_dict()), os.path.join(folder, "pytorch_model.bin"))
        else:
            model.save_pretrained(folder, **self.save)
        if self.extra:
            self.extra(folder)

    def describe(self, folder):
        """Writes what stands beside the weights and is no version's own."""
        os.makedirs(folder, exist_ok=True)
        for name, value in self.files.items():
            write_json(os.path.join(folder, name), value)

    def answers(self, folder):
        """What transformers answers for the folder, in f32: {name: array}."""
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            kind = json.load(file)["architectures"][0]
        # The plain attention: the fused one sums in another order.
        model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        with torch.no_grad():
            found = self.run(model.eval(), folder)
        return {name: np.ascontiguousarray(tensor.detach().numpy()) for name, tensor in found.items()}


def write_json(path, value, indent=2):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=indent, ensure_ascii=False)
        file.write("\n")


# What versions call differently is one parameter all the same, with the same numbers.
ALIASES = [("q_bias", "query.bias"), ("v_bias", "value.bias")]


def fill(model, seed, special):
    """Overwrites all parameters; each number depends on seed, name and shape alone.

    Kernels keep the variance of what passes through; norms, biases, positions and tokens are far from 0 and 1, so
    that leaving one out shows.
    """
    for name, parameter in model.named_parameters():
        for old, new in ALIASES:
            name = name.replace(old, new)
        draw = np.random.default_rng(zlib.crc32(f"{seed}/{name}".encode())).standard_normal(parameter.shape)
        if name in special:
            value = np.full(parameter.shape, special[name])
        elif any(word in name for word in ("position", "token", "cls", "class_embedding", "probe")):
            value = 0.5 * draw
        elif parameter.ndim >= 2:
            value = 1.3 * draw / np.sqrt(np.prod(parameter.shape[1:]))
        elif name.endswith("weight"):
            value = 1 + 0.2 * draw
        else:
            value = 0.2 * draw
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.asarray(value, np.float32)))


def clip(t, size):
    """f32 [1, t, 3, size, size]: `frames` as x / 127.5 - 1, each step rounded to f32."""
    pixels = frames(t, size, size).astype(np.float32) / np.float32(127.5) - np.float32(1)
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())[None]


class Watch:
    """Keeps what modules answer, or what goes into them, while a model runs."""

    def __init__(self):
        self.found = {}

    def output(self, name, module):
        def keep(_module, _args, answer):
            self.found[name] = answer[0] if isinstance(answer, (tuple, list)) else answer

        module.register_forward_hook(keep)

    def input(self, name, module):
        def keep(_module, args):
            self.found[name] = args[0]

        module.register_forward_pre_hook(keep)

    def blocks(self, layers, prefix="block"):
        for i, layer in enumerate(layers):
            self.output(f"{prefix}.{i}", layer)
